"""What became of each scan: `summary.csv`, a row per case of a folder, whichever run scored it; and `findings.csv`."""

import csv
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mmccd.data.case_record import AGAIN, CaseRecord, is_case_record, read_case_record
from mmccd.data.own_folders import FINDINGS, MAPS, SUMMARY, kind_of, results_in
from mmccd.data.problems import Problem
from mmccd.data.recipe import mixture
from mmccd.errors import DataError, MmccdWarning
from mmccd.system.files import remove_partial, write_csv
from mmccd.system.locks import one_at_a_time
from mmccd.system.plain_text import of_cell

SUMMED_UP = ("case", "score", "p_value", "threshold", "lesion_volume_ml", "brain_volume_ml", "seconds")
"""What a row takes from the record of its case, beside the warnings."""
FINDING_COLUMNS = (
    "case", "finding", "volume_ml", "peak", "mean", "x_mm", "y_mm", "z_mm", "side", "mni_x_mm", "mni_y_mm", "mni_z_mm",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """One row of `summary.csv`."""

    case: str
    status: str
    score: float | None = None
    p_value: float | None = None
    threshold: float | None = None
    lesion_volume_ml: float | None = None
    brain_volume_ml: float | None = None
    seconds: float | None = None
    warnings: str = ""
    error: str = ""
    hint: str = ""

    @classmethod
    def failed(cls, problem: Problem) -> "Outcome":
        """Of a case that could not be scored."""
        return cls(problem.subject, "failed", error=problem.what, hint=problem.hint)

    @property
    def problem(self) -> Problem | None:
        """Why it could not be scored; None where it was."""
        return Problem(self.case, self.error, self.hint) if self.status == "failed" else None


def outcome_of(record: CaseRecord, status: str) -> Outcome:
    """What the record of a finished case says of it."""
    return Outcome(
        status=status, warnings="; ".join(record.warnings), **{key: getattr(record, key) for key in SUMMED_UP}
    )


def check_tables(folder: Path) -> None:
    """Refuse a folder whose `summary.csv` or `findings.csv` is not one of `predict`: it would be replaced.

    Raises:
        DataError: names the file and its columns.
    """
    for name, ours in ((SUMMARY, [field.name for field in fields(Outcome)]), (FINDINGS, list(FINDING_COLUMNS))):
        path = folder / name
        if not path.is_file():
            continue
        columns: list[str] = []
        with suppress(OSError, csv.Error), path.open(newline="", encoding="utf-8", errors="replace") as stream:
            columns = next(csv.reader(stream), [])
        if columns and columns[:2] != ours[:2]:  # later ones differ by version
            raise DataError(
                f"{path} would be replaced, and is no {path.stem} of `mmccd predict`: its columns are "
                f"{', '.join(columns)}",
                "choose another output folder, or move this file elsewhere",
            )


def summarise(folder: Path | str) -> list[Outcome]:
    """Write the tables of a folder of results anew, from the records of its cases; what failed is known from before.

    Returns:
        One outcome per case, by name.

    Raises:
        DataError: it holds no results; or a table of another tool, which would be replaced.
    """
    folder = results_in(Path(folder))
    if kind_of(folder) != "predictions":
        raise DataError(f"{folder} holds no results of `mmccd predict`", "give the folder that it wrote")
    check_tables(folder)
    return write_tables(folder, ())


def write_tables(folder: Path, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Write the tables of all cases in ``folder``: of this run, finished ones of others, and what failed in others.

    Several processes may do so at once; the last of them leaves the rows of all.

    Returns:
        One outcome per case, by name.
    """
    with one_at_a_time(folder, SUMMARY, wait=True) as claim:
        assert claim is not None, "it was waited for"
        for name in (SUMMARY, FINDINGS):
            remove_partial(folder, name)
        records, lost = _finished(folder)
        known = {case: Outcome.failed(problem) for case, problem in failed_cases(folder / SUMMARY).items()}
        known |= {case: outcome_of(record, "done") for case, record in records.items()}
        known |= {problem.subject: Outcome.failed(problem) for problem in lost}
        known |= {outcome.case: _looked_for(outcome, records) for outcome in outcomes}
        found = [known[case] for case in sorted(known)]
        parts = (row for case in sorted(records) for row in finding_rows(records[case]))
        claim.check()
        write_csv(folder / FINDINGS, parts, FINDING_COLUMNS)
        write_csv(folder / SUMMARY, [asdict(outcome) for outcome in found])
    if what := mixture(record.origin for record in records.values()):
        warnings.warn(f"{what}: do not compare their scores; {AGAIN}", MmccdWarning, stacklevel=2)
    return found


def finding_rows(record: CaseRecord) -> list[dict[str, Any]]:
    """The rows of a case in `findings.csv`; none of a record that an earlier version wrote without findings."""
    rows = []
    for finding in record.findings or ():
        sizes = (finding.volume_ml, finding.peak, finding.mean)
        places = (*finding.centre_mm, finding.side, *(finding.mni_mm or (None, None, None)))
        rows.append(dict(zip(FINDING_COLUMNS, (record.case, finding.number, *sizes, *places), strict=True)))
    return rows


def failed_cases(path: Path) -> dict[str, Problem]:
    """Cases that could not be scored, as a `summary.csv` of this or another version says; none where there is none."""
    return {case: Problem(case, row.get("error") or "not scored", row.get("hint") or "")
            for case, row in rows_of(path).items() if row.get("status") == "failed"}  # fmt: skip


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    """The rows of a `summary.csv` by case; none where there is no such table."""
    if not path.is_file():  # a device may have no end
        return {}
    with suppress(OSError, ValueError, csv.Error), path.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row.get("case")]
        return {of_cell(row["case"]): {key: _text(value) for key, value in row.items()} for row in rows}
    return {}


def _text(cell: Any) -> str:
    """What a cell says; nothing where its row is shorter than the header, or longer."""
    return of_cell(cell) if isinstance(cell, str) else ""


def _finished(folder: Path) -> tuple[dict[str, CaseRecord], list[Problem]]:
    """The records of cases whose maps are there, and what is wrong with others: no status without a look."""
    names = {path.name for path in folder.iterdir()}
    records: dict[str, CaseRecord] = {}
    lost = []
    for path in (folder / name for name in sorted(names) if name.endswith(".json")):
        if absent := [f"{path.stem}{end}" for end in MAPS if f"{path.stem}{end}" not in names]:
            if is_case_record(path):
                lost.append(Problem(path.stem, f"half-written: {', '.join(absent)} not there", AGAIN))
            continue
        try:
            records[path.stem] = read_case_record(path)
        except DataError as error:
            if is_case_record(path):  # of another version, or damaged; else it is none of ours
                lost.append(Problem.of(path.stem, error))
    return records, lost


def _looked_for(outcome: Outcome, records: Mapping[str, CaseRecord]) -> Outcome:
    """An outcome of this run, as far as its files are there at the end."""
    if outcome.status == "failed" or outcome.case in records:
        return outcome
    return Outcome.failed(Problem(outcome.case, "its files are gone: something removed them during the run", AGAIN))
