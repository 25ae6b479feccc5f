"""BraTS: pairs by the id in the names of files, in both namings; strays are named."""

import pytest

from mmccd.data.cohort import modalities_of, read_cohort


def test_brats_reads_both_namings_in_one_cohort(tmp_path, tree, files):
    tree(
        tmp_path,
        *(f"BraTS2021_00000/BraTS2021_00000_{m}.nii.gz" for m in ("flair", "t1", "t1ce", "t2", "seg", "brain")),
        *(f"BraTS-GLI-00003-001/BraTS-GLI-00003-001-{m}.nii" for m in ("t2w", "t1c", "t1n", "t2f", "seg")),
    )
    cohort = read_cohort(tmp_path)
    assert (cohort.layout, cohort.problems) == ("brats", {})
    assert [subject.id for subject in cohort.subjects] == ["BraTS-GLI-00003-001", "BraTS2021_00000"]
    assert modalities_of(cohort) == ("flair", "t1", "t1ce", "t2")
    assert list(cohort.subjects[0].images) == ["flair", "t1", "t1ce", "t2"]
    folder = "BraTS-GLI-00003-001/BraTS-GLI-00003-001-"
    assert files(cohort, "BraTS-GLI-00003-001") == {
        "flair": f"{folder}t2f.nii", "t1": f"{folder}t1n.nii", "t1ce": f"{folder}t1c.nii",
        "t2": f"{folder}t2w.nii", "lesion": f"{folder}seg.nii",
    }  # fmt: skip
    assert files(cohort, "BraTS2021_00000")["brain"].endswith("_brain.nii.gz")


def test_brats_pairs_by_id_in_flat_folders_with_missing_files(tmp_path, tree, files):
    tree(
        tmp_path / "a" / "b",
        "P_2_flair.nii.gz",
        "P_10_t1.nii.gz",
        "P_10_flair.nii.gz",
        "P_10_brain_mask.nii.gz",
        "P_2_t1_mask.nii.gz",
    )
    tree(tmp_path / "labels", "P_2_seg.nii.gz", "P_3_seg.nii.gz")
    cohort = read_cohort(tmp_path)
    assert [subject.id for subject in cohort.subjects] == ["P_10", "P_2"]
    assert files(cohort, "P_2") == {"flair": "a/b/P_2_flair.nii.gz", "lesion": "labels/P_2_seg.nii.gz"}
    assert cohort.subject("P_10").lesion is None
    assert cohort.subject("P_10").brain is not None
    assert {name: problem.what for name, problem in cohort.problems.items()} == {"P_3": "it has no image, only masks"}
    assert modalities_of(cohort) == ("flair",)


def test_brats_ignores_hidden_and_partial_files(tmp_path, tree, files):
    tree(tmp_path, "P_1_flair.nii.gz", "._P_1_t1.nii.gz", ".P_2_flair.nii.gz", ".git/P_3_flair.nii.gz")
    (tmp_path / "P_1_t2.nii.gz.partial").touch()
    cohort = read_cohort(tmp_path)
    assert [subject.id for subject in cohort.subjects] == ["P_1"]
    assert files(cohort, "P_1") == {"flair": "P_1_flair.nii.gz"}


def test_brats_names_folders_that_it_could_not_read(tmp_path, tree):
    tree(tmp_path, "P_1/P_1_flair.nii.gz", "P_2/P_2_flair.nii.gz", "odd/FLAIR.nii.gz")
    assert "FLAIR.nii.gz not named" in read_cohort(tmp_path).problems["odd"].what


def test_brats_names_each_stray_file_of_a_folder_that_subjects_share(tmp_path, tree):
    flat = ("a_flair", "a_t1", "b_flair", "b_flair_raw", "c_flair", "d_flair_n4", "e_flair_brain")
    tree(tmp_path / "top", *(f"{name}.nii.gz" for name in flat))
    tree(tmp_path / "deeper" / "images", *(f"{name}.nii.gz" for name in flat))
    for root in (tmp_path / "top", tmp_path / "deeper"):
        cohort = read_cohort(root)
        assert cohort.layout == "brats"
        assert [subject.id for subject in cohort.subjects] == ["a", "b", "c"]
        assert list(cohort.problems) == ["d_flair_n4", "e_flair_brain"]
        assert "d_flair_n4.nii.gz not named <subject>_<modality>" in cohort.problems["d_flair_n4"].what
        assert [path.name for path in cohort.unused] == ["b_flair_raw.nii.gz"]


def test_a_further_file_in_the_folder_of_a_subject_is_no_problem(tmp_path, tree):
    names = ("P_1/P_1_flair", "P_1/P_1_t1", "P_1/flair_raw", "P_2/P_2_flair")
    cohort = read_cohort(tree(tmp_path, *(f"{name}.nii.gz" for name in names)))
    assert (cohort.layout, cohort.problems) == ("brats", {})
    assert cohort.unused == (tmp_path / "P_1" / "flair_raw.nii.gz",)


@pytest.mark.parametrize(
    "name", ["segm", "SEGMENTATION", "tumor", "tumour", "label", "roi", "tumor_seg", "lesion_label", "tumor_mask"]
)
def test_brats_knows_what_lesion_masks_are_called(tmp_path, name, tree, files):
    root = tree(tmp_path, *(f"U_1/U_1_{role}.nii.gz" for role in ("FLAIR", "T1", name)))
    cohort = read_cohort(root)
    assert (cohort.layout, cohort.problems, cohort.unused) == ("brats", {}, ())
    assert files(cohort, "U_1")["lesion"] == f"U_1/U_1_{name}.nii.gz"


def test_ucsf_pdgm_is_read_as_it_is_released(tmp_path, tree, files):
    """Corrected copies, maps and a second brain mask lie beside what is meant."""
    names = (
        "FLAIR", "FLAIR_bias", "T1", "T1_bias", "T1gad", "T1gad_bias", "T2", "T2_bias", "ADC", "SWI", "DTI_eddy_FA",
        "ASL", "DWI_bias", "DTI_eddy_MD", "brain_segmentation", "brain_parenchyma_segmentation", "tumor_segmentation",
    )  # fmt: skip
    tree(tmp_path, *(f"P{i}_nifti/P{i}_{name}.nii.gz" for i in (1, 2) for name in names))
    cohort = read_cohort(tmp_path)
    assert (cohort.layout, cohort.problems, len(cohort.unused)) == ("brats", {}, 22)
    assert {role: name.removeprefix("P1_nifti/P1_") for role, name in files(cohort, "P1").items()} == {
        "flair": "FLAIR.nii.gz", "t1": "T1.nii.gz", "t1ce": "T1gad.nii.gz", "t2": "T2.nii.gz",
        "brain": "brain_segmentation.nii.gz", "lesion": "tumor_segmentation.nii.gz",
    }  # fmt: skip


def test_visits_that_are_called_as_modalities_are(tmp_path, tree, files):
    """MSLesSeg: T1, T2 and T3 are visits, and the last word is the modality."""
    names = (f"P1/T{k}/P1_T{k}_{role}.nii.gz" for k in (1, 2, 3) for role in ("FLAIR", "T1", "T2", "MASK"))
    cohort = read_cohort(tree(tmp_path, *names))
    assert (cohort.layout, cohort.problems) == ("brats", {})
    assert [subject.id for subject in cohort.subjects] == ["P1_T1", "P1_T2", "P1_T3"]
    assert files(cohort, "P1_T2") == {
        "flair": "P1/T2/P1_T2_FLAIR.nii.gz", "t1": "P1/T2/P1_T2_T1.nii.gz", "t2": "P1/T2/P1_T2_T2.nii.gz"
    }  # fmt: skip
    assert {path.name for path in cohort.unused} == {f"P1_T{k}_MASK.nii.gz" for k in (1, 2, 3)}


def test_names_with_more_than_one_word_are_one_modality(tmp_path, tree, files):
    tree(tmp_path, *(f"P1_{name}.nii.gz" for name in ("T2_FLAIR", "T2", "T1_post", "3D_T1", "FLAIR_lesion")))
    assert files(read_cohort(tmp_path), "P1") == {
        "flair": "P1_T2_FLAIR.nii.gz", "t1": "P1_3D_T1.nii.gz", "t1ce": "P1_T1_post.nii.gz", "t2": "P1_T2.nii.gz",
        "lesion": "P1_FLAIR_lesion.nii.gz",
    }  # fmt: skip
