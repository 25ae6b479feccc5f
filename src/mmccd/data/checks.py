"""What may be wrong with a scan that can be read: few checks, each with the range of real scans that it compares with.

The ranges are those of 204 openly licensed or simulated FLAIR, T1 and T2 scans; the limits lie beyond them. Of another
modality than the expected one only clear cases are told, see `contrast`. `mmccd validate`, `predict` and `report`
show the same ones.
"""

import numpy as np
from numpy.typing import NDArray

from mmccd.data.contrast import odd_for_modality
from mmccd.data.head import Head
from mmccd.data.volumes import Volume

THICKEST_SLICE_MM = 3.0
COARSEST_PIXEL_MM = 3.0
# Of those scans the smallest brain has 1088 ml and the largest that is well stripped 1909 ml; brains are 127 to 159 mm
# wide, 135 to 187 mm long and 121 to 165 mm high, and cover up to 220 cm2 of an axial slice.
SMALLEST_ML = 900.0
LARGEST_SEEN_ML = 2000.0
LEAST_SIZE_MM = {"wide": 105.0, "long": 115.0, "high": 100.0}
WIDEST_CM2 = 235.0
# Layers of 3 mm: none has a median below 0.84 of those around it. A skull is a dark layer between two bright ones.
DARKEST_LAYER = 0.7
# The largest hole has 0.7 ml, other pieces have 0.01 % of the brain; left and right overlap more than any other sides.
LARGEST_HOLE_ML = 2.0
DETACHED_SHARE = 0.005
LEAST_SYMMETRY = 0.9
# The highest value is held by at most 0.001 % of the voxels and 0.035 % come close to it, another one by at most 5.8 %;
# the median lies between 0.42 and 0.90 of the 90th percentile and the 99th percentile at most at 2.13 of it.
CLIPPED_SHARE = 0.001
PADDING_SHARE = 0.1
MEDIAN_RANGE = (0.35, 0.93)
BRIGHTEST = 2.6
LEAST_LEVELS = 64
LABELS = 16


def odd_about_scan(volume: Volume, brain: NDArray[np.bool_], modality: str = "") -> tuple[str, ...]:
    """What a reader should know of a scan before trusting what was found in it; empty where nothing is odd.

    Args:
        volume: The scan.
        brain: (x, y, z), on its grid; not empty.
        modality: What it is taken for, such as ``flair``; of others than FLAIR, T1 and T2 the contrast may be any.
    """
    size_ml, head, values = float(brain.sum()) * volume.voxel_ml, Head.of(volume, brain), volume.data[brain]
    more_than_brain = (not_stripped(size_ml) or skull_left(head), in_pieces(head))
    of_brain = (too_small(size_ml), part_of_brain(head), coarse(volume), *more_than_brain, cut_off(brain))
    found = [*volume.doubts, *(text for text in of_brain if text), *odd_intensities(values)]
    if not any(more_than_brain):  # of what else lies there nothing follows
        found += [text for text in (turned(head), holed(head)) if text]
        found += [] if odd_contrast(values) else odd_for_modality(head, values, modality)
    return tuple(found)


def odd_about_other(name: str, volume: Volume, brain: NDArray[np.bool_]) -> tuple[str, ...]:
    """The same of a further modality, which has the brain and the voxels of the first: only what is its own.

    Args:
        name: Of the modality.
        volume: The scan.
        brain: (x, y, z), on its grid; not empty.
    """
    values = volume.data[brain]
    found = odd_intensities(values)
    if not odd_contrast(values):
        found += odd_for_modality(Head.of(volume, brain), values, name)
    return (*volume.doubts, *(f"{name}: {text}" for text in found))


def odd_intensities(values: NDArray[np.float32]) -> tuple[str, ...]:
    """What is odd about the values of the brain voxels, any shape."""
    return tuple(text for text in (clipped(values) or padded(values), odd_contrast(values)) if text)


def too_small(size_ml: float) -> str:
    """Less than a brain."""
    if size_ml >= SMALLEST_ML:
        return ""
    return f"the brain measures only {size_ml:.0f} ml: part of it may be missing, or it is an infant's"


def part_of_brain(head: Head) -> str:
    """A slab: the image covers little of the head."""
    short = [f"{size:.0f} mm {how}" for (how, least), size in zip(LEAST_SIZE_MM.items(), head.size_mm, strict=True)
             if size < least]  # fmt: skip
    if not short:
        return ""
    return f"the brain is only {' and '.join(short)}: the image covers part of it, or its voxel size is wrong"


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


def skull_left(head: Head) -> str:
    """A head by the area of a slice or by its layers, where its volume is that of a brain: a slab, or a child's."""
    if head.widest_cm2 > WIDEST_CM2:
        return (
            f"not skull-stripped, or not well: {head.widest_cm2:.0f} cm2 of a slice count as brain, "
            "the widest brains cover about 220"
        )
    medians = [float(np.median(layer)) for low in range(0, 27, 3) if (layer := head.layer(low, low + 3)).size]
    for i in range(1, len(medians) - 1):
        around = min(max(medians[:i]), max(medians[i + 1 : i + 4]))
        if around > 0 and medians[i] < DARKEST_LAYER * around:
            return (
                "not skull-stripped, or not well: a layer under the surface has "
                f"{medians[i] / around:.2f} of the brightness around it, as a skull has"
            )
    return ""


def turned(head: Head) -> str:
    """Axes that are not those of a head: left and right are not the sides that are most alike.

    Length and height changed for each other do not show: brains are nearly as high as they are long.
    """
    across, along, upward = head.symmetry()
    width, length, height = head.size_mm
    others = max(along, upward if height >= LEAST_SIZE_MM["high"] else 0.0)
    if width <= length and (across >= LEAST_SYMMETRY or across >= others):
        return ""
    return "the axes may be wrong: left and right of the brain are less alike, or farther apart, than front and back"


def holed(head: Head) -> str:
    """A brain mask with a hole, such as a lesion that was taken for no brain: there nothing is looked for."""
    holes = head.holes()
    largest_ml = float(holes[0]) * head.voxel_ml if holes.size else 0.0
    if largest_ml <= LARGEST_HOLE_ML:
        return ""
    return f"the brain has a hole of {largest_ml:.1f} ml, in which nothing is looked for: check the brain mask"


def in_pieces(head: Head) -> str:
    """Something else that lies above zero, or that the mask marks."""
    pieces = head.pieces()
    share = float(pieces[1:].sum() / pieces.sum()) if pieces.size else 0.0
    if share <= DETACHED_SHARE:
        return ""
    return f"{100 * share:.1f} % of what counts as brain lie apart from the rest: padding, eyes or stray voxels"


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
    if np.ptp(values) == 0:
        return ""
    highest = values.max()
    for least, do in ((highest, "hold"), (0.99 * highest, "come within 1 % of")):  # a resampling rounds the edge off
        if (share := float(np.mean(values >= least))) > CLIPPED_SHARE:
            return f"clipped intensities: {100 * share:.1f} % of the brain {do} the highest value"
    return ""


def padded(values: NDArray[np.float32]) -> str:
    """One value in a large part of the brain: what a registration fills corners with, or a mask wider than the scan.

    Args:
        values: Of the brain voxels, any shape.
    """
    levels, counts = np.unique(values, return_counts=True)
    share, most = float(counts.max() / values.size), float(levels[counts.argmax()])
    if share <= PADDING_SHARE or len(levels) < LEAST_LEVELS:  # of few levels each is frequent, and that is said
        return ""
    return f"{100 * share:.0f} % of what counts as brain hold the value {most:g}: padding, or a mask that is too wide"


def odd_contrast(values: NDArray[np.float32]) -> str:
    """Intensities that are spread as in no scan that the ranges are of; or hardly any.

    Args:
        values: Of the brain voxels, any shape.
    """
    levels = len(np.unique(values))
    if levels < LEAST_LEVELS:
        found = f"odd contrast: the brain has only {levels} different intensities"
        return f"{found}, as labels of tissue have" if levels <= LABELS else found
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
