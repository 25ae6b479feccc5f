"""A head around a brain: what a scanner sees before anybody strips it."""

import numpy as np
from scipy import ndimage

from mmccd.data.volumes import Volume, new_volume

LAYERS_MM = ((4.0, 0.25), (10.0, 0.12), (16.0, 1.3))
"""Depths to which fluid, bone and scalp reach, and their brightness beside the median of the brain, as in FLAIR."""
NOISE = 0.03
MARGIN_MM = 20.0


def with_skull(brain: Volume, *, seed: int = 0) -> Volume:
    """A stripped FLAIR scan within fluid, bone and scalp, with noise everywhere; the image grows on all sides.

    Args:
        brain: A stripped scan: 0 outside the brain.
        seed: Of the noise.
    """
    margins = [round(MARGIN_MM / side) for side in brain.spacing_mm]
    scan = np.pad(brain.data, [(margin, margin) for margin in margins])
    median = float(np.median(brain.data[brain.data > 0]))
    depth_mm = ndimage.distance_transform_edt(scan == 0, sampling=brain.spacing_mm)
    head, inner_mm = scan.astype(np.float64), 0.0
    for outer_mm, brightness in LAYERS_MM:
        head[(depth_mm > inner_mm) & (depth_mm <= outer_mm)] = brightness * median
        inner_mm = outer_mm
    noise = np.random.default_rng(seed).normal(0, NOISE * median, scan.shape)
    affine = brain.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ margins
    return new_volume(np.abs(ndimage.gaussian_filter(head, 0.5) + noise).astype(np.float32), affine)
