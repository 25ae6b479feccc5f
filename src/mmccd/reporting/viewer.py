"""Volumes for the viewer of a page: brain only, cropped, 8 bits, compressed, base64; as fine as the budget allows."""

import base64
import gzip
import struct
from dataclasses import dataclass
from itertools import pairwise

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from mmccd.scoring.findings import bounding_box

FINEST_MM = 0.9
"""A finer grid is averaged: it would make the page large and show nothing more."""
COARSEST_MM = 4.0
HIGHEST = 8.0
"""Times the threshold: higher anomalies are stored as this."""
_LEVEL = 6  # 9 takes four to ten times as long, for one hundredth less
_SLOPE_OFFSET = 112  # of scl_slope in a NIfTI-1 header


@dataclass(frozen=True)
class Embedded:
    """What the viewer of one case shows: NIfTI files, gzip, base64.

    Attributes:
        scan: uint8, 1 to 255 inside the brain; empty where there is no scan.
        anomaly: uint8 with a slope, so that values read as on the map.
        expert: uint8, 1 inside the expert's lesion; empty without one.
        voxel_mm: Size of these voxels.
    """

    scan: str
    anomaly: str
    expert: str
    voxel_mm: float

    @property
    def size(self) -> int:
        """Characters in the page."""
        return len(self.scan) + len(self.anomaly) + len(self.expert)


def embed(
    anomaly: NDArray[np.float32],
    affine: NDArray[np.float64],
    *,
    scan: NDArray[np.float32] | None,
    brain: NDArray[np.bool_],
    expert: NDArray[np.bool_] | None,
    threshold: float,
    budget: int,
) -> Embedded:
    """The finest version that fits into ``budget`` characters; the coarsest, whatever its size, where none does.

    Args:
        anomaly: (x, y, z) in RAS+.
        affine: (4, 4), voxel to millimetre.
        scan: Of the same shape, or None. No voxel outside the brain is stored.
        brain: Of the same shape.
        expert: Of the same shape, or None.
        threshold: In the unit of ``anomaly``.
        budget: In characters.
    """
    box = bounding_box(brain)
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    origin = affine.copy()
    origin[:3, 3] = affine[:3, :3] @ [part.start for part in box] + affine[:3, 3]
    inside = brain[box].astype(np.float32)
    top = max(float(min(anomaly.max(initial=0.0), HIGHEST * threshold)), threshold, 1e-6)
    found: Embedded | None = None
    for factors in _factors(spacing):  # from coarse to fine: what does not fit costs most
        weight = _averaged(inside, factors)
        grid = origin.copy()
        grid[:3, :3] = origin[:3, :3] * factors
        grid[:3, 3] += origin[:3, :3] @ ((factors - 1) / 2)
        shown = ""
        if scan is not None:
            values = _averaged(np.where(brain[box], scan[box], 0), factors) / np.maximum(weight, np.float32(1e-6))
            shown = _nifti(windowed(values.astype(np.float32), weight >= 0.5), grid)
        height = _averaged(np.where(brain[box], anomaly[box], 0), factors)
        finer = Embedded(
            scan=shown,
            anomaly=_nifti(np.round(np.clip(height / top, 0, 1) * 255).astype(np.uint8), grid, top / 255),
            expert="" if expert is None else _nifti(_averaged(expert[box], factors) >= 0.5, grid),
            voxel_mm=float((spacing * factors).max()),
        )
        found = found if found is not None and finer.size > budget else finer
        if finer.size > budget:
            break
    assert found is not None, "there is one size at least"
    return found


def windowed(values: NDArray[np.floating], brain: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Grey levels, uint8: 1 (zero and below) to 255 (99.5th percentile and above) inside the brain, 0 outside."""
    high = float(np.quantile(values[brain], 0.995)) if brain.any() else 1.0
    grey = 1 + 254 * np.clip(values / (high if high > 0 else 1.0), 0, 1)
    return np.where(brain, np.round(grey), 0).astype(np.uint8)


def _factors(spacing: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """How many voxels are averaged along each axis, the coarsest first."""
    finest = max(float(spacing.min()), FINEST_MM)
    wanted = [COARSEST_MM, *(size for size in (3.0, 2.0, 1.5, finest) if finest <= size < COARSEST_MM)]
    every = [np.maximum(1, np.round(size / spacing)).astype(int) for size in wanted]
    return every[:1] + [finer for coarser, finer in pairwise(every) if (finer != coarser).any()]


def _averaged(values: NDArray[np.generic], factors: NDArray[np.int64]) -> NDArray[np.float32]:
    """Means of blocks; the last block of an axis is filled up with zeros."""
    wide = values.astype(np.float32)
    if (factors == 1).all():
        return wide
    wide = np.pad(wide, [(0, int(-size % factor)) for size, factor in zip(wide.shape, factors, strict=True)])
    x, y, z = (size // factor for size, factor in zip(wide.shape, factors, strict=True))
    blocks = wide.reshape(x, factors[0], y, factors[1], z, factors[2])
    return np.asarray(blocks.mean(axis=(1, 3, 5)), dtype=np.float32)


def _nifti(values: NDArray[np.generic], affine: NDArray[np.float64], slope: float = 1.0) -> str:
    image = nib.Nifti1Image(values.astype(np.uint8), affine)
    image.header.set_xyzt_units("mm")
    content = bytearray(image.to_bytes())
    struct.pack_into("<f", content, _SLOPE_OFFSET, slope)  # nibabel would scale the voxels with it
    return base64.b64encode(gzip.compress(bytes(content), compresslevel=_LEVEL, mtime=0)).decode()
