"""BIDS: sessions, runs, and masks wherever tools put them."""

import pytest

from mmccd.data.cohort import modalities_of, read_cohort
from mmccd.errors import DataError


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


def test_a_selector_chooses_among_runs_and_acquisitions(tmp_path, tree, files):
    ends = ("run-1_T1w", "run-2_T1w", "FLAIR", "run-1_desc-brain_mask", "run-2_desc-brain_mask")
    tree(tmp_path, *(f"sub-1/anat/sub-1_{end}.nii.gz" for end in ends))
    tree(tmp_path, "sub-2/anat/sub-2_run-02_T1w.nii.gz", "sub-3/anat/sub-3_run-01_T1w.nii.gz")
    cohort = read_cohort(tmp_path)
    assert cohort.subject("sub-1").unusable["t1"].hint.startswith("choose with --select run=1, or keep one")
    assert sorted(cohort.subject("sub-1").unusable) == ["brain", "t1"]
    cohort = read_cohort(tmp_path, select={"run": "1"})
    assert files(cohort, "sub-1") == {
        "flair": "sub-1/anat/sub-1_FLAIR.nii.gz",
        "t1": "sub-1/anat/sub-1_run-1_T1w.nii.gz",
        "brain": "sub-1/anat/sub-1_run-1_desc-brain_mask.nii.gz",
    }
    assert cohort.subject("sub-1").unusable == {}
    assert list(cohort.problems) == ["sub-2"]
    assert cohort.problems["sub-2"].what == "no t1 image fits run=1: sub-2_run-02_T1w.nii.gz"
    assert [subject.id for subject in cohort.subjects] == ["sub-1", "sub-3"]


def test_an_entity_that_no_name_has_is_refused(tmp_path, tree):
    tree(tmp_path, "sub-1/anat/sub-1_run-1_T1w.nii.gz")
    with pytest.raises(DataError, match="no file has the entity rn") as caught:
        read_cohort(tmp_path, select={"rn": "1"})
    assert "one of run" in caught.value.hint


def test_what_fmriprep_writes_is_read_in_native_space_unless_asked_otherwise(tmp_path, tree, files):
    ends = ("desc-preproc_T1w", "desc-brain_mask", "dseg", "label-GM_probseg", "desc-aseg_dseg")
    template = "space-MNI152NLin2009cAsym_"
    tree(tmp_path, *(f"sub-1/anat/sub-1_{space}{end}.nii.gz" for space in ("", template) for end in ends))
    assert files(read_cohort(tmp_path), "sub-1") == {
        "t1": "sub-1/anat/sub-1_desc-preproc_T1w.nii.gz", "brain": "sub-1/anat/sub-1_desc-brain_mask.nii.gz"
    }  # fmt: skip
    moved = read_cohort(tmp_path, select={"space": "MNI152NLin2009cAsym", "desc": "preproc"})
    assert files(moved, "sub-1") == {
        "t1": f"sub-1/anat/sub-1_{template}desc-preproc_T1w.nii.gz",
        "brain": f"sub-1/anat/sub-1_{template}desc-brain_mask.nii.gz",
    }


def test_isles_in_lower_case_with_a_mask_of_its_own_suffix(tmp_path, tree, files):
    tree(tmp_path, "sub-1/ses-1/anat/sub-1_ses-1_flair.nii.gz", "sub-1/ses-1/dwi/sub-1_ses-1_adc.nii.gz")
    tree(tmp_path, "derivatives/sub-1/ses-1/sub-1_ses-1_msk.nii.gz")
    assert files(read_cohort(tmp_path), "sub-1_ses-1") == {
        "flair": "sub-1/ses-1/anat/sub-1_ses-1_flair.nii.gz",
        "lesion": "derivatives/sub-1/ses-1/sub-1_ses-1_msk.nii.gz",
    }


def test_atlas_lies_site_by_site(tmp_path, tree, files):
    for site in ("R001", "R002"):
        start = f"Training/{site}/sub-{site.lower()}s1/ses-1/anat/sub-{site.lower()}s1_ses-1_space-MNI152NLin2009aSym"
        tree(tmp_path, f"{start}_T1w.nii.gz", f"{start}_label-L_desc-T1lesion_mask.nii.gz")
    cohort = read_cohort(tmp_path)
    assert (cohort.layout, cohort.problems) == ("bids", {})
    assert [subject.id for subject in cohort.subjects] == ["sub-r001s1_ses-1", "sub-r002s1_ses-1"]
    assert list(files(cohort, "sub-r001s1_ses-1")) == ["t1", "lesion"]
    assert read_cohort(tmp_path / "Training" / "R001").subjects[0].lesion is not None


def test_numbered_folders_of_anatomy_are_read_together(tmp_path, tree, files):
    start = "sub-1/ses-d1/anat{}/sub-1_ses-d1_{}.nii.gz"
    tree(tmp_path, start.format(1, "T1w"), start.format(2, "FLAIR"))
    assert sorted(files(read_cohort(tmp_path), "sub-1_ses-d1")) == ["flair", "t1"]


def test_derivatives_beside_rawdata_are_found_and_hold_no_subjects(tmp_path, tree, files):
    tree(tmp_path, "rawdata/sub-1/anat/sub-1_T1w.nii.gz", "derivatives/prep/sub-1/anat/sub-1_desc-preproc_T1w.nii.gz")
    tree(tmp_path, "derivatives/prep/sub-1/anat/sub-1_desc-brain_mask.nii.gz")
    assert files(read_cohort(tmp_path), "sub-1") == {
        "t1": "rawdata/sub-1/anat/sub-1_T1w.nii.gz",
        "brain": "derivatives/prep/sub-1/anat/sub-1_desc-brain_mask.nii.gz",
    }


@pytest.mark.parametrize(
    ("end", "role"),
    [
        ("part-mag_T2w", "t2"),
        ("part-phase_T2w", None),
        ("acq-FLAIR_T2w", "flair"),
        ("acq-postGd_T1w", "t1ce"),
        ("acq-postop_T1w", "t1"),
        ("ce-none_T1w", "t1"),
        ("t1w", "t1"),
        ("UNIT1", None),
        ("T2star", None),
    ],
)
def test_what_entities_say_of_an_image(tmp_path, tree, end, role):
    tree(tmp_path, "sub-1/anat/sub-1_inv-1_FLAIR.nii.gz", f"sub-2/anat/sub-2_{end}.nii.gz")
    cohort = read_cohort(tmp_path)
    found = [name for subject in cohort.subjects if subject.id == "sub-2" for name in subject.images]
    assert found == [role] * bool(role)
    assert [path.name for path in cohort.unused] == [f"sub-2_{end}.nii.gz"] * (role is None)


@pytest.mark.parametrize(
    ("end", "role"),
    [("T1w_brain_mask", "brain"), ("acq-T2sel_FLAIR_roi", "lesion"), ("lesion", "lesion"), ("FLAIR_lesion", "lesion"),
     ("T1w_mask", None), ("mask", None)],
)  # fmt: skip
def test_masks_that_are_called_in_words(tmp_path, tree, files, end, role):
    tree(tmp_path, "sub-1/anat/sub-1_T1w.nii.gz", f"sub-1/anat/sub-1_{end}.nii.gz")
    cohort = read_cohort(tmp_path)
    assert [name for name in files(cohort, "sub-1") if name != "t1"] == [role] * bool(role)
    assert len(cohort.unused) == (role is None)


@pytest.mark.parametrize("place", ["derivatives/mmccd", "derivatives/study1/second/mmccd"])
def test_bids_what_this_program_marked_is_no_expert_mask(tmp_path, tree, place):
    tree(tmp_path, "sub-1/anat/sub-1_FLAIR.nii.gz", f"{place}/sub-1/anat/sub-1_label-lesion_mask.nii.gz")
    assert read_cohort(tmp_path).subject("sub-1").lesion is not None
    made_by_us = '{"GeneratedBy": [{"Name": "mmccd"}]}'
    (tmp_path / place / "dataset_description.json").write_text(made_by_us)
    cohort = read_cohort(tmp_path)
    assert cohort.subject("sub-1").lesion is None
    assert cohort.unused == ()

    tree(tmp_path / "beside", "raw/sub-1/anat/sub-1_FLAIR.nii.gz", "ours/sub-1/anat/sub-1_desc-anomaly_FLAIR.nii.gz")
    (tmp_path / "beside" / "ours" / "dataset_description.json").write_text(made_by_us)
    found = read_cohort(tmp_path / "beside").subject("sub-1").images["flair"].path
    assert found.parent == tmp_path / "beside" / "raw" / "sub-1" / "anat"
