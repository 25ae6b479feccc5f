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
