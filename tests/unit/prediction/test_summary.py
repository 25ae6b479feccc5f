"""The table of a folder: rows that are read back as they were written, whichever version or run wrote them."""

import csv
import json
from pathlib import Path

import pytest

from mmccd.data.case_record import CaseRecord, read_case_record
from mmccd.data.problems import Problem
from mmccd.prediction.summary import Outcome, failed_cases, outcome_of, rows_of, write_summary
from mmccd.system.files import write_json


def as_on_windows(path, encoding="cp1252"):
    return path.read_bytes().decode(encoding)


@pytest.fixture
def values(predictions_folder):
    """What a record holds."""
    return json.loads((predictions_folder / "Phantom_0007.json").read_text())


def test_records_are_read_as_utf8_whatever_the_locale(tmp_path, monkeypatch, values):
    write_json(tmp_path / "Müller.json", values | {"case": "Müller", "warnings": ["größer"]})
    monkeypatch.setattr(Path, "read_text", as_on_windows)
    write_summary(tmp_path, [])
    with (tmp_path / "summary.csv").open(newline="", encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["case"], row["warnings"]) == ("Müller", "größer")


def test_a_row_says_what_the_record_of_its_case_says(predictions_folder, values):
    record = read_case_record(predictions_folder / "Phantom_0007.json")

    outcome = outcome_of(record.model_copy(update={"warnings": ("first", "second")}), "kept")

    assert (outcome.case, outcome.status, outcome.warnings) == ("Phantom_0007", "kept", "first; second")
    for name in ("score", "p_value", "threshold", "lesion_volume_ml", "brain_volume_ml", "seconds"):
        assert getattr(outcome, name) == values[name], name
    assert (outcome.error, outcome.hint, outcome.problem) == ("", "", None)


def test_a_failed_case_is_its_problem():
    problem = Problem("a", "is empty", "copy it again")

    outcome = Outcome.failed(problem)

    assert (outcome.case, outcome.status, outcome.error, outcome.hint) == ("a", "failed", "is empty", "copy it again")
    assert outcome.score is None
    assert outcome.problem == problem


def test_problems_are_read_back_as_they_were_written(tmp_path, values):
    problems = [Problem("-a", "is empty", "copy it again"), Problem("b", "=odd", "")]
    done = outcome_of(CaseRecord.model_validate(values), "done")

    write_summary(tmp_path, [done, *map(Outcome.failed, problems)])

    found = failed_cases(tmp_path / "summary.csv")
    assert list(found) == ["-a", "b"]
    assert found["-a"] == problems[0]
    assert found["b"].what == "'=odd"  # a spreadsheet would take it for a formula
    assert set(rows_of(tmp_path / "summary.csv")) == {"-a", "b", "Phantom_0007"}


@pytest.mark.parametrize(
    ("content", "cases"),
    [
        (None, []),
        (b"", []),
        (b"\xff\x00\xff", []),
        (b"subject,age\ns1,40\n", []),
        (b"case,status\na,failed\nb,done\n,failed\n", ["a"]),
        (b"case,status,error,of_another_version\na,failed,torn,1\n", ["a"]),
    ],
    ids=str,
)
def test_tables_of_other_tools_and_versions_are_read_as_far_as_they_go(tmp_path, content, cases):
    if content is not None:
        (tmp_path / "summary.csv").write_bytes(content)

    found = failed_cases(tmp_path / "summary.csv")

    assert list(found) == cases
    assert all(problem.what in ("not scored", "torn") for problem in found.values())
