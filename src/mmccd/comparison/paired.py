"""Who is ahead, and by how much: differences paired by patient, and what may be said of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import wilcoxon

from mmccd.comparison.record import BenchmarkRecord, Row
from mmccd.evaluation.intervals import Interval, bootstrap_mean, by_patient


def paired(first: BenchmarkRecord, second: BenchmarkRecord, metric: str) -> tuple[Interval, float]:
    """Mean difference over the patients of both with its interval, and p of Wilcoxon's signed-rank test."""
    theirs = {row["subject"]: number(row[metric]) for row in second.rows}
    subjects = [row["subject"] for row in first.rows]
    differences = by_patient(subjects, [number(row[metric]) - theirs[row["subject"]] for row in first.rows])
    defined = np.array([value for value in differences if np.isfinite(value)])
    p = float(wilcoxon(defined).pvalue) if len(defined) > 1 and defined.any() else float("nan")
    return bootstrap_mean(differences), p


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted for the number of comparisons (Holm, 1979); NaN stays and does not count."""
    values = np.asarray(p_values, dtype=np.float64)
    order = [i for i in np.argsort(values) if np.isfinite(values[i])]
    adjusted, highest = values.copy(), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * values[i]))
        adjusted[i] = highest
    return [float(value) for value in adjusted]


def verdict(named: Mapping[str, BenchmarkRecord], ours: str) -> str:
    """One honest sentence about one of ours among the others, from the intervals of the paired differences."""
    ahead, level, unknown, behind = [], [], [], 0
    for name, record in named.items():
        if name == ours:
            continue
        interval, _ = paired(named[ours], record, "auprc")
        difference = f"{name} ({-interval.mean:+.3f})"
        if np.isnan(interval.low):  # of fewer than two subjects
            unknown.append(name)
        elif interval.low > 0:
            behind += 1
        elif interval.high < 0:
            ahead.append(difference)
        else:
            level.append(difference)
    # Intervals are of one comparison each; the table's p is adjusted for all of them.
    compared = len(named) - 1 - len(unknown)
    text = f"{ours} has AUPRC {mean_interval(named[ours].rows, 'auprc').mean:.3f}"
    if compared or not unknown:
        text += f"; {behind} of {compared} are behind it"
        text += f"; ahead of it: {', '.join(ahead)}" if ahead else "; none is ahead of it"
    if level:
        text += f"; the interval of the difference holds 0 for {', '.join(level)}"
    if unknown:
        text += f"; too few subjects to compare it with {', '.join(unknown)}"
    return text + "."


def mean_interval(rows: Sequence[Row], metric: str, *, subject: str = "subject") -> Interval:
    """Mean of a metric over the patients of a record's rows, with its interval."""
    return bootstrap_mean(by_patient([row[subject] for row in rows], [number(row[metric]) for row in rows]))


def number(value: Any) -> float:
    """JSON has null for what is not defined."""
    return float("nan") if value is None else float(value)
