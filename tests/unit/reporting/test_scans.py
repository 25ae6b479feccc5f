"""A folder of predictions in any state, and where its scans are."""

import json
import shutil

import pytest

from mmccd.data.own_folders import kind_of
from mmccd.errors import DataError
from mmccd.reporting.scans import Scans, load_shown, read_predictions

CASE = "Phantom_0007"


@pytest.fixture
def folder(predictions_folder, tmp_path):
    return shutil.copytree(predictions_folder, tmp_path / "predictions")


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


# --- what is there ---


def test_a_whole_folder(folder):
    found = read_predictions(folder)

    assert sorted(found.records) == ["Phantom_0006", "Phantom_0007", "Phantom_0008"]
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

    assert sorted(found.records) == ["Phantom_0006", "Phantom_0008"]
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

    assert len(read_predictions(folder).records) == 3
    assert read_predictions(folder).broken == ()


# --- scans ---


def scans_in(*paths):
    return Scans.found_in(paths, "flair")


def test_scan_brain_and_expert_mask_come_from_the_cohort(folder, phantom_folder):
    shown = load_shown(read_predictions(folder), CASE, scans_in(phantom_folder))

    assert shown.problem is None
    assert shown.volume is not None
    assert (shown.brain == (shown.volume.data > 0)).all()
    assert shown.expert.sum() > 0


def test_a_renamed_scan_is_found_by_its_content(folder, lesioned_scan, tmp_path):
    other = tmp_path / "moved"
    other.mkdir()
    shutil.copy(lesioned_scan, other / "pseudonym.nii.gz")

    shown = load_shown(read_predictions(folder), CASE, scans_in(other))

    assert shown.problem is None
    assert shown.expert is None


def test_a_scan_that_moved_or_changed_is_said_and_its_map_is_shown(folder, phantom_folder, healthy_scan, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(healthy_scan, other / "Phantom_0006.nii.gz")
    moved = load_shown(read_predictions(folder), CASE, scans_in(other))
    shutil.copy(healthy_scan, other / f"{CASE}.nii.gz")
    changed = load_shown(read_predictions(folder), CASE, scans_in(other))

    assert "has moved" in moved.problem.what
    assert "has changed since it was predicted" in changed.problem.what
    for shown in (moved, changed):
        assert shown.volume is None
        assert shown.anomaly.any()


def test_without_its_brain_mask_no_voxel_of_a_scan_is_shown(folder, phantom_folder):
    record = json.loads((folder / f"{CASE}.json").read_text())
    change(folder / f"{CASE}.json", origin=record["origin"] | {"brain": "0" * 64})

    shown = load_shown(read_predictions(folder), CASE, scans_in(phantom_folder))

    assert shown.volume is None
    assert "brain mask" in shown.problem.what


def test_an_expert_mask_that_cannot_be_used_is_said_and_the_scan_is_shown(folder, phantom_folder, tmp_path):
    cohort = tmp_path / "cohort"
    shutil.copytree(phantom_folder / CASE, cohort / CASE)
    (cohort / CASE / f"{CASE}_seg.nii.gz").write_bytes(b"torn")

    shown = load_shown(read_predictions(folder), CASE, scans_in(cohort))

    assert shown.volume is not None
    assert "no expert mask is shown" in shown.problem.what


def test_a_map_that_cannot_be_read_is_an_error_of_its_case(folder):
    path = folder / f"{CASE}_anomaly.nii.gz"
    path.write_bytes(path.read_bytes()[:200])

    with pytest.raises(DataError, match="cannot be read in full"):
        load_shown(read_predictions(folder), CASE, None)


def test_a_place_without_scans_is_refused(folder, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        scans_in(tmp_path / "nowhere")


def test_names_that_messages_may_hold_are_those_of_cases_and_of_all_their_files(phantom_folder):
    cases, files = scans_in(phantom_folder).names()

    assert CASE in cases
    assert {f"{CASE}_flair.nii.gz", f"{CASE}_t1.nii.gz", f"{CASE}_seg.nii.gz"} <= files
