"""Where the scans of predictions are, and what is shown of them."""

import json
import shutil

import pytest

from mmccd.data.case_record import read_case_record
from mmccd.errors import DataError
from mmccd.reporting.listing import read_predictions
from mmccd.reporting.scans import Scans, load_shown
from mmccd.system.files import sha256_of_file

CASE = "Phantom_0007"


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def scans_in(*paths):
    return Scans.found_in(paths, "flair")


def shown_of(folder, scans):
    record = read_case_record(folder / f"{CASE}.json")
    return load_shown(folder, record, scans and scans.of(CASE, record.origin))


def test_scan_brain_and_expert_mask_come_from_the_cohort(folder, phantom_folder):
    shown = shown_of(folder, scans_in(phantom_folder))

    assert shown.problem is None
    assert shown.volume is not None
    assert (shown.brain == (shown.volume.data > 0)).all()
    assert shown.expert.sum() > 0


def test_a_renamed_scan_is_found_by_its_content(folder, lesioned_scan, tmp_path):
    other = tmp_path / "moved"
    other.mkdir()
    shutil.copy(lesioned_scan, other / "pseudonym.nii.gz")

    shown = shown_of(folder, scans_in(other))

    assert shown.problem is None
    assert shown.expert is None


def test_a_scan_that_moved_or_changed_is_said_and_its_map_is_shown(folder, phantom_folder, healthy_scan, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(healthy_scan, other / "Phantom_0006.nii.gz")
    moved = shown_of(folder, scans_in(other))
    shutil.copy(healthy_scan, other / f"{CASE}.nii.gz")
    changed = shown_of(folder, scans_in(other))

    assert "has moved" in moved.problem.what
    assert "has changed since it was predicted" in changed.problem.what
    for shown in (moved, changed):
        assert shown.volume is None
        assert shown.anomaly.any()


def test_without_its_brain_mask_no_voxel_of_a_scan_is_shown(folder, phantom_folder):
    record = json.loads((folder / f"{CASE}.json").read_text())
    change(folder / f"{CASE}.json", origin=record["origin"] | {"brain": "0" * 64})

    shown = shown_of(folder, scans_in(phantom_folder))

    assert shown.volume is None
    assert "brain mask" in shown.problem.what


def test_an_expert_mask_that_cannot_be_used_is_said_and_the_scan_is_shown(folder, phantom_folder, tmp_path):
    cohort = tmp_path / "cohort"
    shutil.copytree(phantom_folder / CASE, cohort / CASE)
    (cohort / CASE / f"{CASE}_seg.nii.gz").write_bytes(b"torn")

    shown = shown_of(folder, scans_in(cohort))

    assert shown.volume is not None
    assert "no expert mask is shown" in shown.problem.what


def test_a_map_that_cannot_be_read_is_an_error_of_its_case(folder):
    path = folder / f"{CASE}_anomaly.nii.gz"
    path.write_bytes(path.read_bytes()[:200])

    with pytest.raises(DataError, match="cannot be read in full"):
        shown_of(folder, None)


def test_a_place_without_scans_is_refused(folder, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        scans_in(tmp_path / "nowhere")


def test_a_scan_that_is_there_under_another_name_stands_in_for_one_that_changed(
    folder, phantom_folder, lesioned_scan, healthy_scan, tmp_path
):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(healthy_scan, other / f"{CASE}.nii.gz")
    shutil.copy(lesioned_scan, other / "copy.nii.gz")

    assert shown_of(folder, scans_in(other)).problem is None


def test_files_are_read_once_and_others_only_where_a_name_is_not_enough(folder, phantom_folder, monkeypatch):
    read = []
    monkeypatch.setattr(
        "mmccd.reporting.scans.sha256_of_file", lambda path: read.append(path.name) or sha256_of_file(path)
    )
    digests = {case: listed.scan for case, listed in read_predictions(folder).cases.items()}
    scans = scans_in(phantom_folder)

    found = scans.of_all(digests, workers=2)

    assert sorted(read) == sorted(f"{case}_flair.nii.gz" for case in digests)
    assert {case: one.item.case for case, one in found.items()} == {case: case for case in digests}
    assert [one.outlined is not None for one in found.values()] == [True] * 3
    renamed = scans.of_all({"renamed": digests[CASE], "lost": "0" * 64})
    assert renamed["renamed"].item.case == CASE
    assert "has moved" in renamed["lost"].what
    assert len(read) == len(set(read)) == len(scans.inputs)


def test_names_that_messages_may_hold_are_those_of_cases_and_of_files_that_do_not_tell_them(phantom_folder, tmp_path):
    cases, files = scans_in(phantom_folder).names()
    assert CASE in cases
    assert files == set()  # all begin with the name of their case

    scan = phantom_folder / CASE / f"{CASE}_flair.nii.gz"
    table = tmp_path / "cohort.csv"
    shutil.copy(scan, tmp_path / "Doe, Jane.nii.gz")
    table.write_text(f'subject,flair,t1\nP1,"Doe, Jane.nii.gz",{scan}\n')
    cases, files = scans_in(table).names()
    assert cases == {"P1"}
    assert files == {"Doe, Jane.nii.gz", f"{CASE}_flair.nii.gz"}
