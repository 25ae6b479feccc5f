"""From which level of a scan should its threshold be counted? Label-free Dice of `best` by the form of that level.

    python benchmarks/threshold_level.py WORK

WORK is what relative_threshold.py used. Maps of validation and test patients of folds 2 and 3 and of the two patients
with multiple sclerosis are made once and kept there; each form of a level then gets its threshold as `mmccd` chooses
it, at the same share of healthy brain. Writes threshold_level.json and .md here.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from cross_validation import SOURCES
from measure import write_page
from numpy.typing import NDArray
from volumes import CPU, healthy_apart, over_brain

from mmccd.comparison.scores import scans
from mmccd.data.splits import patient_of
from mmccd.data.store import Store, open_store
from mmccd.evaluation.metrics import Confusion
from mmccd.evaluation.tables import markdown_table
from mmccd.model.config import typical
from mmccd.model.folder import load_model
from mmccd.model.model import Model
from mmccd.scoring.thresholds import own_level, voxel_threshold
from mmccd.training.calibration import fit_error

HERE = Path(__file__).parent
FOLDS = (2, 3)
Scores = NDArray[np.float32]
Level = Callable[[Scores, float], tuple[float, float]]
"""Scores of a scan and the rate, to what is taken from them and what they are then divided by."""


def percentile(q: float) -> Level:
    """The rate has no part in it."""
    return lambda scores, _: (float(np.quantile(scores, q / 100)), 1.0)


def ratio(q: float) -> Level:
    """A level that scores are divided by."""
    return lambda scores, _: (0.0, max(float(np.quantile(scores, q / 100)), 1e-6))


def spread(scores: Scores, _: float) -> tuple[float, float]:
    """Median and interquartile range."""
    low, middle, high = np.quantile(scores, [0.25, 0.5, 0.75])
    return float(middle), max(float(high - low), 1e-6)


FORMS: dict[str, tuple[Level, bool]] = {
    "none: one threshold for all scans": (lambda *_: (0.0, 1.0), False),
    **{f"less its {q}th percentile": (percentile(q), False) for q in (50, 60, 70, 75, 80)},
    "less its 75th percentile, of whole scans": (percentile(75), True),
    "divided by its 50th percentile": (ratio(50), False),
    "divided by its 75th percentile": (ratio(75), False),
    "less its median, divided by its interquartile range": (spread, False),
    "less its highest share, the rate itself": (
        lambda scores, rate: (float(np.quantile(scores, 1 - rate)), 1.0),
        False,
    ),
}
"""And whether the levels of validation patients are those of whole scans, lesions among them, or of healthy slices."""


def main() -> None:
    work = Path(sys.argv[1])
    found: dict[str, dict[str, dict[str, float]]] = {form: {} for form in FORMS}
    levels = [["upper quartiles, nats", "validation, healthy slices", "test, whole scans", "multiple sclerosis"]]
    for source in SOURCES:
        folds = [maps(work, fold, source) for fold in FOLDS]
        for number, fold in zip(FOLDS, folds, strict=True):
            levels.append(
                [f"{source.upper()}, fold {number}", *(span(fold, kind) for kind in ("healthy", "test", "ms"))]
            )
        for form, (level, whole) in FORMS.items():
            found[form][source] = {
                kind: float(np.mean([dice(fold, source, kind, level, whole) for fold in folds]))
                for kind in ("test", "ms")
            }
    heads = ["level of a scan", *(f"{source.upper()}, {kind}" for kind in ("glioma", "MS") for source in SOURCES)]
    table = [heads] + [
        [form, *(f"{by_source[source][kind]:.3f}" for kind in ("test", "ms") for source in SOURCES)]
        for form, by_source in found.items()
    ]
    what = (
        "Written by `python benchmarks/threshold_level.py WORK`: label-free Dice of the preset `best`, mean over the "
        "test patients of folds 2 and 3 of cross_validation.md, and over the two patients with multiple sclerosis and "
        "both folds, by the level that each scan's threshold is counted from; that of validation patients is taken "
        "from their healthy slices, where nothing else is said; below, the levels: lowest, median, highest; seed 0"
    )
    write_page(
        HERE / "threshold_level",
        "From which level of a scan",
        what,
        [markdown_table(table), markdown_table(levels)],
        found,
    )


def span(fold: dict[str, Scores], kind: str) -> str:
    """Lowest, median and highest level of the scans of a kind."""
    found = [own_level(one) for name, one in fold.items() if name.startswith(f"{kind}/")]
    return f"{min(found):.2f}, {np.median(found):.2f}, {max(found):.2f}"


def maps(work: Path, fold: int, source: str) -> dict[str, Scores]:
    """Scores over the brain: ``healthy/PATIENT``, ``validation/PATIENT``, ``test/`` and ``ms/SUBJECT``."""
    kept = work / "relative" / f"maps{fold}_{source}.npz"
    if not kept.exists():
        model = load_model(work / f"ms{fold}_{source}" / "models" / source / "veiled-cycle")
        np.savez(kept, **scored(model, source, open_store(work / f"store{fold}"), open_store(work / "store_ms")))
    with np.load(kept) as arrays:
        return dict(arrays)


def scored(model: Model, source: str, store: Store, ms: Store) -> dict[str, Scores]:
    """Evidence is that of the validation patients, each of whom is scored by that of the others."""
    error, errors = fit_error(model.method, store, model.config, CPU)
    scorer = replace(model, error=error).scorer(CPU)
    healthy = healthy_apart(scorer, errors, store)
    found = {f"healthy/{patient}": one for patient, (one,) in zip(errors, healthy, strict=True)}  # each has one scan
    for scan in scans(store, "validation", source):
        patient = patient_of(scan.expert.id)
        apart = replace(scorer, error=errors[patient])
        found[f"validation/{patient}"], _ = over_brain(apart, scan, {source: scan.source})
    for kind, one in (("test", store), ("ms", ms)):
        for scan in scans(one, "test", source):
            subject = scan.expert.id
            found[f"{kind}/{subject}"], found[f"lesion/{subject}"] = over_brain(scorer, scan, {source: scan.source})
            found[f"missed/{subject}"] = (scan.expert.lesion & ~scan.expert.brain).sum()
    return found


def dice(fold: dict[str, Scores], source: str, kind: str, level: Level, whole: bool) -> float:
    """Mean over the scans of a kind, at the threshold that healthy slices choose."""
    rate = typical("false_positive_rate", source)
    healthy = {name.removeprefix("healthy/"): one for name, one in fold.items() if name.startswith("healthy/")}
    levels = {name: level(fold[f"validation/{name}"] if whole else one, rate) for name, one in healthy.items()}
    chosen = [(one - levels[name][0]) / levels[name][1] for name, one in healthy.items()]
    threshold = voxel_threshold(chosen, rate=rate).value
    values = []
    for name in (name for name in fold if name.startswith(f"{kind}/")):
        subject, scores = name.removeprefix(f"{kind}/"), fold[name]
        shift, scale = level(scores, rate)
        marked, lesion = (scores - shift) / scale > threshold, fold[f"lesion/{subject}"].astype(bool)
        hit = int((marked & lesion).sum())
        missed = int(lesion.sum()) - hit + int(fold[f"missed/{subject}"])
        values.append(Confusion(hit, int(marked.sum()) - hit, missed).dice)
    return float(np.mean(values))


if __name__ == "__main__":
    main()
