"""What healthy validation slices say about trained networks: ordinary errors, and thresholds that no label touched."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmccd.data.healthy import HealthyTissue
from mmccd.data.splits import patient_of
from mmccd.data.store import Store
from mmccd.errors import MmccdWarning
from mmccd.method.anomaly_map import Error, anomaly_map, squared_error
from mmccd.method.method import Method
from mmccd.model.build import build_error
from mmccd.model.card import THRESHOLD_KINDS, IntensityThresholds, IntensityValues
from mmccd.model.config import Config, ScoringConfig, typical
from mmccd.model.scorer import ModelScorer, Scorer
from mmccd.scoring.evidence import count_healthy_pairs, no_pairs
from mmccd.scoring.intensity_baseline import IntensityBaseline
from mmccd.scoring.thresholds import HealthyScores, Thresholds, choose_thresholds
from mmccd.system.progress import ProgressCallback, duration, no_progress
from mmccd.training.kept import KeptArrays

BATCH = 32
EVALUATIONS_AT_ONCE = 50_000
"""Of one slice by one network: what a killed calibration loses at most."""
LONG_S = 600.0
"""A calibration that takes longer is announced by a warning."""

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Run:
    """Slices of one validation scan with healthy tissue that are neighbours.

    A slice without any ends a run: what is smoothed across the gap that it leaves is no tissue.

    Attributes:
        patient: Whose they are.
        scan: Subject id.
        rows: Of the store.
        spacing_mm: Distance of slices, rows and columns.
    """

    patient: str
    scan: str
    rows: Rows
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Calibrated:
    """What comes of a calibration.

    Attributes:
        error: Between x and what is restored.
        thresholds: Chosen on the healthy validation slices.
        intensity: Those of the plain intensity, chosen alike.
    """

    error: Error
    thresholds: Thresholds
    intensity: IntensityThresholds


def calibration_of(
    method: Method,
    store: Store,
    config: Config,
    device: torch.device,
    *,
    kept: KeptArrays | None = None,
    progress: ProgressCallback = no_progress,
) -> Calibrated:
    """Count what is ordinary, and choose thresholds, on the healthy validation slices of a store.

    What it will cost is said first: through ``progress``, and by a warning where it is long.

    Args:
        method: Trained networks.
        store: Its validation part is used.
        config: Source modality and scoring.
        device: Where to compute.
        kept: Where parts of the work are kept, so that a killed calibration goes on; None keeps nothing.
        progress: Called with what is done, the slices done, and how many there are.
    """
    scorer = ModelScorer(method.to(device).eval(), squared_error, config, device, BATCH)
    tissue = healthy_tissue(store, config)
    runs = healthy_runs(tissue)
    passes = 2 if config.scoring.error == "tail" else 1
    slices = passes * sum(len(run.rows) for run in runs)
    work = _Work(scorer, tissue, kept, progress, slices)
    progress(announced(scorer, tissue, slices), 0, slices)
    error, errors = _fit_error(work, runs)
    scores = healthy_scores(
        tissue, lambda run, brain, healthy: work.anomaly_map(run, brain, healthy, errors[run.patient])
    )
    scoring = config.scoring
    return Calibrated(
        error, thresholds_of(scores, tissue, scoring), intensity_thresholds(tissue, config.source, scoring)
    )


def healthy_tissue(store: Store, config: Config) -> HealthyTissue:
    """What of a store counts as healthy, as a training is set."""
    training = config.training
    return HealthyTissue(store, training.lesion_margin_mm if training.healthy == "regions" else None)


def fit_error(method: Method, store: Store, config: Config, device: torch.device) -> tuple[Error, dict[str, Error]]:
    """The error that settings ask for, its evidence counted on the healthy validation slices of the store.

    Returns:
        The error, and for each validation patient the one to calibrate with, which its own pixels had no part in: a
        patient that helped to say what is ordinary looks more ordinary than an unseen one. A single patient has no
        other and is scored with its own.
    """
    scorer = ModelScorer(method.to(device).eval(), squared_error, config, device, BATCH)
    tissue = healthy_tissue(store, config)
    return _fit_error(_Work(scorer, tissue, None, no_progress, 0), healthy_runs(tissue))


def count_healthy(method: Method, store: Store, config: Config, device: torch.device) -> dict[str, Tensor]:
    """Of each validation patient, how often each pair of x and x_hat occurs where its healthy slices are scored.

    Returns:
        Patient to (BINS, BINS) or (2, BINS, BINS) int64, see `count_healthy_pairs`.
    """
    scorer = ModelScorer(method.to(device).eval(), squared_error, config, device, BATCH)
    tissue = healthy_tissue(store, config)
    return _counts(_Work(scorer, tissue, None, no_progress, 0), healthy_runs(tissue))


def count_run(scorer: ModelScorer, tissue: HealthyTissue, run: Run) -> Tensor:
    """`count_healthy` of one run."""
    return _Work(scorer, tissue, None, no_progress, 0).counts(run)


def announced(scorer: ModelScorer, tissue: HealthyTissue, slices: int) -> str:
    """What the calibration will cost, in words, from the time that a few evaluations take; a warning if it is long."""
    rows = tissue.rows("validation")[:4]
    if not rows.size:
        return "calibrating"
    quick = scorer.method.quick()
    source = tissue.store.slices(scorer.config.source, rows)
    seconds = []
    for _ in range(2):  # the first one warms up
        for batch in scorer.batches(source):
            started = time.perf_counter()
            with batch as x:
                float(anomaly_map(x, quick.restorations(x)).sum())  # waits for the device
            seconds.append((time.perf_counter() - started) / (len(rows) * quick.evaluations))
    evaluations = scorer.method.evaluations
    expected = min(seconds) * evaluations * slices
    text = f"calibrating: {evaluations:,} network evaluations for each of {slices} slices, about {duration(expected)}"
    if expected > LONG_S:
        warnings.warn(
            f"{text}; if it is stopped, the same command goes on with it (train with --resume)",
            MmccdWarning,
            stacklevel=3,
        )
    return text


def healthy_runs(tissue: HealthyTissue) -> list[Run]:
    """The runs of slices with healthy tissue of the validation scans, by scan."""
    table, pixel_mm = tissue.store.index.iloc[tissue.rows("validation")], tissue.store.grid.pixel_mm
    found = []
    for subject, scan in table.groupby("subject"):
        slice_mm = float(scan["spacing_z_mm"].iloc[0])
        gaps = np.flatnonzero(np.diff(scan["slice"]) != 1) + 1
        for rows in np.split(scan.index.to_numpy(), gaps):
            found.append(Run(patient_of(str(subject)), str(subject), rows, (slice_mm, pixel_mm, pixel_mm)))
    return found


def healthy_scores(
    tissue: HealthyTissue, anomaly_map_of: Callable[[Run, Mask, Mask], NDArray[np.float32]]
) -> HealthyScores:
    """Of each validation patient, scan by scan, a map over the pixels of its healthy brain.

    What is not healthy is left out before anything is smoothed, so that no lesion shines into its neighbours. A scan
    is later smoothed with its lesions, which shine into what is healthy beside them: the thresholds guarantee nothing
    for that (see `mmccd.scoring.thresholds`).

    Args:
        tissue: Its validation part is used.
        anomaly_map_of: A run, its brain, and what of that is healthy, to a map of the run.
    """
    found: dict[str, dict[str, list[NDArray[np.float32]]]] = {}
    for run in healthy_runs(tissue):
        brain = np.asarray(tissue.store.array("brain")[run.rows])
        healthy = brain & tissue.mask(run.rows)
        runs = found.setdefault(run.patient, {}).setdefault(run.scan, [])
        runs.append(anomaly_map_of(run, brain, healthy)[healthy])
    return [[np.concatenate(runs) for runs in scans.values()] for scans in found.values()]


def scores_of(scorer: Scorer, tissue: HealthyTissue, modalities: tuple[str, ...]) -> HealthyScores:
    """`healthy_scores` of a scorer that knows nothing of these patients."""

    def anomaly_map_of(run: Run, brain: Mask, healthy: Mask) -> NDArray[np.float32]:
        slices = {name: tissue.store.slices(name, run.rows) for name in modalities}
        return scorer.anomaly_map(slices, brain, run.spacing_mm, healthy=healthy)

    return healthy_scores(tissue, anomaly_map_of)


def thresholds_of(healthy: HealthyScores, tissue: HealthyTissue, scoring: ScoringConfig) -> Thresholds:
    """All thresholds, at the rates of the settings."""
    return choose_thresholds(
        healthy,
        rate=scoring.false_positive_rate,
        alarm_rate=scoring.false_alarm_rate,
        slices=int(tissue.rows("validation").size),
        where=tissue.words,
    )


def intensity_baselines(source: str, scoring: ScoringConfig) -> tuple[IntensityBaseline, IntensityBaseline]:
    """The intensities that a card has thresholds of: plain, and smoothed as the map is."""
    plain = IntensityBaseline(source, typical("polarity", source), "plain", scoring.smooth_mm)
    return plain, replace(plain, kind="smoothed")


def intensity_thresholds(tissue: HealthyTissue, source: str, scoring: ScoringConfig) -> IntensityThresholds:
    """For a card: where the intensity of the source is cut, plain, and smoothed as the map is."""
    polarity = typical("polarity", source)
    chosen = {
        baseline.kind: thresholds_of(scores_of(baseline, tissue, (source,)), tissue, scoring)
        for baseline in intensity_baselines(source, scoring)
    }
    values = {
        key: IntensityValues(**{kind: getattr(thresholds, name).value for kind, thresholds in chosen.items()})
        for name, key in THRESHOLD_KINDS.items()
    }
    return IntensityThresholds(polarity=polarity, smooth_mm=scoring.smooth_mm, **values)


@dataclass
class _Work:
    """A scorer at the healthy tissue of a store, piece by piece, so that pieces can be kept."""

    scorer: ModelScorer
    tissue: HealthyTissue
    kept: KeptArrays | None
    progress: ProgressCallback
    total: int
    done: int = 0

    def counts(self, run: Run) -> Tensor:
        """Histogram of the healthy pairs of a run, see `count_healthy_pairs`."""
        found = [
            torch.from_numpy(self._kept(f"counts_{rows[0]}", rows, partial(self._count, run, rows)))
            for rows in self._pieces(run)
        ]
        return torch.stack(found).sum(dim=0)

    def anomaly_map(self, run: Run, brain: Mask, healthy: Mask, error: Error) -> NDArray[np.float32]:
        """Of a run, with an error of its own."""
        scorer = replace(self.scorer, error=error)
        region = scorer.region(brain, run.spacing_mm) & healthy
        errors = []
        for rows in self._pieces(run):
            make = partial(scorer.errors, self._source(rows), region[np.isin(run.rows, rows)])
            errors.append(self._kept(f"errors_{rows[0]}", rows, make))
        return scorer.smoothed(np.concatenate(errors), region, run.spacing_mm)

    def _count(self, run: Run, rows: Rows) -> NDArray[np.int64]:
        brain = np.asarray(self.tissue.store.array("brain")[rows])
        region = torch.from_numpy(self.scorer.region(brain, run.spacing_mm) & self.tissue.mask(rows))[:, None]
        counts = no_pairs()
        for batch in self.scorer.batches(self._source(rows)):
            with batch as x:
                scored = region[batch.rows].to(x.device)
                found = [count_healthy_pairs(x, one, scored) for one in self.scorer.method.restorations(x)]
                counts = counts + torch.stack(found).sum(dim=0).cpu()
        return counts.numpy()

    def _source(self, rows: Rows) -> NDArray[np.float32]:
        return self.tissue.store.slices(self.scorer.config.source, rows)

    def _pieces(self, run: Run) -> list[Rows]:
        size = max(1, min(BATCH, EVALUATIONS_AT_ONCE // self.scorer.method.evaluations))
        return [run.rows[start : start + size] for start in range(0, len(run.rows), size)]

    def _kept(self, name: str, rows: Rows, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        found = self.kept.get(name, make) if self.kept is not None else make()
        self.done += len(rows)
        self.progress("calibrating", min(self.done, self.total), self.total)
        return found


def _fit_error(work: _Work, runs: list[Run]) -> tuple[Error, dict[str, Error]]:
    config, patients = work.scorer.config, list(dict.fromkeys(run.patient for run in runs))
    if config.scoring.error == "squared":
        error = build_error(config, None)
        return error, dict.fromkeys(patients, error)
    counts = _counts(work, runs)
    total = sum(counts.values(), no_pairs())
    alone = len(counts) == 1
    return build_error(config, total), {
        patient: build_error(config, own if alone else total - own) for patient, own in counts.items()
    }


def _counts(work: _Work, runs: list[Run]) -> dict[str, Tensor]:
    counts: dict[str, Tensor] = {}
    for run in runs:
        found = work.counts(run)
        counts[run.patient] = counts[run.patient] + found if run.patient in counts else found
    return counts
