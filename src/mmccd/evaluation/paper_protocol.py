"""The published protocol, faults included: one slice per subject, scaled and cut with the test labels.

It exists to stand beside the paper's tables and for nothing else; ``mmccd.evaluation.evaluate`` has the honest numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmccd.evaluation.metrics import PUBLISHED_EROSION_PX, dice_at_thresholds, published_erosion, published_metrics

NAME = "published protocol (oracle)"
STATEMENT = (
    "One axial slice per subject, the one with the most lesion, on the native in-plane grid; scores scaled over "
    "all subjects; threshold chosen with the test labels; brain eroded by a disk of 4 native pixels; AUC over the "
    "whole slice; ASSD in native pixels. Not comparable with the paper's numbers unless slices, pixel size "
    "(the paper: 128 x 128), subjects and preparation of the store are the paper's."
)
THRESHOLDS = np.arange(100) / 1000.0


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


def largest_lesion_slice(
    case: str, score: NDArray[np.float32], brain: NDArray[np.bool_], lesion: NDArray[np.bool_]
) -> LesionSlice | None:
    """Pick the axial slice of (x, y, z) volumes with the largest lesion area; None without a lesion."""
    areas = lesion.sum(axis=(0, 1))
    z = int(areas.argmax())
    if not areas[z]:
        return None
    # Copies: a view would keep the whole volume in memory.
    return LesionSlice(case, z, score[:, :, z].copy(), brain[:, :, z].copy(), lesion[:, :, z].copy())


def published_rows(
    slices: Sequence[LesionSlice], *, erosion_px: int = PUBLISHED_EROSION_PX
) -> tuple[list[dict[str, float | str | int]], float]:
    """Metrics of each slice as the paper's code has them, and the oracle threshold on the scaled scores.

    Scores are scaled to [0, 1] over the brain pixels of all slices, so each depends on the other subjects; pixels
    outside the brain get 0. The threshold is the one of 0, 0.001, .. 0.099 with the best mean Dice.

    Args:
        slices: One per subject.
        erosion_px: Radius of the rim that is cut off; 4 is published, for pixels of 1.875 mm.

    Returns:
        One row per slice with ``case``, ``z`` and `published_metrics`; NaN threshold if no slice.
    """
    if not slices:
        return [], float("nan")
    scaled = _scale_over_all(slices)
    eroded = [published_erosion(piece.brain, radius_px=erosion_px) for piece in slices]
    dice = [
        dice_at_thresholds(THRESHOLDS, (score * inside).ravel(), piece.lesion.ravel())
        for score, inside, piece in zip(scaled, eroded, slices, strict=True)
    ]
    threshold = float(THRESHOLDS[np.mean(dice, axis=0).argmax()])
    return [
        {"case": piece.case, "z": piece.z, **published_metrics(score, piece.lesion, inside, threshold)}
        for score, inside, piece in zip(scaled, eroded, slices, strict=True)
    ], threshold


def _scale_over_all(slices: Sequence[LesionSlice]) -> list[NDArray[np.float64]]:
    pooled = np.concatenate([piece.score[piece.brain] for piece in slices])
    low, high = (float(pooled.min()), float(pooled.max())) if pooled.size else (0.0, 0.0)
    span = high - low or 1.0
    return [np.where(piece.brain, (piece.score.astype(np.float64) - low) / span, 0.0) for piece in slices]
