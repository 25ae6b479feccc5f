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


def test_the_challenge_of_white_matter_hyperintensities_is_read(tmp_path, tree, files):
    """Sites above, stages inside: images as they were prepared, outlines beside."""
    names = ("orig/FLAIR", "orig/T1", "orig/3DT1", "pre/FLAIR", "pre/T1", "wmh")
    tree(tmp_path, *(f"{who}/{name}.nii.gz" for who in ("Utrecht/0", "Amsterdam/GE3T/100") for name in names))
    cohort = read_cohort(tmp_path)
    assert (cohort.layout, cohort.problems) == ("folders", {})
    assert [subject.id for subject in cohort.subjects] == ["Amsterdam_GE3T_100", "Utrecht_0"]
    assert files(cohort, "Utrecht_0") == {
        "flair": "Utrecht/0/pre/FLAIR.nii.gz", "t1": "Utrecht/0/pre/T1.nii.gz", "lesion": "Utrecht/0/wmh.nii.gz",
    }  # fmt: skip
    assert {path.parent.name for path in cohort.unused} == {"orig"}


def test_the_consensus_of_msseg_goes_before_its_experts(tmp_path, tree, files):
    names = (
        "Raw_Data/FLAIR", "Preprocessed_Data/FLAIR_preprocessed", "Preprocessed_Data/GADO_preprocessed",
        "Preprocessed_Data/DP_preprocessed", "Masks/Consensus", "Masks/ManualSegmentation_1", "Masks/Brain_Mask",
    )  # fmt: skip
    tree(tmp_path, *(f"{part}/Center_01/P_{part}/{name}.nii.gz" for part in ("Training", "Testing") for name in names))
    cohort = read_cohort(tmp_path)
    assert (cohort.layout, cohort.problems) == ("folders", {})
    assert [(s.id, s.split) for s in cohort.subjects] == [
        ("Center_01_P_Testing", "test"), ("Center_01_P_Training", "train")
    ]  # fmt: skip
    assert {role: name.split("/", 3)[-1] for role, name in files(cohort, "Center_01_P_Testing").items()} == {
        "flair": "Preprocessed_Data/FLAIR_preprocessed.nii.gz", "t1ce": "Preprocessed_Data/GADO_preprocessed.nii.gz",
        "brain": "Masks/Brain_Mask.nii.gz", "lesion": "Masks/Consensus.nii.gz",
    }  # fmt: skip


def test_names_of_scanners_say_the_right_modality_and_maps_are_left(tmp_path, tree, files):
    names = ("T2_FLAIR", "T1", "t1_mprage_KM", "T2", "T2_map", "FLAIR_lesion", "FLAIR_bias")
    cohort = read_cohort(tree(tmp_path, *(f"P1/{name}.nii.gz" for name in names)))
    assert {role: name[3:-7] for role, name in files(cohort, "P1").items()} == {
        "flair": "T2_FLAIR", "t1": "T1", "t1ce": "t1_mprage_KM", "t2": "T2", "lesion": "FLAIR_lesion",
    }  # fmt: skip
    assert [path.name for path in cohort.unused] == ["FLAIR_bias.nii.gz", "T2_map.nii.gz"]


def test_a_corrected_copy_is_taken_where_it_is_alone(tmp_path, tree, files):
    cohort = read_cohort(tree(tmp_path, "P1/FLAIR_bias.nii.gz", "P1/T1.nii.gz"))
    assert files(cohort, "P1")["flair"] == "P1/FLAIR_bias.nii.gz"


def test_a_folder_linked_into_itself_is_read_once(tmp_path, tree):
    tree(tmp_path, "A/FLAIR.nii.gz", "B/FLAIR.nii.gz")
    (tmp_path / "again").symlink_to(".")
    cohort = read_cohort(tmp_path)
    assert ([subject.id for subject in cohort.subjects], cohort.problems) == (["A", "B"], {})


def test_folders_that_are_called_as_stages_are_subjects_beside_others(tmp_path, tree):
    cohort = read_cohort(tree(tmp_path, "raw/FLAIR.nii.gz", "reference/FLAIR.nii.gz"))
    assert [subject.id for subject in cohort.subjects] == ["raw", "reference"]


def test_one_subject_with_folders_inside_is_a_cohort_of_one(tmp_path, tree, files):
    cohort = read_cohort(tree(tmp_path / "P7", "orig/FLAIR.nii.gz", "masks/lesion.nii.gz"))
    assert files(cohort, "P7") == {"flair": "orig/FLAIR.nii.gz", "lesion": "masks/lesion.nii.gz"}
