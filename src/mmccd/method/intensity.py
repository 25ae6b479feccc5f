"""One intensity scale for all scans: brain percentiles to about [-3, 3], as in the published code."""

import math

import numpy as np
from numpy.typing import NDArray

from mmccd.errors import DataError

BACKGROUND = -3.0
"""Normalised value of everything outside the brain."""

INTENSITY_MAP = {"name": "brain-percentile", "percentile": 90.0, "at_zero": -3.0, "at_percentile": 3.0}
"""The map as it is recorded in stores and model cards."""


def normalise(data: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    r"""Map a volume to :math:`x' = 6 x / P - 3` inside the brain and to -3 outside; nothing is clipped.

    P is `reference_intensity`.

    Args:
        data: (x, y, z) intensities in any unit.
        brain: (x, y, z), True inside the brain.

    Raises:
        DataError: P is not positive, so that the scan has no scale.
    """
    return scaled(data, brain, reference_intensity(data, brain))


def reference_intensity(data: NDArray[np.float32], brain: NDArray[np.bool_]) -> float:
    """The intensity that 90 % of the brain voxels stay below.

    As in the published code its rank is interpolated over the whole volume, background included, which differs from a
    percentile over the brain alone by less than a tenth of a rank (ADR 0008). It is numpy's percentile of the whole
    volume with 0 outside the brain, to the bit, and copies the brain alone.

    Args:
        data: (x, y, z) intensities in any unit.
        brain: (x, y, z), True inside the brain.

    Raises:
        DataError: it is not positive, so that the scan has no scale.
    """
    inside = data[brain].astype(np.float64)
    share = (100.0 - 10.0 * float(brain.mean())) / 100.0
    place = (brain.size - 1) * share
    below, weight = math.floor(place), place % 1.0
    above_zero = inside[inside > 0]
    low, high = (_largest(above_zero, brain.size - 1 - rank) for rank in (below, below + 1))
    reference = low + (high - low) * weight if weight < 0.5 else high - (high - low) * (1.0 - weight)
    if not reference > 0:
        raise DataError(
            f"the 90th percentile of the brain intensities is {reference:g}, expected a positive value",
            "check that the scan is a magnitude image and that the brain mask fits it",
        )
    return float(reference)


def scaled(data: NDArray[np.float32], brain: NDArray[np.bool_], reference: float) -> NDArray[np.float32]:
    """`normalise` with a reference intensity that is known; arrays may be a part of the volume."""
    normalised = np.full(data.shape, BACKGROUND, np.float32)
    normalised[brain] = 6.0 * data[brain].astype(np.float64) / reference + BACKGROUND
    return normalised


def _largest(positive: NDArray[np.float64], rank: int) -> float:
    """The value with so many above it; 0 where there are not as many positive ones."""
    place = positive.size - 1 - max(rank, 0)
    return float(np.partition(positive, place)[place]) if place >= 0 else 0.0
