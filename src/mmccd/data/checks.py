"""What may be wrong with a scan that can be read: few checks, each with the range of real scans that it compares with.

The ranges are those of 179 openly licensed or simulated FLAIR, T1 and T2 scans. None of the checks tells one modality
from another: their distributions of intensity overlap. `mmccd validate`, `predict` and `report` show the same ones.
"""

import numpy as np
from numpy.typing import NDArray

from mmccd.data.volumes import Volume

SMALLEST_ML = 600.0
THICKEST_SLICE_MM = 3.0
COARSEST_PIXEL_MM = 3.0
# Of those scans the largest brain has 1909 ml, the highest value is held by at most 0.001 % of its voxels, the median
# lies between 0.42 and 0.90 of the 90th percentile and the 99th percentile at most at 2.13 of it.
LARGEST_SEEN_ML = 2000.0
CLIPPED_SHARE = 0.001
MEDIAN_RANGE = (0.35, 0.93)
BRIGHTEST = 2.6
LEAST_LEVELS = 64


def odd_about_scan(volume: Volume, brain: NDArray[np.bool_]) -> tuple[str, ...]:
    """What a reader should know of a scan before trusting what was found in it; empty where nothing is odd.

    Args:
        volume: The scan.
        brain: (x, y, z), on its grid; not empty.
    """
    size_ml = float(brain.sum()) * volume.voxel_ml
    of_brain = (too_small(size_ml), coarse(volume), not_stripped(size_ml), cut_off(brain))
    return (*volume.doubts, *(text for text in of_brain if text), *odd_intensities(volume.data[brain]))


def odd_about_other(name: str, volume: Volume, brain: NDArray[np.bool_]) -> tuple[str, ...]:
    """The same of a further modality, which has the brain and the voxels of the first: only what is its own.

    Args:
        name: Of the modality.
        volume: The scan.
        brain: (x, y, z), on its grid; not empty.
    """
    return (*volume.doubts, *(f"{name}: {text}" for text in odd_intensities(volume.data[brain])))


def odd_intensities(values: NDArray[np.float32]) -> tuple[str, ...]:
    """What is odd about the values of the brain voxels, any shape."""
    return tuple(text for text in (clipped(values), odd_contrast(values)) if text)


def too_small(size_ml: float) -> str:
    """Less than a brain."""
    return f"the brain measures only {size_ml:.0f} ml: part of it may be missing" if size_ml < SMALLEST_ML else ""


def coarse(volume: Volume) -> str:
    """Voxels in which small lesions are lost."""
    *in_plane, between = volume.spacing_mm
    found = []
    if max(in_plane) > COARSEST_PIXEL_MM:
        found.append(f"axial pixels of {max(in_plane):.1f} mm are coarse")
    if between > THICKEST_SLICE_MM:
        found.append(f"slices are {between:.1f} mm thick")
    return f"{' and '.join(found)}: small lesions are lost" if found else ""


def not_stripped(size_ml: float) -> str:
    """More than a brain: skull, eyes or neck are left."""
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
