"""What became of each scan: `summary.csv`, one row per case of a folder, whichever run scored it."""

import csv
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mmccd.errors import DataError
from mmccd.system.files import write_csv
from mmccd.system.locks import one_at_a_time

SUMMARY = "summary.csv"
SUMMED_UP = ("case", "score", "p_value", "threshold", "lesion_volume_ml", "brain_volume_ml", "seconds")
"""What a row takes from the record of its case, beside the warnings."""


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


def outcome_of(record: Mapping[str, Any], status: str) -> Outcome:
    """What the record of a finished case says of it.

    Raises:
        KeyError, TypeError: it is no such record.
    """
    return Outcome(status=status, warnings="; ".join(record["warnings"]), **{key: record[key] for key in SUMMED_UP})


def check_summary(folder: Path) -> None:
    """Refuse a folder whose `summary.csv` is not one of `predict`: it would be replaced.

    Raises:
        DataError: names the file and its columns.
    """
    path = folder / SUMMARY
    if not path.is_file():
        return
    columns: list[str] = []
    with suppress(OSError, csv.Error), path.open(newline="", encoding="utf-8", errors="replace") as stream:
        columns = next(csv.reader(stream), [])
    if columns and columns[:2] != [field.name for field in fields(Outcome)][:2]:  # later ones differ by version
        raise DataError(
            f"{path} would be replaced, and is no summary of `mmccd predict`: its columns are {', '.join(columns)}",
            "choose another output folder, or move this file elsewhere",
        )


def write_summary(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """One row per case in ``folder``: of this run, of finished cases of others, and of what failed in others.

    Several processes may do so at once; the last of them leaves the rows of all.
    """
    with one_at_a_time(folder, SUMMARY, wait=True):
        rows = _failed_before(folder / SUMMARY) | _finished(folder)
        rows |= {outcome.case: asdict(outcome) for outcome in outcomes}
        write_csv(folder / SUMMARY, [rows[case] for case in sorted(rows)])


def _failed_before(path: Path) -> dict[str, dict[str, Any]]:
    columns = [field.name for field in fields(Outcome)]
    if not path.is_file():  # a device may have no end
        return {}
    with suppress(OSError, ValueError, csv.Error), path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if reader.fieldnames == columns:  # else a user's own, or of another version
            rows = [row | {"case": row["case"].removeprefix("'")} for row in reader if row["status"] == "failed"]
            return {row["case"]: row for row in rows}  # the mark is of the table, see `write_csv`
    return {}


def _finished(folder: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for path in folder.glob("*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):  # no record of a case
            outcome = outcome_of(json.loads(path.read_text(encoding="utf-8")), "done")
            found[outcome.case] = asdict(outcome)
    return found
