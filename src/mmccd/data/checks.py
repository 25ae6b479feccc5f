"""What may be wrong with a scan that can be read: few checks, each with the range of real scans that it compares with.

The ranges are those of 179 openly licensed or simulated FLAIR, T1 and T2 scans. None of the checks tells one modality
from another: their distributions of intensity overlap.
"""

import numpy as np
from numpy.typing import NDArray

from mmccd.data.volumes import Volume

# Of those scans the largest brain has 1909 ml, the highest value is held by at most 0.001 % of its voxels, the median
# lies between 0.42 and 0.90 of the 90th percentile and the 99th percentile at most at 2.13 of it.
LARGEST_SEEN_ML = 2000.0
CLIPPED_SHARE = 0.001
MEDIAN_RANGE = (0.35, 0.93)
BRIGHTEST = 2.6
LEAST_LEVELS = 64


def quality_warnings(volume: Volume, brain: NDArray[np.bool_]) -> tuple[str, ...]:
    """What a reader should know of a scan before trusting what was found in it; empty where nothing is odd.

    Args:
        volume: The scan.
        brain: (x, y, z), on its grid; not empty.
    """
    values = volume.data[brain]
    found = (not_stripped(brain, volume.voxel_ml), cut_off(brain), clipped(values), odd_contrast(values))
    return tuple(text for text in found if text)


def not_stripped(brain: NDArray[np.bool_], voxel_ml: float) -> str:
    """More than a brain: skull, eyes or neck are left."""
    size_ml = float(brain.sum()) * voxel_ml
    if size_ml <= LARGEST_SEEN_ML:
        return ""
    return f"not skull-stripped, or not well: {size_ml:.0f} ml count as brain, the largest brains have about 1900 ml"


def cut_off(brain: NDArray[np.bool_], share: float = 0.02) -> str:
    """The brain reaches a side, the front or the back of the image; the bottom slice is not looked at."""
    walls = {"left": brain[0], "right": brain[-1], "back": brain[:, 0], "front": brain[:, -1], "top": brain[:, :, -1]}
    reached = [name for name, wall in walls.items() if wall.mean() > share]
    return f"the brain is cut off by the {', '.join(reached)} of the image" if reached else ""


def clipped(values: NDArray[np.float32]) -> str:
    """Many voxels share the highest value: what was brighter is lost.

    Args:
        values: Of the brain voxels, any shape.
    """
    share = float(np.mean(values == values.max()))
    if share <= CLIPPED_SHARE or np.ptp(values) == 0:
        return ""
    return f"clipped intensities: {100 * share:.1f} % of the brain hold the highest value"


def odd_contrast(values: NDArray[np.float32]) -> str:
    """Intensities that are spread as in no scan that the ranges are of; or hardly any.

    Args:
        values: Of the brain voxels, any shape.
    """
    levels = len(np.unique(values))
    if levels < LEAST_LEVELS:
        return f"odd contrast: the brain has only {levels} different intensities"
    median, high, top = (float(value) for value in np.quantile(values, (0.5, 0.9, 0.99)))
    if high <= 0:
        return "odd contrast: nine tenths of the brain are not above zero"
    low, highest = MEDIAN_RANGE
    if not low <= median / high <= highest or top / high > BRIGHTEST:
        return (
            f"odd contrast: the median is {median / high:.2f} of the 90th percentile (usual: {low} to {highest}) "
            f"and the 99th percentile is {top / high:.2f} of it (usual: up to {BRIGHTEST})"
        )
    return ""
