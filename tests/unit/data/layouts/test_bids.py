"""BIDS: sessions, runs, and masks wherever tools put them."""

import pytest

from mmccd.data.cohort import modalities_of, read_cohort


def test_bids_sessions_masks_and_participants(tmp_path, tree, files):
    tree(
        tmp_path,
        "sub-01/anat/sub-01_FLAIR.nii.gz",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_ce-gadolinium_T1w.nii.gz",
        "sub-01/anat/sub-01_T2star.nii.gz",
        "sub-02/ses-1/anat/sub-02_ses-1_acq-3d_run-1_T2w.nii.gz",
        "sub-02/ses-2/anat/sub-02_ses-2_T2w.nii.gz",
        "sub-02/ses-2/func/sub-02_ses-2_bold.nii.gz",
        "derivatives/manual/sub-01/anat/sub-01_label-L_mask.nii.gz",
        "derivatives/manual/sub-02/ses-2/anat/sub-02_ses-2_desc-lesion_dseg.nii.gz",
        "derivatives/manual/sub-02/anat/sub-02_desc-brain_mask.nii.gz",
        "derivatives/fmriprep/sub-01/anat/sub-01_desc-brain_mask.nii.gz",
        "derivatives/fmriprep/sub-01/anat/sub-01_space-MNI_desc-brain_mask.nii.gz",
    )
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tsplit\nsub-01\t33\ttest\nsub-02\t40\tn/a\n")
    cohort = read_cohort(tmp_path)
    assert (cohort.layout, cohort.problems) == ("bids", {})
    assert [subject.id for subject in cohort.subjects] == ["sub-01", "sub-02_ses-1", "sub-02_ses-2"]
    assert files(cohort, "sub-01") == {
        "flair": "sub-01/anat/sub-01_FLAIR.nii.gz",
        "t1": "sub-01/anat/sub-01_T1w.nii.gz",
        "t1ce": "sub-01/anat/sub-01_ce-gadolinium_T1w.nii.gz",
        "brain": "derivatives/fmriprep/sub-01/anat/sub-01_desc-brain_mask.nii.gz",
        "lesion": "derivatives/manual/sub-01/anat/sub-01_label-L_mask.nii.gz",
    }
    assert cohort.subject("sub-02_ses-1").lesion is None
    assert cohort.subject("sub-02_ses-1").brain is None  # a mask without session, of two sessions
    assert files(cohort, "sub-02_ses-2")["lesion"].endswith("sub-02_ses-2_desc-lesion_dseg.nii.gz")
    assert [subject.split for subject in cohort.subjects] == ["test", None, None]
    assert modalities_of(cohort) == ()


def test_bids_several_runs_are_a_problem_naming_them(tmp_path, tree):
    tree(tmp_path, *(f"sub-01/anat/sub-01_run-{run}_T1w.nii.gz" for run in (1, 2)), "sub-02/anat/sub-02_T1w.nii.gz")
    cohort = read_cohort(tmp_path)
    assert [subject.id for subject in cohort.subjects] == ["sub-02"]
    assert "sub-01_run-1_T1w.nii.gz and sub-01_run-2_T1w.nii.gz" in cohort.problems["sub-01"].what


def test_bids_mask_without_session_is_that_of_the_only_one(tmp_path, tree):
    tree(tmp_path, "sub-1/ses-9/anat/sub-1_ses-9_FLAIR.nii.gz", "derivatives/x/sub-1/sub-1_label-lesion_mask.nii.gz")
    assert read_cohort(tmp_path).subject("sub-1_ses-9").lesion is not None


def test_bids_lesion_masks_by_other_names_and_files_of_no_use(tmp_path, tree):
    tree(tmp_path, *(f"sub-{number}/anat/sub-{number}_FLAIR.nii.gz" for number in (1, 2)))
    tree(tmp_path, "sub-1/anat/sub-1_label-lesion_roi.nii.gz", "derivatives/x/sub-2/sub-2_desc-tumor_mask.nii.gz")
    tree(tmp_path, "sub-1/anat/sub-1_PDw.nii.gz")
    cohort = read_cohort(tmp_path)
    assert all(subject.lesion for subject in cohort.subjects)
    assert [path.name for path in cohort.unused] == ["sub-1_PDw.nii.gz"]


@pytest.mark.parametrize("name", ["lesion", "label-WMH", "desc-lesionManual", "label-lesion", "desc-tumor"])
def test_bids_lesion_masks_by_the_names_that_they_have(tmp_path, name, tree):
    tree(tmp_path, "sub-1/anat/sub-1_FLAIR.nii.gz", f"derivatives/x/sub-1/anat/sub-1_{name}_mask.nii.gz")
    cohort = read_cohort(tmp_path)
    assert cohort.subjects[0].lesion is not None
    assert not cohort.unused


def test_bids_masks_that_are_not_understood_are_mentioned(tmp_path, tree):
    tree(
        tmp_path, "sub-1/anat/sub-1_FLAIR.nii.gz", "derivatives/x/sub-1/anat/sub-1_desc-ManualSegmentation_mask.nii.gz",
        "derivatives/x/sub-1/anat/sub-1_desc-aseg_dseg.nii.gz",
    )  # fmt: skip
    cohort = read_cohort(tmp_path)
    assert cohort.subjects[0].lesion is None
    assert [path.name for path in cohort.unused] == ["sub-1_desc-ManualSegmentation_mask.nii.gz"]
