"""Detections against expert masks: a table per case, means with intervals, and the plain intensity baseline.

Label-free numbers come first: masks at the threshold that the model brought along, and threshold-free areas.
Whatever was tuned on the test labels has "oracle" in its name.
"""

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmccd.data.cohort import Cohort, read_cohort
from mmccd.data.layouts.entities import Selection
from mmccd.data.own_folders import results_in
from mmccd.data.problems import Problem
from mmccd.data.pseudonyms import names_of_files, redact, with_pseudonyms
from mmccd.data.recipe import mixture, recipe_of
from mmccd.errors import DataError, MmccdWarning
from mmccd.evaluation.case import BASELINES, predicted_cases
from mmccd.evaluation.intervals import Interval, bootstrap_mean, by_patient
from mmccd.evaluation.measure import METRICS, Row
from mmccd.evaluation.measurer import CaseMeasurer
from mmccd.evaluation.montage import MontageRow, write_montage
from mmccd.evaluation.oracle import best_threshold, threshold_value
from mmccd.evaluation.paper_protocol import PAPER_METRICS, paper_rows
from mmccd.evaluation.scratch import Scratch
from mmccd.evaluation.tables import Evaluation
from mmccd.system.cluster import LOST, parse_cluster, spread
from mmccd.system.files import write_atomically, write_csv, write_json
from mmccd.system.progress import ProgressCallback, no_progress, of_case
from mmccd.system.workers import chosen_workers

__all__ = ["Evaluation", "evaluate"]

DIFFERENCES = ("auprc", "dice")
_REMEDY = "predict the others alone, for example with `mmccd predict --split STORE`"
_LISTED_REASONS = 3
_DRAWN_CASES = 12
Mean = Callable[[Sequence[Row], Sequence[float]], Interval]


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
    workers: int | None = None,
    cluster: str | None = None,
    told: Callable[[str], None] = lambda _: None,
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
        workers: Processes; whatever their number, results are the same. None takes as many as cores are idle where
            there are cases enough.
        cluster: Where to measure instead of on this machine, see `mmccd.system.cluster.parse_cluster`.
        told: Called with who is at work.
        progress: Called with a case, the number done, and the total.

    Raises:
        DataError: no case can be evaluated, or the output cannot be written.
        ConfigError: the cluster is none, or cannot be had.
    """
    elsewhere = parse_cluster(cluster, workers)
    if elsewhere is not None:  # processes there work in folders of their own
        predictions, data = predictions.absolute(), data.absolute()
    predictions = results_in(predictions)
    cases = predicted_cases(predictions)
    cohort = read_cohort(data, layout, select)
    ids: dict[str, str] = {}
    if anonymize is not None:
        cohort, names = with_pseudonyms(cohort, anonymize, outside=output)
        ids = {name: id_ for id_, name in names.items()}
    _check_writable(output)
    found: dict[str, tuple[Row, ...]] = {}
    trained_on: list[str] = []
    origins: list[Mapping[str, Any]] = []
    pictures: dict[str, MontageRow] = {}
    failures: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="mmccd-", ignore_cleanup_errors=True) as folder:
        scratch = Scratch(Path(folder))
        measurer = CaseMeasurer(predictions, cohort, frozenset(sorted(cases)[:_DRAWN_CASES]))
        count = chosen_workers(workers, len(cases))
        with spread(measurer, cases, count, elsewhere, lost=_lost, told=told) as answers:
            for case, answer in answers:
                if isinstance(answer, Problem):
                    failures[case] = answer.what if anonymize is None else _nameless(answer.what, cohort, case)
                else:
                    scratch.keep(case, answer.curves, answer.slices)
                    found[case] = answer.rows
                    trained_on += [case] * answer.trained_on
                    origins.append(recipe_of(answer.origin))
                    if answer.picture is not None:
                        pictures[case] = answer.picture
                progress(of_case(case), len(failures) + len(found), len(cases))
        if not found:
            raise _nothing_left(data, failures)
        found = {case: found[case] for case in sorted(found)}
        rows, oracle = _with_oracle(found, scratch)
        paper, paper_oracle = _paper_rows(found, scratch)

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
        failures=dict(sorted(failures.items())),
        not_predicted=len({subject.id for subject in cohort.subjects} - set(cases)),
        trained_on=tuple(sorted(trained_on)),
        mixture=mixture(origins),
    )
    write_csv(output / "metrics.csv", evaluation.rows)
    write_json(output / "evaluation.json", evaluation.record(resamples=resamples, seed=seed))
    write_atomically(output / "table.md", evaluation.markdown().encode())
    drawn = [pictures[case] if case in pictures else measurer.picture(case) for case in list(found)[:_DRAWN_CASES]]
    write_montage(output / "montage.png", drawn, "Findings beside the expert's outlines")
    progress("done", len(cases), len(cases))
    if evaluation.mixture:
        warnings.warn(evaluation.mixture, MmccdWarning, stacklevel=2)
    if evaluation.trained_on:
        warnings.warn(f"{evaluation.about_trained_on()}: {_REMEDY}", MmccdWarning, stacklevel=2)
    return evaluation


def _nameless(text: str, cohort: Cohort, case: str) -> str:
    """A message about a case that has a random name."""
    try:
        subject = cohort.subject(case)
    except DataError:  # a case without one has no files
        return text
    images = {**subject.images, "brain": subject.brain, "lesion": subject.lesion}
    return redact(text, {}, names_of_files(images, case))


def _lost(case: str) -> Problem:
    return Problem(case, *LOST)


def _check_writable(output: Path) -> None:
    """Hours of work are worth nothing without a place for their results."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise DataError(
            f"cannot write to {output}: {error.strerror or error}",
            "choose an output folder that is writable and has space left",
        ) from error


def _by_method(found: Mapping[str, Sequence[Row]]) -> dict[str, list[str]]:
    """The cases of each method."""
    cases: dict[str, list[str]] = {}
    for case, rows in found.items():
        for row in rows:
            cases.setdefault(str(row["method"]), []).append(case)
    return cases


def _with_oracle(found: Mapping[str, Sequence[Row]], scratch: Scratch) -> tuple[list[Row], dict[str, float]]:
    """Rows with ``oracle_dice``, in order of the cases, and the oracle threshold of each method."""
    with_lesion = {case for case, rows in found.items() if rows[0]["lesion_ml"] > 0}
    best = {
        method: best_threshold(scratch.curve(case, method) for case in cases if case in with_lesion)
        for method, cases in _by_method(found).items()
    }
    rows = []
    for case, mine in found.items():
        for row in mine:
            number = best[str(row["method"])]
            dice = scratch.curve(case, str(row["method"])).at(number) if number is not None else float("nan")
            rows.append(row | {"oracle_dice": dice})
    return rows, {
        method: threshold_value(number) if number is not None else float("nan") for method, number in best.items()
    }


def _paper_rows(found: Mapping[str, Sequence[Row]], scratch: Scratch) -> tuple[list[Row], dict[str, float]]:
    """Rows of the paper's protocol, in order of the cases, and its oracle threshold for each method."""
    thresholds: dict[str, float] = {}
    complete: list[Row] = []
    for method, cases in _by_method(found).items():
        rows, thresholds[method] = paper_rows(scratch.slices(cases, method))
        complete += [{"case": row.pop("case"), "method": method} | row for row in rows]
    return sorted(complete, key=lambda row: str(row["case"])), thresholds


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
