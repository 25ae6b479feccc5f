"""From the errors of slices to what is scored: region, smoothing, and one number per scan."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter
from skimage.morphology import disk

SCORE_QUANTILE = 0.99
SCORE_DEFINITION = "99th percentile of the anomaly map over the brain voxels of the scan"


def scored_region(brain: NDArray[np.bool_], *, edge_mm: float, pixel_mm: float) -> NDArray[np.bool_]:
    """Brain less a rim of ``edge_mm``, slice by slice; (slices, height, width)."""
    radius_px = round(edge_mm / pixel_mm)
    if radius_px < 1:
        return brain
    return np.asarray(binary_erosion(brain, structure=disk(radius_px)[None]))


def smoothed(
    values: NDArray[np.float32], region: NDArray[np.bool_], *, smooth_mm: float, spacing_mm: Sequence[float]
) -> NDArray[np.float32]:
    """Gaussian mean over the region alone, of standard deviation ``smooth_mm``; 0 outside.

    Args:
        values: One volume.
        region: Of the same shape; what lies outside neither gives nor takes.
        smooth_mm: 0 leaves the values as they are.
        spacing_mm: Voxel size along each axis.
    """
    inside = np.where(region, values, 0).astype(np.float32)
    if smooth_mm == 0:
        return inside
    sigma = [smooth_mm / mm for mm in spacing_mm]
    # Beyond the volume there is nothing, so that empty slices at its ends change nothing.
    weight = gaussian_filter(region.astype(np.float32), sigma, mode="constant")
    mean: NDArray[np.float32] = gaussian_filter(inside, sigma, mode="constant")
    np.divide(mean, weight, out=mean, where=region)
    return np.where(region, mean, np.float32(0))


def scan_score(anomaly: NDArray[np.float32]) -> float:
    """One number for a scan, or for a slice, of the anomaly of its brain voxels: `SCORE_DEFINITION`."""
    return float(np.quantile(anomaly, SCORE_QUANTILE))
