"""Which files a reader of a layout sees, and what a modality may be called."""

import json
from pathlib import Path

import pytest

from mmccd.data.layouts.listing import Entry, check_modality, files_in, nifti_files, parts_above, preferred
from mmccd.errors import DataError


def test_only_scans_are_seen_as_deep_as_asked(tmp_path, tree):
    tree(tmp_path, "b.nii", "a.nii.gz", "in/c.nii.gz", "in/deep/d.nii.gz", ".hidden.nii.gz", ".git/e.nii.gz")
    (tmp_path / "notes.txt").touch()
    seen = [[str(path.relative_to(tmp_path)) for path in nifti_files(tmp_path, depth)] for depth in range(3)]
    assert seen == [
        ["a.nii.gz", "b.nii"],
        ["a.nii.gz", "b.nii", "in/c.nii.gz"],
        ["a.nii.gz", "b.nii", "in/c.nii.gz", "in/deep/d.nii.gz"],
    ]


def test_results_of_predict_are_not_seen(tmp_path, tree):
    tree(tmp_path, "a.nii.gz", "a_anomaly.nii.gz", "a_mask.nii.gz", "b_mask.nii.gz")
    (tmp_path / "a.json").write_text(json.dumps({"case": "a", "origin": {}}))
    assert [path.name for path in nifti_files(tmp_path)] == ["a.nii.gz", "b_mask.nii.gz"]


def test_a_folder_named_like_a_scan_is_seen_unless_it_holds_one(tmp_path, tree):
    (tmp_path / "empty.nii.gz").mkdir()
    tree(tmp_path, "full.nii.gz/a.nii.gz")
    assert [path.name for path in nifti_files(tmp_path, 1)] == ["empty.nii.gz", "a.nii.gz"]


def test_a_broken_link_is_seen(tmp_path):
    (tmp_path / "a.nii.gz").symlink_to(tmp_path / "nowhere")
    assert [path.name for path in nifti_files(tmp_path)] == ["a.nii.gz"]


def test_a_folder_that_is_not_there_has_no_files(tmp_path, tree):
    assert files_in(tmp_path / "labelsTr") == []
    assert files_in(tree(tmp_path, "a.nii")) == [tmp_path / "a.nii"]


@pytest.mark.parametrize("name", ["flair", "t1ce", "7t", "adc_b1000", "t1-gd+"])
def test_names_that_files_of_a_store_can_have(name):
    check_modality(Path("m.csv"), name)


@pytest.mark.parametrize("name", ["", "../t1", "t1/x", "T1", "t1 post", ".t1", "-t1", "t1\n"])
def test_names_that_lead_out_of_a_store_are_refused(name):
    with pytest.raises(DataError, match=r"m\.csv has a modality or column") as caught:
        check_modality(Path("m.csv"), name)
    assert "letters, digits" in caught.value.hint


def test_parts_above_folders_count_where_there_are_several(tmp_path):
    folders = [tmp_path / name for name in ("Train/a", "Test/b", "c")]
    assert parts_above(folders, tmp_path) == {folders[0]: "train", folders[1]: "test"}
    assert parts_above(folders[:1], tmp_path) == {}


def test_of_files_for_one_role_the_preferred_are_kept_and_the_others_named(tmp_path):
    plain, copy = Entry("A", "flair", tmp_path / "FLAIR.nii"), Entry("A", "flair", tmp_path / "FLAIR_bias.nii")
    other = Entry("B", "flair", tmp_path / "b" / "FLAIR_bias.nii")
    assert preferred([copy, plain, other]) == ([plain, other], [copy.path])
