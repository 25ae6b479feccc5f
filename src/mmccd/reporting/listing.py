"""What a folder of predictions holds: complete cases, what is torn or lacks files, and what failed."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mmccd.data.case_record import CaseRecord, read_case_record
from mmccd.data.own_folders import ANOMALY_END, MASK_END, SUMMARY
from mmccd.data.problems import Problem
from mmccd.errors import DataError
from mmccd.prediction.summary import failed_cases, rows_of
from mmccd.reporting.methods_text import Scored
from mmccd.reporting.standing import Standing

_AGAIN = "predict this scan again"


@dataclass(frozen=True, slots=True)
class Listed:
    """What is kept in memory of a case, whose record is read again when it is drawn.

    Attributes:
        score: One number for the scan.
        standing: Of the score among healthy ones.
        marked_ml: Volume of the mask.
        model: Digest of the model.
        scan: Digest of the scan.
    """

    score: float
    standing: Standing
    marked_ml: float
    model: str
    scan: str


@dataclass(frozen=True)
class Predictions:
    """A folder written by `mmccd predict`.

    Attributes:
        cases: The complete ones, in the order of their names.
        by_model: What the records have in common, by the digest of the model.
        source: Modality of most.
        broken: Cases that are half there.
        failed: Cases that `predict` could not score, from `summary.csv`.
    """

    folder: Path
    cases: dict[str, Listed]
    by_model: dict[str, Scored]
    source: str
    broken: tuple[Problem, ...]
    failed: tuple[Problem, ...]

    @property
    def model(self) -> str:
        """Digest of the model that most cases were scored with; empty where there is no case."""
        return max(self.by_model, key=lambda digest: self.by_model[digest].count, default="")


def read_predictions(folder: Path) -> Predictions:
    """Read the records of a folder, one at a time; nothing here stops at a case that is torn."""
    cases: dict[str, Listed] = {}
    by_model: dict[str, Scored] = {}
    sources: Counter[str] = Counter()
    broken: list[Problem] = []
    failed, listed = failed_cases(folder / SUMMARY), frozenset(rows_of(folder / SUMMARY))
    maps, masks, written = (
        {path.name.removesuffix(end) for path in folder.glob(f"*{end}")} for end in (ANOMALY_END, MASK_END, ".json")
    )
    for case in sorted(maps | masks | written | listed):
        lacking = [
            end for end, there in ((ANOMALY_END, maps), (MASK_END, masks), (".json", written)) if case not in there
        ]
        unclear = bool(lacking) or case in failed
        of_other = unclear and case in written and not _may_be_record(folder / f"{case}.json")
        if case in failed and (case not in written or of_other):
            continue
        if case not in listed and (
            lacking == [ANOMALY_END, ".json"] or (lacking == [ANOMALY_END, MASK_END] and of_other)
        ):
            continue  # a mask or a JSON file of something else
        if lacking:
            names = ", ".join(f"{case}{end}" for end in lacking)
            broken.append(Problem(case, f"half-written: {names} not there", _AGAIN))
            continue
        try:
            record = read_case_record(folder / f"{case}.json")
        except DataError as error:
            broken.append(Problem.of(case, error))
            continue
        scored = by_model.setdefault(record.origin.get("model", ""), Scored(record))
        scored.add(record)
        sources[record.source] += 1
        cases[case] = _listed(record, scored)
    source = sources.most_common(1)[0][0] if sources else ""
    return Predictions(folder, cases, by_model, source, tuple(broken), tuple(failed.values()))


def _listed(record: CaseRecord, scored: Scored) -> Listed:
    return Listed(
        score=record.score,
        standing=Standing(record.p_value, record.p_value_of.healthy_subjects),
        marked_ml=record.lesion_volume_ml,
        model=scored.first.origin.get("model", ""),  # one text for all of them
        scan=record.origin.get("scan", ""),
    )


def _may_be_record(path: Path) -> bool:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return True  # torn: it may be one
    return isinstance(values, dict) and "case" in values
