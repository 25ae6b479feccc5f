"""From the cycle error of slices to what is scored, and the threshold that no lesion label has seen."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter
from skimage.morphology import disk

from mmccd.errors import DataError

TYPICAL_POLARITY: dict[str, Literal["bright", "dark"]] = {"flair": "bright", "t2": "bright", "t1": "dark"}

SCORE_QUANTILE = 0.99
SCORE_DEFINITION = "99th percentile of the anomaly map over the brain voxels of the scan"


@dataclass(frozen=True)
class Threshold:
    """A decision value and where it comes from.

    Attributes:
        value: Anomalies above it are marked.
        criterion: How it was chosen, in words.
        chosen_on: The data that it was chosen on.
        subjects: Number of subjects among them.
        slices: Number of slices among them.
    """

    value: float
    criterion: str
    chosen_on: str
    subjects: int
    slices: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


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


def typical_polarity(modality: str) -> Literal["bright", "dark"]:
    """How most lesions differ from healthy tissue: bright, but dark in T1."""
    return TYPICAL_POLARITY.get(modality, "bright")


def intensity_score(normalised: NDArray[np.float32], polarity: str) -> NDArray[np.float32]:
    """The score of the plain intensity threshold: high where the voxel is bright, or dark."""
    return normalised if polarity == "bright" else -normalised


def scan_score(anomaly: NDArray[np.float32], brain: NDArray[np.bool_]) -> float:
    """One number for a scan: `SCORE_DEFINITION`."""
    return float(np.quantile(anomaly[brain], SCORE_QUANTILE))


def threshold_at_rate(
    scores: NDArray[np.floating[Any]],
    *,
    false_positive_rate: float,
    chosen_on: str,
    subjects: int,
    slices: int,
) -> Threshold:
    """The smallest threshold that at most this share of healthy brain pixels exceeds.

    Args:
        scores: Scores of the brain pixels of healthy validation slices, any shape.
        false_positive_rate: Between 0 and 1.
        chosen_on: Description of the data for the record.
        subjects: Number of subjects in the data.
        slices: Number of slices in the data.

    Raises:
        DataError: there is no score to choose from.
    """
    if scores.size == 0:
        raise DataError(
            "no brain pixel of a healthy validation slice is there to choose the threshold on",
            "prepare the store with validation subjects that have slices free of lesions",
        )
    value = float(np.quantile(scores, 1 - false_positive_rate, method="higher"))
    criterion = f"{false_positive_rate:.3g} of the brain pixels of healthy slices lie above"
    return Threshold(value, criterion, chosen_on, subjects, slices)
