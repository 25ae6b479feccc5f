"""The table of a folder: rows that are read back as they were written, whichever version or run wrote them."""

import csv
import json
from pathlib import Path

import pytest

from mmccd.data.case_record import CaseRecord, read_case_record
from mmccd.data.own_folders import MAPS
from mmccd.data.problems import Problem
from mmccd.errors import DataError, MmccdWarning
from mmccd.prediction.summary import (
    FINDING_COLUMNS,
    Outcome,
    check_tables,
    failed_cases,
    outcome_of,
    rows_of,
    summarise,
    write_tables,
)
from mmccd.system.files import write_json


def as_on_windows(path, encoding="cp1252"):
    return path.read_bytes().decode(encoding)


@pytest.fixture
def values(predictions_folder):
    """What a record holds."""
    return json.loads((predictions_folder / "Phantom_0007.json").read_text())


@pytest.fixture
def lay(values):
    """A function that lays a case into a folder: its record, with changes, and maps that nobody reads."""

    def case(folder, name, **changes):
        changed = {key: value for key, value in (values | {"case": name} | changes).items() if value is not None}
        write_json(folder / f"{name}.json", changed)
        for end in MAPS:
            (folder / f"{name}{end}").touch()

    return case


@pytest.fixture
def findings():
    """A function that reads the table of findings in a folder."""

    def read(folder):
        with (folder / "findings.csv").open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))

    return read


def test_records_are_read_as_utf8_whatever_the_locale(tmp_path, monkeypatch, lay):
    lay(tmp_path, "Müller", warnings=["größer"])
    monkeypatch.setattr(Path, "read_text", as_on_windows)
    write_tables(tmp_path, [])
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


def test_problems_are_read_back_as_they_were_written(tmp_path, values, lay):
    lay(tmp_path, "Phantom_0007")
    problems = [Problem("-a", "is empty", "copy it again"), Problem("b", "=odd", "")]
    done = outcome_of(CaseRecord.model_validate(values), "done")

    write_tables(tmp_path, [done, *map(Outcome.failed, problems)])

    found = failed_cases(tmp_path / "summary.csv")
    assert list(found) == ["-a", "b"]
    assert found["-a"] == problems[0]
    assert found["b"] == problems[1]
    assert ",'=odd," in (tmp_path / "summary.csv").read_text()  # a spreadsheet would take it for a formula
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


# --- the table of findings ---


FINDING = {"number": 1, "volume_ml": 2.5, "peak": 9.0, "mean": 5.5, "centre_mm": [-30.5, 1.0, 12.0], "side": "left"}


def test_each_finding_of_each_record_is_a_row(tmp_path, lay, findings):
    """Also of cases that another run scored; what failed has none."""
    smaller = FINDING | {"number": 2, "side": "right", "mni_mm": [40.0, 2.0, 3.0]}
    for case, found in (("b", [FINDING, smaller]), ("-a", [FINDING]), ("none", []), ("old", None)):
        lay(tmp_path, case, findings=found)

    write_tables(tmp_path, [Outcome.failed(Problem("c", "is empty", ""))])

    rows = findings(tmp_path)
    assert [(row["case"], row["finding"]) for row in rows] == [("'-a", "1"), ("b", "1"), ("b", "2")]
    assert tuple(rows[0]) == FINDING_COLUMNS
    assert [rows[1][name] for name in FINDING_COLUMNS[2:]] == [
        "2.5",
        "9.0",
        "5.5",
        "-30.5",
        "1.0",
        "12.0",
        "left",
        "",
        "",
        "",
    ]
    assert [rows[2][name] for name in FINDING_COLUMNS[8:]] == ["right", "40.0", "2.0", "3.0"]


def test_rows_go_with_the_records_of_their_cases(tmp_path, values, findings):
    write_json(tmp_path / "a.json", values | {"case": "a", "findings": [FINDING]})
    write_tables(tmp_path, [])
    (tmp_path / "a.json").unlink()
    write_tables(tmp_path, [])

    assert findings(tmp_path) == []
    assert (tmp_path / "findings.csv").read_text() == ",".join(FINDING_COLUMNS) + "\n"


@pytest.mark.parametrize("name", ["summary.csv", "findings.csv"])
def test_tables_of_other_tools_are_refused_by_name(tmp_path, name):
    (tmp_path / name).write_text("subject,age\ns1,40\n")

    with pytest.raises(
        DataError, match=rf"{name} would be replaced, and is no .* its columns are subject, age"
    ) as caught:
        check_tables(tmp_path)
    assert "another output folder" in caught.value.hint


def test_tables_of_this_program_are_not_refused(tmp_path, values):
    check_tables(tmp_path)
    write_json(tmp_path / "a.json", values | {"case": "a", "findings": [FINDING]})
    write_tables(tmp_path, [])
    check_tables(tmp_path)


def test_what_failed_before_is_written_as_it_was(tmp_path):
    """A mark against formulas is of the table: it does not grow each time that the table is written."""
    outcome = Outcome("=1+1", "failed", error="=1+1.nii is torn; =2", hint="-")
    for outcomes in ([outcome], [], []):
        write_tables(tmp_path, outcomes)
        assert failed_cases(tmp_path / "summary.csv") == {"=1+1": Problem("=1+1", "=1+1.nii is torn; =2", "-")}
    assert "'=1+1,failed" in (tmp_path / "summary.csv").read_text()
    assert "'=1+1.nii is torn;' =2" in (tmp_path / "summary.csv").read_text()


# --- no status without a look ---


def test_a_case_without_its_maps_is_not_called_done(tmp_path, lay):
    lay(tmp_path, "a")
    (tmp_path / "a_mask.nii.gz").unlink()
    (outcome,) = summarise(tmp_path)
    assert (outcome.status, outcome.error) == ("failed", "half-written: a_mask.nii.gz not there")
    assert "mmccd predict --overwrite" in outcome.hint


def test_files_that_vanish_during_a_run_are_noticed_at_its_end(tmp_path, values):
    done = outcome_of(CaseRecord.model_validate(values), "done")
    (outcome,) = write_tables(tmp_path, [done])
    assert outcome.status == "failed"
    assert outcome.error == "its files are gone: something removed them during the run"


def test_a_record_of_another_version_is_named(tmp_path, lay):
    lay(tmp_path, "a")
    lay(tmp_path, "old", intensity=None)
    outcomes = {outcome.case: outcome for outcome in summarise(tmp_path)}
    assert outcomes["a"].status == "done"
    assert outcomes["old"].error == "old.json lacks intensity"
    assert outcomes["old"].hint


def test_results_of_two_models_in_one_folder_are_said(tmp_path, lay, values):
    lay(tmp_path, "a")
    lay(tmp_path, "b")
    lay(tmp_path, "c", origin=values["origin"] | {"model": "f" * 64, "threshold": "9 of 9 subjects"})
    with pytest.warns(MmccdWarning, match="results made in 2 ways lie here: 1 of 3 by model ffffffffffff, not "):
        assert {outcome.status for outcome in summarise(tmp_path)} == {"done"}
