"""A folder of predictions in any state."""

import json

import pytest

from mmccd.data.own_folders import kind_of
from mmccd.reporting.listing import read_predictions

CASE = "Phantom_0007"


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_whole_folder(folder):
    found = read_predictions(folder)

    assert sorted(found.cases) == ["Phantom_0006", "Phantom_0007", "Phantom_0008"]
    assert (found.broken, found.failed) == ((), ())
    assert kind_of(folder) == "predictions"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / f"{CASE}_mask.nii.gz").unlink(), f"half-written: {CASE}_mask.nii.gz not there"),
        (lambda f: (f / f"{CASE}.json").unlink(), f"half-written: {CASE}.json not there"),
        (lambda f: (f / f"{CASE}.json").write_text('{"case": "Pha'), "is torn"),
        (lambda f: (f / f"{CASE}.json").write_text("[]"), "is damaged: it holds a list"),
        (lambda f: (f / f"{CASE}.json").write_text(f'{{"case": "{CASE}"}}'), "lacks brain_volume_ml, intensity"),
        (lambda f: (f / f"{CASE}.json").write_bytes(b"\xff\xfe\x00"), "is torn"),
        (lambda f: change(f / f"{CASE}.json", score=None), "is damaged: score: Input should be a valid number"),
        (lambda f: change(f / f"{CASE}.json", case="another"), "the record of another case"),
        (lambda f: change(f / f"{CASE}.json", origin="x"), "is damaged: origin: Input should be a valid dictionary"),
        (lambda f: change(f / f"{CASE}.json", threshold_origin=3), "is damaged: threshold_origin: "),
    ],
)
def test_a_case_that_is_half_there_is_named_and_the_others_are_read(folder, spoil, said):
    spoil(folder)

    found = read_predictions(folder)

    assert sorted(found.cases) == ["Phantom_0006", "Phantom_0008"]
    (problem,) = found.broken
    assert problem.subject == CASE
    assert said in problem.what
    assert problem.hint


def test_a_case_in_the_summary_without_any_file_is_named(folder):
    for path in folder.glob(f"{CASE}*"):
        path.unlink()

    assert [problem.subject for problem in read_predictions(folder).broken] == [CASE]


def test_a_case_whose_name_begins_like_a_formula_is_found_by_its_name(folder):
    """A spreadsheet would compute it, so the table has a mark before it."""
    with (folder / "summary.csv").open("a") as stream:
        stream.write("'+p1,failed,,,,,,,,it does not exist,check the path\n")
    assert [problem.subject for problem in read_predictions(folder).failed] == ["+p1"]


def test_failures_of_predict_come_with_their_hints(folder):
    with (folder / "summary.csv").open("a") as stream:
        stream.write("lost,failed,,,,,,,,it does not exist,check the path\n")

    (problem,) = read_predictions(folder).failed

    assert (problem.subject, problem.what, problem.hint) == ("lost", "it does not exist", "check the path")


def test_a_case_that_was_refused_because_of_files_of_others_is_shown_with_that_reason(folder):
    """dcm2niix and FSL name theirs as `predict` does."""
    (folder / "head.json").write_text('{"Modality": "MR"}')
    for name in ("head", "other_brain"):
        (folder / f"{name}_mask.nii.gz").write_bytes(b"mask")
    with (folder / "summary.csv").open("a") as stream:
        stream.write("head,failed,,,,,,,,head.json: already there,choose another output folder\n")

    found = read_predictions(folder)

    assert found.broken == ()
    assert [(problem.subject, problem.what) for problem in found.failed] == [("head", "head.json: already there")]


def test_a_summary_that_cannot_be_read_and_json_of_something_else_are_passed_over(folder):
    (folder / "summary.csv").write_bytes(b"\xff\xfe")
    (folder / "notes.json").write_text('{"a": 1}')

    assert len(read_predictions(folder).cases) == 3
    assert read_predictions(folder).broken == ()
