"""How sure a mean over patients is: percentile bootstrap intervals, in which a patient counts once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmccd.data.splits import patient_of

COVERAGE_PERCENT = 95.0
_DRAWS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Interval:
    """Mean over subjects with its 95 % bootstrap interval.

    Attributes:
        mean: Over the subjects whose value is defined; NaN if there are none.
        low: Lower end; NaN below two subjects, which say nothing about the spread.
        high: Upper end; NaN below two subjects.
        n: Subjects in the mean.
        undefined: Subjects left out because their value is NaN or infinite.
    """

    mean: float
    low: float
    high: float
    n: int
    undefined: int

    def __str__(self) -> str:
        """Readable form, for example ``0.712 [0.650, 0.770]``."""
        text = f"{self.mean:.3f}" if self.n else "undefined"
        if np.isfinite(self.low):
            text += f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{text} ({self.undefined} undefined)" if self.n and self.undefined else text


def by_patient(subjects: Sequence[str], values: Sequence[float]) -> list[float]:
    """One value per patient, in order of appearance: sessions of one patient are no independent looks.

    Args:
        subjects: Ids of the scans, see `patient_of`.
        values: One per scan.

    Returns:
        Means over the sessions whose value is neither NaN nor infinite; NaN where a patient has none.
    """
    sessions: dict[str, list[float]] = {}
    for subject, value in zip(subjects, values, strict=True):
        defined = sessions.setdefault(patient_of(subject), [])
        defined += [float(value)] if np.isfinite(value) else []
    return [sum(defined) / len(defined) if defined else float("nan") for defined in sessions.values()]


def bootstrap_mean(values: Sequence[float], *, resamples: int = 2000, seed: int = 0) -> Interval:
    """Mean of one value per subject, with the percentile interval over resampled subjects.

    Subjects whose value is NaN or infinite are left out and counted; the same seed gives the same interval.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3.
    """
    array = np.asarray(values, dtype=np.float64)
    defined = array[np.isfinite(array)]
    undefined = array.size - defined.size
    if defined.size == 0:
        return Interval(float("nan"), float("nan"), float("nan"), 0, undefined)
    mean = float(defined.mean())
    if defined.size == 1:
        return Interval(mean, float("nan"), float("nan"), 1, undefined)
    rng, means = np.random.default_rng(seed), np.empty(resamples)
    at_once = max(1, _DRAWS_AT_ONCE // defined.size)  # the same draws, whatever this is
    for first in range(0, resamples, at_once):
        part = means[first : first + at_once]
        part[:] = defined[rng.integers(0, defined.size, size=(part.size, defined.size))].mean(axis=1)
    tail = (100.0 - COVERAGE_PERCENT) / 2
    low, high = np.percentile(means, [tail, 100.0 - tail])
    return Interval(mean, float(low), float(high), defined.size, undefined)
