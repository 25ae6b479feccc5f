"""Detections against expert masks: a table per case, means with intervals, and the plain intensity baseline.

Label-free numbers come first: masks at the threshold that the model brought along, and threshold-free areas.
Whatever was tuned on the test labels has "oracle" in its name.
"""

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmccd.data.cohort import Cohort, read_cohort
from mmccd.data.layouts.entities import Selection
from mmccd.data.own_folders import results_in
from mmccd.data.pseudonyms import names_of_files, redact, with_pseudonyms
from mmccd.errors import DataError, MmccdError, MmccdWarning
from mmccd.evaluation.case import BASELINES, ScoredCase, load_scored_case, predicted_cases
from mmccd.evaluation.intervals import Interval, bootstrap_mean, by_patient
from mmccd.evaluation.measure import METRICS, Row, dice_at, measure
from mmccd.evaluation.metrics import oracle_threshold
from mmccd.evaluation.montage import write_montage
from mmccd.evaluation.paper_protocol import PAPER_METRICS, LesionSlice, largest_lesion_slice, paper_rows
from mmccd.evaluation.tables import Evaluation
from mmccd.system.files import write_atomically, write_csv, write_json
from mmccd.system.progress import ProgressCallback, no_progress

__all__ = ["Evaluation", "evaluate"]

DIFFERENCES = ("auprc", "dice")
_REMEDY = "predict the others alone, for example with `mmccd predict --split STORE`"
_LISTED_REASONS = 3
_DRAWN_CASES = 12
Mean = Callable[[Sequence[Row], Sequence[float]], Interval]


class _Pool:
    """Brain voxels of all cases for the oracle, in files: memory holds one case, however many there are."""

    def __init__(self, folder: Path) -> None:
        self._scores, self._lesions = folder / "scores", folder / "lesions"
        self._sizes: list[int] = []
        folder.mkdir()

    def add(self, score: NDArray[np.float32], lesion: NDArray[np.bool_]) -> None:
        for path, values in ((self._scores, score), (self._lesions, lesion)):
            try:
                with path.open("ab") as stream:
                    values.tofile(stream)
            except OSError as error:
                raise _not_writable(path.parent, error) from error
        self._sizes.append(score.size)

    def cases(self) -> tuple[list[NDArray[np.float32]], list[NDArray[np.bool_]]]:
        ends = np.cumsum(self._sizes)[:-1]
        scores: NDArray[np.float32] = np.memmap(self._scores, np.float32, "r")
        lesions: NDArray[np.bool_] = np.memmap(self._lesions, np.bool_, "r")
        return np.split(scores, ends), np.split(lesions, ends)


class _Collector:
    """Gathers the cases one by one: of each its rows, its slice for the paper's protocol and, on disk, its scores."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._pools: dict[str, _Pool] = {}
        self._slices: dict[str, list[LesionSlice]] = {}
        self._rows: dict[str, list[Row]] = {}
        self._lesion_voxels: dict[str, list[int]] = {}
        self.trained_on: list[str] = []

    def add(self, case: ScoredCase) -> None:
        expert = case.expert
        self.trained_on += [expert.id] * case.record.trained_on
        for scored in case.scored:
            name = scored.method
            if name not in self._pools:
                self._pools[name] = _Pool(self._scratch / str(len(self._pools)))
            self._pools[name].add(scored.score[expert.brain], expert.lesion[expert.brain])
            self._rows.setdefault(name, []).append(measure(expert, scored) | {"source": case.record.source})
            self._lesion_voxels.setdefault(name, []).append(int(expert.lesion.sum()))
            piece = largest_lesion_slice(expert, scored.score)
            self._slices.setdefault(name, []).extend([piece] if piece else [])

    def rows(self) -> tuple[list[Row], dict[str, float]]:
        """Rows with ``oracle_dice``, in order of the cases, and the oracle threshold of each method."""
        thresholds: dict[str, float] = {}
        complete: list[Row] = []
        for name, pool in self._pools.items():
            scores, lesions = pool.cases()
            thresholds[name], _ = oracle_threshold(scores, lesions)
            for row, score, lesion, size in zip(
                self._rows[name], scores, lesions, self._lesion_voxels[name], strict=True
            ):
                complete.append(row | {"oracle_dice": dice_at(thresholds[name], score, lesion, size)})
        return sorted(complete, key=lambda row: str(row["case"])), thresholds

    def paper_rows(self) -> tuple[list[Row], dict[str, float]]:
        """Rows of the paper's protocol, and its oracle threshold for each method."""
        thresholds: dict[str, float] = {}
        complete: list[Row] = []
        for name, slices in self._slices.items():
            rows, thresholds[name] = paper_rows(slices)
            complete += [{"case": row.pop("case"), "method": name} | row for row in rows]
        return sorted(complete, key=lambda row: str(row["case"])), thresholds


def evaluate(
    predictions: Path,
    data: Path,
    output: Path,
    *,
    layout: str = "auto",
    select: Selection | None = None,
    resamples: int = 2000,
    seed: int = 0,
    anonymize: Path | None = None,
    progress: ProgressCallback = no_progress,
) -> Evaluation:
    """Compare the detections of ``mmccd predict`` with the lesion masks of a cohort.

    Writes ``metrics.csv`` (a row per case and method), ``evaluation.json``, ``table.md`` and ``montage.png``.
    A case that cannot be used is listed in ``failures``; the others go on.

    Args:
        predictions: Folder with ``<case>_anomaly.nii.gz``, ``<case>_mask.nii.gz`` and ``<case>.json``.
        data: Cohort with lesion masks; subjects are matched to cases by id.
        output: Folder for the results.
        layout: Layout of ``data``, see ``read_cohort``.
        select: Which of several files for one role is meant, see ``read_cohort``.
        resamples: Bootstrap resamples over patients, whose sessions are averaged.
        seed: Of the bootstrap.
        anonymize: Key of the names that the cases were predicted under.
        progress: Called with a case, the number done, and the total.

    Raises:
        DataError: no case can be evaluated, or the output cannot be written.
    """
    predictions = results_in(predictions)
    cases = predicted_cases(predictions)
    cohort = read_cohort(data, layout, select)
    ids: dict[str, str] = {}
    if anonymize is not None:
        cohort, names = with_pseudonyms(cohort, anonymize, outside=output)
        ids = {name: id_ for id_, name in names.items()}
    failures: dict[str, str] = {}
    with _scratch_folder(output) as scratch:
        collector = _Collector(Path(scratch))
        for done, case in enumerate(cases):
            progress(case, done, len(cases))
            try:
                scored_case = load_scored_case(predictions, cohort.subject(case))
            except MmccdError as error:
                failures[case] = error.message if anonymize is None else _nameless(error.message, cohort, case)
            else:
                collector.add(scored_case)
        if len(failures) == len(cases):
            raise _nothing_left(data, failures)
        rows, oracle = collector.rows()
    paper, paper_oracle = collector.paper_rows()

    def mean(rows: Sequence[Row], values: Sequence[float]) -> Interval:
        """Of one value per row, over patients: a random name does not tell whose session a case is."""
        subjects = [ids.get(str(row["case"]), str(row["case"])) for row in rows]
        return bootstrap_mean(by_patient(subjects, values), resamples=resamples, seed=seed)

    evaluation = Evaluation(
        rows=tuple(rows),
        aggregates=_aggregate(rows, METRICS, mean),
        differences=_differences(rows, mean),
        oracle_thresholds=oracle,
        paper=tuple(paper),
        paper_aggregates=_aggregate(paper, PAPER_METRICS, mean),
        paper_thresholds=paper_oracle,
        failures=failures,
        not_predicted=len({subject.id for subject in cohort.subjects} - set(cases)),
        trained_on=tuple(collector.trained_on),
    )
    write_csv(output / "metrics.csv", evaluation.rows)
    write_json(output / "evaluation.json", evaluation.record(resamples=resamples, seed=seed))
    write_atomically(output / "table.md", evaluation.markdown().encode())
    drawn = [case for case in cases if case not in failures][:_DRAWN_CASES]
    write_montage(output / "montage.png", predictions, cohort, drawn, "Findings beside the expert's outlines")
    progress("done", len(cases), len(cases))
    if evaluation.trained_on:
        warnings.warn(f"{evaluation.about_trained_on()}: {_REMEDY}", MmccdWarning, stacklevel=2)
    return evaluation


def _nameless(text: str, cohort: Cohort, case: str) -> str:
    """A message about a case that has a random name."""
    files: dict[str, str] = {}
    for subject in cohort.subjects:
        if subject.id == case:
            images = {**subject.images, "brain": subject.brain, "lesion": subject.lesion}
            files = names_of_files(images, case)
    return redact(text, {}, files)


def _scratch_folder(output: Path) -> tempfile.TemporaryDirectory[str]:
    try:
        output.mkdir(parents=True, exist_ok=True)
        # Beside the results: the system's temporary folder may be small, or lie in memory.
        return tempfile.TemporaryDirectory(prefix=".evaluate-", dir=output, ignore_cleanup_errors=True)
    except OSError as error:
        raise _not_writable(output, error) from error


def _not_writable(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"cannot write to {folder}: {error.strerror or error}",
        "choose an output folder that is writable and has space left",
    )


def _nothing_left(data: Path, failures: Mapping[str, str]) -> DataError:
    reasons = "; ".join(list(failures.values())[:_LISTED_REASONS])
    more = f"; and {len(failures) - _LISTED_REASONS} more" if len(failures) > _LISTED_REASONS else ""
    return DataError(
        f"none of the {len(failures)} predicted cases can be evaluated with {data}: {reasons}{more}",
        "case names must equal the subject ids of the cohort, and subjects need lesion masks",
    )


def _aggregate(rows: Sequence[Row], metrics: Sequence[str], mean: Mean) -> dict[str, dict[str, Interval]]:
    by_method: dict[str, list[Row]] = {}
    for row in rows:
        by_method.setdefault(str(row["method"]), []).append(row)
    return {
        method: {metric: mean(mine, [row[metric] for row in mine]) for metric in metrics}
        for method, mine in by_method.items()
    }


def _differences(rows: Sequence[Row], mean: Mean) -> dict[str, dict[str, Interval]]:
    of_model = [row for row in rows if row["method"] not in BASELINES]
    found: dict[str, dict[str, Interval]] = {}
    for name in BASELINES:
        baseline = {row["case"]: row for row in rows if row["method"] == name}
        pairs = [(row, baseline[row["case"]]) for row in of_model if row["case"] in baseline]
        if pairs:
            found[name] = {
                metric: mean([ours for ours, _ in pairs], [ours[metric] - theirs[metric] for ours, theirs in pairs])
                for metric in DIFFERENCES
            }
    return found
