"""Files, folders and cohorts that a command line names, and the scans that are meant by them."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mmccd.data.cohort import Image
from mmccd.data.volumes import read_volume, write_volume
from mmccd.errors import ConfigError, DataError
from mmccd.prediction.inputs import find_inputs


def tree(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.ones((8, 8, 6), np.int16), np.eye(4)), root / name)
    return root


def test_folders_of_loose_files_and_of_modalities(scans, tmp_path, healthy_scan):
    found, problems = find_inputs([scans], "flair")
    assert ([item.case for item in found], problems) == (["a", "b"], {})
    pair = tmp_path / "pair"
    pair.mkdir()
    for name in ("P1_flair", "P1_t2", "P2_flair"):
        shutil.copy(healthy_scan, pair / f"{name}.nii.gz")
    found, _ = find_inputs([pair], "flair")
    assert [item.case for item in found] == ["P1", "P2"]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError):
        find_inputs([empty], "flair")
    with pytest.raises(DataError, match="no flair scan in"):
        find_inputs([], "flair")


@pytest.mark.parametrize(
    "other",
    [
        "seg",
        "t1ce",
        "brain",
        "t1c",
        "mask",
    ],
)
def test_masks_and_contrast_beside_scans_are_not_scans(tmp_path, healthy_scan, other):
    for name in ("P1_flair", f"P1_{other}"):
        shutil.copy(healthy_scan, tmp_path / f"{name}.nii.gz")
    found, _ = find_inputs([tmp_path], "flair")
    assert [item.image.path.name for item in found] == ["P1_flair.nii.gz"]


def test_channels_of_nnunet_are_scored_by_what_their_dataset_says(healthy_scan, tmp_path):
    images = tmp_path / "imagesTs"
    images.mkdir()
    for channel in range(2):
        shutil.copy(healthy_scan, images / f"p1_{channel:04}.nii.gz")
    with pytest.raises(DataError, match="channel"):
        find_inputs([images], "flair")
    (tmp_path / "dataset.json").write_text('{"channel_names": {"0": "T2", "1": "FLAIR"}}')
    found, problems = find_inputs([images], "flair")
    assert [(item.case, item.image.path.name) for item in found] == [("p1", "p1_0001.nii.gz")]
    assert not problems


def test_a_brain_mask_is_for_one_file(scans, tmp_path, healthy_scan):
    scan = read_volume(healthy_scan)
    write_volume(tmp_path / "mask.nii.gz", (scan.data > 0).astype(np.uint8), scan)
    (item,), _ = find_inputs([scans / "a.nii.gz"], "flair", brain=tmp_path / "mask.nii.gz")
    assert item.brain.path == tmp_path / "mask.nii.gz"
    for inputs in ([scans], [scans / "a.nii.gz", scans / "b.nii.gz"]):
        with pytest.raises(ConfigError, match="--brain fits one input file only"):
            find_inputs(inputs, "flair", brain=tmp_path / "mask.nii.gz")


def test_a_brain_mask_is_not_for_a_manifest(scans, tmp_path):
    (tmp_path / "m.csv").write_text("subject,flair\nS1,scans/a.nii.gz\n")
    with pytest.raises(ConfigError):
        find_inputs([tmp_path / "m.csv"], "flair", brain=scans / "b.nii.gz")


def test_scans_as_bet_names_them_are_scanned_and_not_taken_for_masks(tmp_path):
    tree(tmp_path, "mixed/p01_brain.nii.gz", "mixed/p02.nii.gz", "mixed/p01_brain_mask.nii.gz")
    tree(tmp_path, "all/p01_brain.nii.gz", "all/p02_brain.nii.gz")
    for folder, cases in (("mixed", ["p01_brain", "p02"]), ("all", ["p01_brain", "p02_brain"])):
        found, problems = find_inputs([tmp_path / folder], "flair")
        assert ([item.case for item in found], problems) == (cases, {})


@pytest.mark.parametrize("source", ["flair", "t2"])
def test_a_loose_file_of_another_modality_is_a_problem_and_the_others_are_scored(tmp_path, source):
    other = {"flair": "t2", "t2": "flair"}[source]
    tree(tmp_path / "scans", f"a_{source}_n4.nii.gz", f"b_{other}_n4.nii.gz", "c_T1_FLAIR.nii.gz", "d.nii.gz")
    files = [tmp_path / "scans" / name for name in (f"b_{other}_n4.nii.gz", "d.nii.gz")]

    either = ["c_T1_FLAIR"] if source == "flair" else []  # a T1 of GE, or the FLAIR of a first visit
    for inputs, cases in (([tmp_path / "scans"], [f"a_{source}_n4", *either, "d"]), (files, ["d"])):
        found, problems = find_inputs(inputs, source)
        assert [item.case for item in found] == cases
        assert next(iter(problems)) == f"b_{other}_n4"
        assert f"another modality than {source}" in problems[f"b_{other}_n4"].what
        assert f"if it is {source}, rename it" in problems[f"b_{other}_n4"].what


@pytest.mark.parametrize("name", ["a_T2_FLAIR", "a_t2_tirm_tra_dark-fluid", "a_T2map", "a_ADC", "a_t2_fl2d_hemo"])
def test_what_is_no_t2_is_not_scored_as_one(tmp_path, name):
    tree(tmp_path, f"{name}.nii.gz")
    found, problems = find_inputs([tmp_path / f"{name}.nii.gz"], "t2")
    assert (found, list(problems)) == ([], [name])


def test_a_brain_mask_beside_a_file_of_another_modality_is_no_second_complaint(tmp_path):
    tree(tmp_path, "a_t2.nii.gz", "mask.nii.gz")
    found, problems = find_inputs([tmp_path / "a_t2.nii.gz"], "flair", brain=tmp_path / "mask.nii.gz")
    assert (found, list(problems)) == ([], ["a_t2"])


def test_subjects_of_a_cohort_have_the_modalities_that_are_needed_or_a_problem_with_a_remedy(tmp_path):
    tree(tmp_path, "A/A_flair.nii.gz", "A/A_t2.nii.gz", "A/A_brain.nii.gz", "B/B_flair.nii.gz", "C/C_t2.nii.gz")
    (item,), problems = find_inputs([tmp_path], "flair", "t2")
    assert (item.case, item.private_id) == ("A", None)
    assert item.files == {
        role: Image(tmp_path / "A" / f"A_{name}.nii.gz")
        for role, name in (("scan", "flair"), ("brain", "brain"), ("t2", "t2"))
    }
    assert {case: problem.what for case, problem in problems.items()} == {
        "B": "has no t2, only flair", "C": "has no flair, only t2"
    }  # fmt: skip
    assert all((problem.subject, bool(problem.hint)) == (case, True) for case, problem in problems.items())


def test_names_that_results_cannot_have_are_problems(tmp_path):
    tree(tmp_path, "-a.nii.gz", "b.nii.gz")
    found, problems = find_inputs([tmp_path], "flair")
    assert [item.case for item in found] == ["b"]
    assert "not safe as a file name" in problems["-a"].what
    assert problems["-a"].hint


@pytest.mark.parametrize("broken", ["link", "runs"])
def test_what_is_wrong_with_other_modalities_stops_no_scan(tmp_path, broken):
    tree(tmp_path, "sub-1/anat/sub-1_FLAIR.nii.gz")
    if broken == "link":
        (tmp_path / "sub-1/anat/sub-1_T1w.nii.gz").symlink_to("../../.git/annex/objects/x")
    else:
        tree(tmp_path, "sub-1/anat/sub-1_run-1_T1w.nii.gz", "sub-1/anat/sub-1_run-2_T1w.nii.gz")
    found, problems = find_inputs([tmp_path], "flair")
    assert ([item.case for item in found], problems) == (["sub-1"], {})
    found, problems = find_inputs([tmp_path], "t1")
    said = {"link": "sub-1_T1w.nii.gz is a dangling link", "runs": "several files for t1: sub-1_run-1_T1w.nii.gz"}
    assert (found, said[broken] in problems["sub-1"].what, bool(problems["sub-1"].hint)) == ([], True, True)


def test_a_selector_says_which_run_is_scored(tmp_path):
    tree(tmp_path, "sub-1/anat/sub-1_run-1_T1w.nii.gz", "sub-1/anat/sub-1_run-2_T1w.nii.gz")
    (item,), _ = find_inputs([tmp_path], "t1", select={"run": "2"})
    assert item.image.path.name == "sub-1_run-2_T1w.nii.gz"


def test_a_brain_mask_that_cannot_be_used_stops_its_scan(tmp_path):
    """Without it, skull would count as brain."""
    tree(tmp_path, "A/A_flair.nii.gz", "B/B_flair.nii.gz")
    (tmp_path / "A" / "A_brain.nii.gz").symlink_to("gone")
    found, problems = find_inputs([tmp_path], "flair")
    assert ([item.case for item in found], list(problems)) == (["B"], ["A"])


@pytest.mark.parametrize(
    ("name", "hint"), [("*_flair.nii.gz", "a pattern that matches nothing"), ("p?.nii", "a pattern")]
)
def test_a_pattern_that_matches_nothing_is_called_so_and_the_others_go_on(tmp_path, name, hint):
    tree(tmp_path, "a.nii.gz")
    found, problems = find_inputs([tmp_path / "a.nii.gz", tmp_path / "none" / name], "flair")
    assert [item.case for item in found] == ["a"]
    (problem,) = problems.values()
    assert problem.what == f"{name} does not exist"
    assert hint in problem.hint


def test_a_home_that_was_not_expanded_is_called_so():
    _, problems = find_inputs([Path("~/scans/a.nii.gz")], "flair")
    assert "~ was not expanded" in problems["a"].hint
