"""The paper's protocol, faults included: one slice per subject, scaled and cut with the test labels.

It exists to stand beside the paper's tables and for nothing else; ``mmccd.evaluation.evaluate`` has the honest numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmccd.evaluation.measure import ExpertCase
from mmccd.evaluation.metrics import Confusion, auroc, average_surface_distance_mm, dice_at_thresholds

NAME = "paper's protocol (oracle)"
STATEMENT = (
    "One axial slice per subject, the one with the most lesion, on the native in-plane grid; scores scaled over "
    "all subjects; threshold chosen with the test labels; brain eroded by a disk of 4 native pixels; AUC over the "
    "whole slice; ASSD in native pixels. Not comparable with the paper's numbers unless slices, pixel size "
    "(the paper: 128 x 128), subjects and preparation of the store are the paper's."
)
THRESHOLDS = np.arange(100) / 1000.0
EROSION_PX = 4  # of the paper's 128 x 128 slices
PIXEL_MM = 1.875
PAPER_METRICS = ("dice", "auc", "jaccard", "assd", "sensitivity", "precision")


@dataclass(frozen=True)
class LesionSlice:
    """The axial slice of one subject with the largest lesion area.

    Attributes:
        case: Subject id.
        z: Index of the slice on the RAS+ grid of the scan.
        score: (x, y), higher is more anomalous.
        brain: (x, y), True inside the brain.
        lesion: (x, y), True inside the lesion.
    """

    case: str
    z: int
    score: NDArray[np.float32]
    brain: NDArray[np.bool_]
    lesion: NDArray[np.bool_]


def largest_lesion_slice(case: ExpertCase, score: NDArray[np.float32]) -> LesionSlice | None:
    """The axial slice of a case with the largest lesion area, with its part of a map; None without a lesion."""
    z = slice_with_most_lesion(case.lesion)
    if not case.lesion[:, :, z].any():
        return None
    # Copies: a view would keep the whole volume in memory.
    return LesionSlice(case.id, z, score[:, :, z].copy(), case.brain[:, :, z].copy(), case.lesion[:, :, z].copy())


def slice_with_most_lesion(lesion: NDArray[np.bool_]) -> int:
    """Its place along the last axis of (x, y, z)."""
    return int(lesion.sum(axis=(0, 1)).argmax())


def paper_rows(
    slices: Iterable[LesionSlice], *, erosion_px: int = EROSION_PX
) -> tuple[list[dict[str, float | str | int]], float]:
    """Metrics of each slice as the paper's code has them, and the oracle threshold on the scaled scores.

    Scores are scaled to [0, 1] over the brain pixels of all slices, so each depends on the other subjects; pixels
    outside the brain get 0. The threshold is the one of 0, 0.001, .. 0.099 with the best mean Dice.

    Args:
        slices: One per subject, in an order that does not change: they are gone through three times.
        erosion_px: Radius of the rim that is cut off; 4 is the paper's, for pixels of 1.875 mm.

    Returns:
        One row per slice with ``case``, ``z`` and `paper_metrics`; NaN threshold if no slice.
    """
    low, high = _range_over_all(slices)
    dice = np.zeros(THRESHOLDS.size)
    for piece in slices:
        inside = paper_erosion(piece.brain, radius_px=erosion_px)
        dice += dice_at_thresholds(THRESHOLDS, (_scaled(piece, low, high) * inside).ravel(), piece.lesion.ravel())
    threshold = float(THRESHOLDS[dice.argmax()])
    rows: list[dict[str, float | str | int]] = []
    for piece in slices:
        inside = paper_erosion(piece.brain, radius_px=erosion_px)
        metrics = paper_metrics(_scaled(piece, low, high), piece.lesion, inside, threshold)
        rows.append({"case": piece.case, "z": piece.z, **metrics})
    return rows, threshold if rows else float("nan")


def paper_erosion(brain: NDArray[np.bool_], *, radius_px: int = EROSION_PX) -> NDArray[np.bool_]:
    """Erode a 2D brain mask by a disk of 4 pixels of 1.875 mm, as the post-processing of the paper's code does.

    Outside the image counts as brain, so a mask that touches the border is not eroded from there.
    """
    offsets_px = np.arange(-radius_px, radius_px + 1)
    disk = np.add.outer(offsets_px**2, offsets_px**2) <= radius_px**2
    return np.asarray(ndimage.binary_erosion(brain, disk, border_value=1), dtype=np.bool_)


def paper_metrics(
    score: NDArray[np.floating], lesion: NDArray[np.bool_], eroded_brain: NDArray[np.bool_], threshold: float
) -> dict[str, float]:
    """Compute the metrics of the paper's code for one slice, faults included (commit a5ef9b4).

    The prediction is limited to the eroded brain while the lesion is not, and ``auc`` runs over the whole
    slice with score 0 outside the eroded brain: this easy background lifts a random score to about 0.8.

    Args:
        score: (height, width), 0 or more.
        lesion: (height, width), True inside the lesion.
        eroded_brain: (height, width), see ``paper_erosion``.
        threshold: Pixels with a higher score are predicted.

    Returns:
        ``dice``, ``auc``, ``jaccard``, ``assd`` (in pixels), ``sensitivity``, ``precision``. The
        paper's code crashes on the ASSD of an empty mask; here it is NaN.
    """
    predicted = (score > threshold) & eroded_brain
    overlap = Confusion.between(predicted, lesion)
    assd = average_surface_distance_mm(predicted, lesion, spacing_mm=(1.0, 1.0))  # 1 "mm" is one pixel here
    return {
        "dice": overlap.dice,
        "auc": auroc((score * eroded_brain).ravel(), lesion.ravel()),
        "jaccard": overlap.iou,
        "assd": assd if np.isfinite(assd) else float("nan"),
        "sensitivity": overlap.sensitivity,
        "precision": overlap.precision,
    }


def _range_over_all(slices: Iterable[LesionSlice]) -> tuple[float, float]:
    inside = (piece.score[piece.brain] for piece in slices)
    ends = [(float(score.min()), float(score.max())) for score in inside if score.size]
    lows, highs = zip(*ends, strict=True) if ends else ((0.0,), (0.0,))
    return min(lows), max(highs)


def _scaled(piece: LesionSlice, low: float, high: float) -> NDArray[np.float64]:
    return np.where(piece.brain, (piece.score.astype(np.float64) - low) / (high - low or 1.0), 0.0)
