"""Thresholds and a scan score with a guarantee that holds for any method and any number of healthy subjects.

Conformal prediction asks of the data only that healthy subjects are exchangeable: that the next one could as well have
been one of those that the threshold was chosen on. Subjects are, pixels of one subject are not, so all counts here are
of subjects.

The guarantees are about healthy tissue that no lesion reaches: slices or regions. A smoothed map carries a lesion
into its healthy neighbours, by a Gaussian about three standard deviations (3 x `scoring.smooth_mm`), by total variation
as far as there is no edge; and nothing is guaranteed there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmccd.errors import DataError, ModelError
from mmccd.scoring.maps import scan_score

Scores = NDArray[np.floating[Any]]
LEVEL_QUANTILE = 0.75
SLICES = "slices"

HealthyScores = Sequence[Sequence[NDArray[np.float32]]]
"""Of each patient, of each of its scans: the scores of the brain pixels of its healthy slices."""


@dataclass(frozen=True)
class Threshold:
    """A decision value and where it comes from.

    Attributes:
        value: Anomalies above it are marked.
        criterion: How it was chosen, in words.
        guarantee: What it guarantees for an unseen subject.
        subjects: Number of subjects that it was chosen on.
        added_to: The one of `LEVELS` that the value is to be added to; None where it stands for itself.
        chosen_on: What of these subjects was looked at.
        slices: How many slices that was.
    """

    value: float
    criterion: str
    guarantee: str
    subjects: int = 0
    added_to: str | None = None
    chosen_on: str = ""
    slices: int = 0


@dataclass(frozen=True)
class Thresholds:
    """Where a scorer cuts, chosen without labels, and how healthy subjects score.

    Attributes:
        voxel: A known share of a healthy brain lies above it.
        scan: Most healthy scans have nothing above it.
        relative: As ``voxel``, above each scan's own level.
        healthy_scores: Of healthy subjects, rising: what the score of a scan is compared with.
    """

    voxel: Threshold
    scan: Threshold
    relative: Threshold
    healthy_scores: tuple[float, ...]


def choose_thresholds(
    healthy: HealthyScores, *, rate: float, alarm_rate: float, slices: int = 0, where: str = SLICES
) -> Thresholds:
    """All thresholds of one scorer.

    Args:
        healthy: Of validation subjects, of what is healthy in them.
        rate: Share of the healthy brain that may be marked.
        alarm_rate: Share of healthy subjects that may have anything marked at all.
        slices: How many slices these scores are of.
        where: Healthy what, for what is guaranteed: slices, or regions.

    Raises:
        DataError: there is no score to choose from.
    """
    patients = [np.concatenate(scans) for scans in healthy]

    def of(threshold: Threshold) -> Threshold:
        return replace(threshold, chosen_on=f"healthy validation {where}", slices=slices)

    return Thresholds(
        voxel=of(voxel_threshold(patients, rate=rate, where=where)),
        scan=of(scan_threshold(patients, rate=alarm_rate, where=where)),
        relative=of(relative_threshold(healthy, rate=rate, where=where)),
        healthy_scores=tuple(sorted(scan_score(one) for one in patients if one.size)),
    )


def threshold_of_scan(threshold: Threshold, scores: Scores) -> float:
    """Where one scan is cut: the value, above the scan's own level where it is relative.

    A relative threshold is never below the least score of the scan: what is as ordinary as can be is not marked.

    Args:
        threshold: One of `Thresholds`.
        scores: Of the brain voxels of the scan.

    Raises:
        ModelError: the threshold is of a later version, and above a level that is not known here.
    """
    if threshold.added_to is None:
        return threshold.value
    if threshold.added_to not in LEVELS:
        raise ModelError(
            f"the threshold is to be added to the {threshold.added_to}, and only the {', the '.join(LEVELS)} is known",
            "update mmccd",
        )
    return max(threshold.value + LEVELS[threshold.added_to](scores), float(scores.min()))


def voxel_threshold(scores: Sequence[Scores], *, rate: float, where: str = SLICES) -> Threshold:
    """The smallest threshold at which subjects have at most this share of their healthy brain marked, on average.

    With n subjects whose marked shares average to R at a threshold that no unseen subject took part in choosing, the
    expected share of an unseen one is at most (n R + 1) / (n + 1) (conformal risk control: Angelopoulos et al., 2022,
    arXiv 2208.02814, theorem 1). It is near R; the rest is what n subjects leave unknown in the worst case.

    Args:
        scores: Of each subject the scores of all its healthy brain pixels, any shape.
        rate: Share of the brain, between 0 and 1.
        where: As of `choose_thresholds`.

    Raises:
        DataError: there is no score to choose from.
    """
    subjects = _with_pixels(scores)
    n = len(subjects)
    pooled = np.concatenate([one.ravel() for one in subjects])
    share = np.concatenate([np.full(one.size, 1 / (n * one.size)) for one in subjects])
    values, place = np.unique(pooled, return_inverse=True)
    mass = np.bincount(place, weights=share)
    marked = mass[::-1].cumsum()[::-1] - mass  # by each value as the threshold: what lies above it
    value = float(values[np.argmax(marked <= rate + 1e-9)])
    expected = (n * rate + 1) / (n + 1)
    return Threshold(
        value,
        criterion=f"{rate:.3g} of the brain in healthy {where} lies above, mean over {n} subjects",
        guarantee=f"on average at most {expected:.3g} of the brain in healthy {where} of subjects like these is marked",
        subjects=n,
    )


def scan_threshold(scores: Sequence[Scores], *, rate: float, where: str = SLICES) -> Threshold:
    """The smallest threshold at which at most this share of subjects has anything marked in healthy brain at all.

    It is the k-th smallest of the subjects' highest scores, k = ceil((n + 1) (1 - rate)) (split-conformal prediction,
    Vovk et al., 2005). With fewer than 1 / rate - 1 subjects it is the highest, which guarantees 1 / (n + 1).

    Args, raises: as `voxel_threshold`.
    """
    subjects = _with_pixels(scores)
    n = len(subjects)
    highest = np.sort([float(one.max()) for one in subjects])
    k = min(n, ceil((n + 1) * (1 - rate) - 1e-9))
    held = max(rate, 1 / (n + 1))
    return Threshold(
        value=float(highest[k - 1]),
        criterion=f"{k} of {n} subjects have nothing above in their healthy {where}",
        guarantee=f"at most {held:.3g} of subjects like these have anything marked in their healthy {where}",
        subjects=n,
    )


def own_level(scores: Scores) -> float:
    """The upper quartile of one scan's scores over its brain, which rises and falls with the whole map.

    A lesion above it moves it little: one of a tenth of the brain to the 83rd percentile of the healthy tissue.
    """
    return float(np.quantile(scores, LEVEL_QUANTILE))


LEVEL = "upper quartile of the scan's own scores"
LEVELS: Mapping[str, Callable[[Scores], float]] = {LEVEL: own_level}
"""Of one scan, by their names on a card: what a relative threshold is added to."""


def relative_threshold(scores: Sequence[Sequence[Scores]], *, rate: float, where: str = SLICES) -> Threshold:
    """As `voxel_threshold`, but of what exceeds each scan's own level: ``value`` is to be added to `own_level`.

    The guarantee is about scans whose level, too, is taken from what is healthy alone.

    Args:
        scores: Of each subject, of each of its scans the scores of all its healthy brain pixels.
        rate: Share of the brain, between 0 and 1.
        where: As of `choose_thresholds`.

    Raises:
        DataError: there is no score to choose from.
    """
    above = [[scan - own_level(scan) for scan in scans if scan.size] for scans in scores]
    found = voxel_threshold([np.concatenate(scans) for scans in above if scans], rate=rate, where=where)
    return replace(
        found,
        criterion=f"{rate:.3g} of the brain in healthy {where} exceeds the {LEVEL} by more, "
        f"mean over {found.subjects} subjects",
        guarantee=f"{found.guarantee}, if a scan holds such slices alone",
        added_to=LEVEL,
    )


def p_value(score: float, healthy_scores: Sequence[float]) -> float:
    """How unusual a scan is: the share of healthy scans that score as high, itself among them; in (0, 1].

    Under exchangeability at most a share a of healthy scans gets a value of a or below (Vovk et al., 2005). The least
    value is 1 / (n + 1): few healthy subjects cannot show that a scan is very unusual.

    Raises:
        ValueError: the score is not a number.
    """
    if isnan(score):
        raise ValueError("the score is not a number")
    as_high = sum(healthy >= score for healthy in healthy_scores)
    return (1 + as_high) / (1 + len(healthy_scores))


def _with_pixels(scores: Sequence[Scores]) -> list[Scores]:
    subjects = [one for one in scores if one.size]
    if not subjects:
        raise DataError(
            "no brain pixel of a healthy validation slice is there to choose the threshold on",
            "prepare the store with validation subjects that have slices free of lesions",
        )
    return subjects
