"""Any folders: what the words in the names of files say."""

from mmccd.data.cohort import read_cohort


def test_folders_take_the_first_known_token(tmp_path, tree, files):
    tree(
        tmp_path,
        "p 1/FLAIR_N4_brain_regtoMNI.nii.gz",
        "p 1/T1_regtoFLAIR_brain.nii.gz",
        "p 1/113-02-t1gd.nii.gz",
        "p 1/GOLD_STANDARD.nii.gz",
        "p 1/t1_brain_mask.nii.gz",
        "p 1/notes.nii.gz",
        "p2/MPRAGE.nii",
        "p2/consensus_mask.nii",
    )
    cohort = read_cohort(tmp_path)
    assert (cohort.layout, cohort.problems) == ("folders", {})
    assert files(cohort, "p 1") == {
        "flair": "p 1/FLAIR_N4_brain_regtoMNI.nii.gz",
        "t1": "p 1/T1_regtoFLAIR_brain.nii.gz",
        "t1ce": "p 1/113-02-t1gd.nii.gz",
        "lesion": "p 1/GOLD_STANDARD.nii.gz",
        "brain": "p 1/t1_brain_mask.nii.gz",
    }
    assert files(cohort, "p2") == {"t1": "p2/MPRAGE.nii", "lesion": "p2/consensus_mask.nii"}
    assert cohort.unused == (tmp_path / "p 1" / "notes.nii.gz",)


def test_folders_find_masks_by_their_names_and_mention_what_they_cannot_name(tmp_path, tree, files):
    tree(tmp_path, *(f"{name}/{role}.nii.gz" for name in ("anna", "ben") for role in ("FLAIR", "T2")))
    tree(tmp_path, "anna/segmentation.nii.gz", "ben/outline.nii.gz", "ben/masks/tumor.nii.gz")
    cohort = read_cohort(tmp_path)
    assert (cohort.layout, cohort.problems) == ("folders", {})
    assert files(cohort, "anna")["lesion"] == "anna/segmentation.nii.gz"
    assert [str(path.relative_to(tmp_path)) for path in cohort.unused] == [
        "ben/masks/tumor.nii.gz",
        "ben/outline.nii.gz",
    ]


def test_folder_of_one_subject_is_a_cohort_of_one(tmp_path, tree):
    cohort = read_cohort(tree(tmp_path / "patient7", "FLAIR.nii.gz", "T2.nii.gz"))
    assert [(subject.id, list(subject.images)) for subject in cohort.subjects] == [("patient7", ["flair", "t2"])]


def test_generic_names_in_subject_folders_are_not_one_subject(tmp_path, tree):
    cohort = read_cohort(tree(tmp_path, *(f"s{i}/my_{m}.nii.gz" for i in (1, 2) for m in ("flair", "t1"))))
    assert cohort.layout == "folders"
    assert [subject.id for subject in cohort.subjects] == ["s1", "s2"]


def test_folders_two_files_for_one_modality_and_strays_are_problems(tmp_path, tree):
    tree(tmp_path, "s1/FLAIR.nii.gz", "s1/t2f_b.nii.gz", "s2/FLAIR_x.nii.gz", "T1.nii.gz")
    cohort = read_cohort(tmp_path)
    assert [subject.id for subject in cohort.subjects] == ["s2"]
    assert "FLAIR.nii.gz and t2f_b.nii.gz" in cohort.problems["s1"].what
    assert cohort.problems["T1"].what == "T1.nii.gz lies in no subject's folder"
