import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mmccd.data.cohort import Image, modalities_of, read_cohort
from mmccd.data.layouts.names import LESION, is_mask, modality_named, named_otherwise, role_of
from mmccd.data.layouts.readers import LAYOUTS
from mmccd.errors import DataError
from mmccd.prediction.predict import find_inputs


def scan(path: Path, shape: tuple[int, ...] = (8, 8, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ones(shape, np.int16), np.eye(4)), path)
    return path


def tree(root: Path, *names: str) -> Path:
    for name in names:
        scan(root / name)
    return root


def files(cohort, subject: str) -> dict[str, str]:
    found = cohort.subject(subject)
    roles = {**found.images, "brain": found.brain, "lesion": found.lesion}
    return {role: str(image.path.relative_to(cohort.root)) for role, image in roles.items() if image}


# --- brats ---


def test_brats_reads_both_namings_in_one_cohort(tmp_path):
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


def test_brats_pairs_by_id_in_flat_folders_with_missing_files(tmp_path):
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
    assert cohort.problems == {"P_3": "it has no image, only masks"}
    assert modalities_of(cohort) == ("flair",)


def test_brats_ignores_hidden_and_partial_files(tmp_path):
    tree(tmp_path, "P_1_flair.nii.gz", "._P_1_t1.nii.gz", ".P_2_flair.nii.gz", ".git/P_3_flair.nii.gz")
    (tmp_path / "P_1_t2.nii.gz.partial").touch()
    cohort = read_cohort(tmp_path)
    assert [subject.id for subject in cohort.subjects] == ["P_1"]
    assert files(cohort, "P_1") == {"flair": "P_1_flair.nii.gz"}


def test_brats_names_folders_that_it_could_not_read(tmp_path):
    tree(tmp_path, "P_1/P_1_flair.nii.gz", "P_2/P_2_flair.nii.gz", "odd/FLAIR.nii.gz")
    assert "FLAIR.nii.gz not named" in read_cohort(tmp_path).problems["odd"]


def test_brats_names_each_stray_file_of_a_folder_that_subjects_share(tmp_path):
    flat = ("a_flair", "a_t1", "b_flair", "b_flair_raw", "c_flair", "d_flair_n4", "e_flair_brain")
    tree(tmp_path / "top", *(f"{name}.nii.gz" for name in flat))
    tree(tmp_path / "deeper" / "images", *(f"{name}.nii.gz" for name in flat))
    for root in (tmp_path / "top", tmp_path / "deeper"):
        cohort = read_cohort(root)
        assert cohort.layout == "brats"
        assert [subject.id for subject in cohort.subjects] == ["a", "b", "c"]
        assert list(cohort.problems) == ["d_flair_n4", "e_flair_brain"]
        assert "d_flair_n4.nii.gz not named <subject>_<modality>" in cohort.problems["d_flair_n4"]
        assert [path.name for path in cohort.unused] == ["b_flair_raw.nii.gz"]


def test_a_further_file_in_the_folder_of_a_subject_is_no_problem(tmp_path):
    names = ("P_1/P_1_flair", "P_1/P_1_t1", "P_1/flair_raw", "P_2/P_2_flair")
    cohort = read_cohort(tree(tmp_path, *(f"{name}.nii.gz" for name in names)))
    assert (cohort.layout, cohort.problems) == ("brats", {})
    assert cohort.unused == (tmp_path / "P_1" / "flair_raw.nii.gz",)


@pytest.mark.parametrize(
    "name", ["segm", "SEGMENTATION", "tumor", "tumour", "label", "roi", "tumor_seg", "lesion_label", "tumor_mask"]
)
def test_brats_knows_what_lesion_masks_are_called(tmp_path, name):
    root = tree(tmp_path, *(f"U_1/U_1_{role}.nii.gz" for role in ("FLAIR", "T1", name)))
    cohort = read_cohort(root)
    assert (cohort.layout, cohort.problems, cohort.unused) == ("brats", {}, ())
    assert files(cohort, "U_1")["lesion"] == f"U_1/U_1_{name}.nii.gz"


# --- names of masks ---


@pytest.mark.parametrize(
    ("name", "role", "mask"),
    [
        ("anna_segmentation", LESION, True),
        ("UPENN_1_segm", LESION, True),
        ("tumor", LESION, False),  # or a patient's
        ("tumour_mask", LESION, True),
        ("tumor_07_T1c", "t1ce", False),
        ("label_FLAIR", "flair", False),
        ("tumor_07_brain", "brain", False),
        ("brain_tumor", LESION, False),
        ("brain_lesions_mask", LESION, True),
        ("brain_mask", "brain", True),
        ("brainmask", "brain", True),
        ("p01_brain", "brain", False),  # what BET calls a stripped scan
        ("t1_mask", None, True),
        ("p01", None, False),
    ],
)
def test_what_a_name_says_of_masks(name, role, mask):
    path = Path(f"{name}.nii.gz")
    assert (role_of(path), is_mask(path)) == (role, mask)


def test_no_word_for_a_mask_is_a_word_for_a_modality():
    words = (
        "seg",
        "segm",
        "segmentation",
        "lesion",
        "lesions",
        "tumor",
        "tumour",
        "label",
        "roi",
        "brain",
        "brainmask",
    )
    assert not [word for word in words if named_otherwise(Path(f"{word}.nii.gz"), "flair")]


def test_scans_as_bet_names_them_are_scanned_and_not_taken_for_masks(tmp_path):
    tree(tmp_path, "mixed/p01_brain.nii.gz", "mixed/p02.nii.gz", "mixed/p01_brain_mask.nii.gz")
    tree(tmp_path, "all/p01_brain.nii.gz", "all/p02_brain.nii.gz")
    for folder, cases in (("mixed", ["p01_brain", "p02"]), ("all", ["p01_brain", "p02_brain"])):
        found, problems = find_inputs([tmp_path / folder], "flair")
        assert ([item.case for item in found], problems) == (cases, {})


# --- nnU-Net ---


def nnunet(root: Path, table: dict | None) -> Path:
    tree(root, *(f"imagesTr/P_{case}_000{channel}.nii.gz" for case in (1, 2) for channel in (0, 1)))
    tree(root, "imagesTs/Q_0000.nii.gz", "labelsTr/P_1.nii.gz", "labelsTr/P_2.nii.gz", "labelsTs/Q.nii.gz")
    if table is not None:
        (root / "dataset.json").write_text(json.dumps(table))
    return root


@pytest.mark.parametrize(
    "table",
    [
        {"channel_names": {"0": "T2", "1": "FLAIR"}, "labels": {"background": 0, "tumor": 1}, "file_ending": ".nii.gz"},
        {"modality": {"0": "T2", "1": "FLAIR"}, "training": [{"image": "./imagesTr/P_1.nii.gz"}]},
    ],
    ids=["version 2", "version 1"],
)
def test_nnunet_takes_the_channels_from_dataset_json(tmp_path, table):
    cohort = read_cohort(nnunet(tmp_path, table))
    assert (cohort.layout, cohort.problems, cohort.unused) == ("nnunet", {}, ())
    assert [subject.id for subject in cohort.subjects] == ["P_1", "P_2", "Q"]
    assert files(cohort, "P_1") == {
        "t2": "imagesTr/P_1_0000.nii.gz",
        "flair": "imagesTr/P_1_0001.nii.gz",
        "lesion": "labelsTr/P_1.nii.gz",
    }
    assert files(cohort, "Q") == {"t2": "imagesTs/Q_0000.nii.gz", "lesion": "labelsTs/Q.nii.gz"}
    assert [item.case for item in find_inputs([tmp_path], "flair")[0]] == ["P_1", "P_2"]
    only = read_cohort(tmp_path / "imagesTs")
    assert (only.layout, [subject.id for subject in only.subjects]) == ("nnunet", ["Q"])
    assert only.subject("Q").lesion is not None


def test_nnunet_channels_without_a_name_and_labels_without_an_image_are_problems(tmp_path):
    root = nnunet(tmp_path, {"channel_names": {"0": "FLAIR"}})
    tree(root, "labelsTr/P_9.nii.gz", "imagesTr/overview.nii.gz")
    cohort = read_cohort(root)
    assert [subject.id for subject in cohort.subjects] == ["Q"]
    assert cohort.problems["P_1"] == "P_1_0001.nii.gz is a channel that dataset.json does not name"
    assert cohort.problems["P_9"] == "it has no image, only masks"
    assert [path.name for path in cohort.unused] == ["overview.nii.gz"]


@pytest.mark.parametrize("part", ["", "imagesTr"])
def test_nnunet_without_dataset_json_is_refused_with_the_remedy(tmp_path, part):
    with pytest.raises(DataError, match=r"has no dataset\.json, so nothing says which modality each channel") as caught:
        read_cohort(nnunet(tmp_path, None) / part)
    assert "channel_names" in caught.value.hint


@pytest.mark.parametrize("names", [("scan_0000", "scan_0001"), ("a_0000", "b_0000"), ("a_0001", "a_0002", "b_0001")])
def test_numbered_scans_are_not_taken_for_channels(tmp_path, names):
    tree(tmp_path, *(f"{name}.nii.gz" for name in names))
    assert not LAYOUTS["nnunet"].detect(tmp_path)


def test_channels_of_several_cases_are_recognised_in_any_folder(tmp_path):
    tree(tmp_path, *(f"{name}.nii.gz" for name in ("a_0000", "a_0001", "b_0000", "b_0001")))
    assert LAYOUTS["nnunet"].detect(tmp_path)


# --- msd ---


def msd(root: Path, modality: dict[str, str], training: list[str]) -> Path:
    tree(root, "imagesTr/BRATS_002.nii.gz", "imagesTr/BRATS_001.nii.gz", "imagesTr/._BRATS_001.nii.gz")
    tree(root, "labelsTr/BRATS_001.nii.gz", "labelsTr/BRATS_002.nii.gz", "imagesTs/BRATS_003.nii.gz")
    cases = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in training]
    (root / "dataset.json").write_text(json.dumps({"modality": modality, "training": cases}))
    return root


def test_msd_takes_the_channel_order_from_dataset_json(tmp_path):
    msd(tmp_path, {"0": "T1w", "1": "FLAIR", "2": "t1gd", "3": "T2w"}, ["BRATS_001.nii.gz", "BRATS_009.nii.gz"])
    cohort = read_cohort(tmp_path)
    assert cohort.layout == "msd"
    assert [subject.id for subject in cohort.subjects] == ["BRATS_001", "BRATS_002", "BRATS_003"]
    image = tmp_path / "imagesTr" / "BRATS_001.nii.gz"
    assert cohort.subject("BRATS_001").images == {
        "flair": Image(image, 1), "t1": Image(image, 0), "t1ce": Image(image, 2), "t2": Image(image, 3),
    }  # fmt: skip
    assert cohort.subject("BRATS_002").lesion == Image(tmp_path / "labelsTr" / "BRATS_002.nii.gz")
    assert cohort.subject("BRATS_003").lesion is None
    assert "BRATS_009.nii.gz does not exist" in cohort.problems["BRATS_009"]


def test_msd_of_one_modality_has_3d_files(tmp_path):
    msd(tmp_path, {"0": "FLAIR"}, [])
    assert read_cohort(tmp_path).subjects[0].images["flair"].channel is None


@pytest.mark.parametrize("text", ["{", "{}", '{"modality": ["FLAIR"]}', '{"modality": {"x": "FLAIR"}}'])
def test_msd_with_a_broken_dataset_json_is_refused(tmp_path, text):
    msd(tmp_path, {}, [])
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DataError, match='no usable "modality" table'):
        read_cohort(tmp_path)


# --- bids ---


def test_bids_sessions_masks_and_participants(tmp_path):
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


def test_bids_several_runs_are_a_problem_naming_them(tmp_path):
    tree(tmp_path, *(f"sub-01/anat/sub-01_run-{run}_T1w.nii.gz" for run in (1, 2)), "sub-02/anat/sub-02_T1w.nii.gz")
    cohort = read_cohort(tmp_path)
    assert [subject.id for subject in cohort.subjects] == ["sub-02"]
    assert "sub-01_run-1_T1w.nii.gz and sub-01_run-2_T1w.nii.gz" in cohort.problems["sub-01"]


def test_bids_mask_without_session_is_that_of_the_only_one(tmp_path):
    tree(tmp_path, "sub-1/ses-9/anat/sub-1_ses-9_FLAIR.nii.gz", "derivatives/x/sub-1/sub-1_label-lesion_mask.nii.gz")
    assert read_cohort(tmp_path).subject("sub-1_ses-9").lesion is not None


def test_bids_lesion_masks_by_other_names_and_files_of_no_use(tmp_path):
    tree(tmp_path, *(f"sub-{number}/anat/sub-{number}_FLAIR.nii.gz" for number in (1, 2)))
    tree(tmp_path, "sub-1/anat/sub-1_label-lesion_roi.nii.gz", "derivatives/x/sub-2/sub-2_desc-tumor_mask.nii.gz")
    tree(tmp_path, "sub-1/anat/sub-1_PDw.nii.gz")
    cohort = read_cohort(tmp_path)
    assert all(subject.lesion for subject in cohort.subjects)
    assert [path.name for path in cohort.unused] == ["sub-1_PDw.nii.gz"]


# --- csv ---


def manifest(root: Path, text: str, name: str = "cohort.csv") -> Path:
    (root / name).write_text(text)
    return root / name


def test_csv_reads_any_modality_relative_to_its_folder(tmp_path):
    tree(tmp_path, "x/a.nii.gz", "x/b.nii.gz", "x/c.nii.gz", "m.nii.gz")
    path = manifest(
        tmp_path, "\ufeffSubject,SWI,t1,lesion,split\nS2,x/a.nii.gz,,m.nii.gz,val\nS1,x/b.nii.gz,x/c.nii.gz,,\n"
    )
    cohort = read_cohort(path)
    assert (cohort.layout, cohort.problems) == ("csv", {})
    assert [(s.id, list(s.images), s.split) for s in cohort.subjects] == [
        ("S1", ["t1", "swi"], None),
        ("S2", ["swi"], "validation"),
    ]
    assert cohort.subject("S2").lesion == Image(tmp_path / "m.nii.gz")
    assert modalities_of(cohort) == ("swi",)


@pytest.mark.parametrize("end", ["_0000", ""])
def test_imagests_of_nnunet_and_msd_is_the_test_part(tmp_path, end):
    """Drawn into the training part, a declared test set would leak."""
    names = [f"imagesTr/A{end}.nii.gz", f"imagesTr/B{end}.nii.gz", f"imagesTs/C{end}.nii.gz"]
    tree(tmp_path, *names, "labelsTr/A.nii.gz", "labelsTr/B.nii.gz", "labelsTs/C.nii.gz")
    (tmp_path / "dataset.json").write_text('{"channel_names": {"0": "FLAIR"}, "training": []}')
    splits = {subject.id: subject.split for subject in read_cohort(tmp_path).subjects}
    assert splits == {"A": "train", "B": "train", "C": "test"}
    for path in (tmp_path / "imagesTr").iterdir():
        path.unlink()
    assert [subject.split for subject in read_cohort(tmp_path, "nnunet" if end else "msd").subjects] == [None]


@pytest.mark.parametrize("name", ["lesion", "label-WMH", "desc-lesionManual", "label-lesion", "desc-tumor"])
def test_bids_lesion_masks_by_the_names_that_they_have(tmp_path, name):
    tree(tmp_path, "sub-1/anat/sub-1_FLAIR.nii.gz", f"derivatives/x/sub-1/anat/sub-1_{name}_mask.nii.gz")
    cohort = read_cohort(tmp_path)
    assert cohort.subjects[0].lesion is not None
    assert not cohort.unused


def test_bids_masks_that_are_not_understood_are_mentioned(tmp_path):
    tree(
        tmp_path, "sub-1/anat/sub-1_FLAIR.nii.gz", "derivatives/x/sub-1/anat/sub-1_desc-ManualSegmentation_mask.nii.gz",
        "derivatives/x/sub-1/anat/sub-1_desc-aseg_dseg.nii.gz",
    )  # fmt: skip
    cohort = read_cohort(tmp_path)
    assert cohort.subjects[0].lesion is None
    assert [path.name for path in cohort.unused] == ["sub-1_desc-ManualSegmentation_mask.nii.gz"]


def test_names_of_modalities_as_people_write_them():
    assert [modality_named(name) for name in ("FLAIR", " T2w", "SWI", "t1n")] == ["flair", "t2", "swi", "t1"]
    assert modality_named("T1W", known=("t1w",)) == "t1w"


def test_tsv_and_semicolons_are_read(tmp_path):
    tree(tmp_path, "a.nii.gz")
    assert read_cohort(manifest(tmp_path, "subject\tflair\nS1\ta.nii.gz\n", "c.tsv")).subjects[0].id == "S1"
    assert read_cohort(manifest(tmp_path, "subject\tflair\nS1\ta.nii.gz\n", "C.TSV")).subjects[0].id == "S1"
    assert read_cohort(manifest(tmp_path, "subject;flair\nS1;a.nii.gz\n")).subjects[0].id == "S1"


def test_csv_missing_file_and_empty_row_are_problems_of_their_subjects(tmp_path):
    tree(tmp_path, "a.nii.gz", "b.nii.gz")
    cohort = read_cohort(manifest(tmp_path, "subject,flair\nS1,a.nii.gz\nS2,gone.nii.gz\nS3,\n../S4,b.nii.gz\n"))
    assert [subject.id for subject in cohort.subjects] == ["S1"]
    assert cohort.problems["S2"].endswith("gone.nii.gz does not exist")
    assert cohort.problems["S3"] == "its row names no file"
    assert "not safe as a file name" in cohort.problems["../S4"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("id,flair\nS1,a.nii.gz\n", "no column subject; its columns are id, flair"),
        ("subject,flair\nS1,a.nii.gz\nS1,a.nii.gz\n", "rows without a subject of their own: S1"),
        ("subject,flair\n,a.nii.gz\n", r"rows without a subject of their own: \(empty\)"),
        ("subject,flair,flair\nS1,a.nii.gz,a.nii.gz\n", "columns without a name of their own: flair"),
        ("subject,flair\nS1,a.nii.gz,b.nii.gz\n", "line 2 has 3 cells, its header has 2"),
        ("subject,flair,age\nS1,a.nii.gz,33\n", r"column 'age' that names no NIfTI file \(first cell '33'\)"),
        ("subject,T1 post\nS1,a.nii.gz\n", "column 't1 post'"),
        ("subject,lesion\nS1,a.nii.gz\n", "no modality column"),
        ("subject,flair\n", "no modality column or no row"),
        ("subject,flair,split\nS1,a.nii.gz,fold1\n", "subject S1 has the split 'fold1'"),
    ],
)
def test_malformed_csv_is_refused(tmp_path, text, message):
    tree(tmp_path, "a.nii.gz")
    with pytest.raises(DataError, match=message) as caught:
        read_cohort(manifest(tmp_path, text))
    assert caught.value.hint


def test_csv_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "c.csv").write_bytes(b"subject,flair\nM\xfcller,a.nii.gz\n")
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_cohort(tmp_path / "c.csv")


def test_csv_with_an_endless_cell_is_refused(tmp_path):
    with pytest.raises(DataError, match="is not valid CSV"):
        read_cohort(manifest(tmp_path, "subject,flair\nS1," + "a" * 200_000))


# --- folders ---


def test_folders_take_the_first_known_token(tmp_path):
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


def test_folders_find_masks_by_their_names_and_mention_what_they_cannot_name(tmp_path):
    tree(tmp_path, *(f"{name}/{role}.nii.gz" for name in ("anna", "ben") for role in ("FLAIR", "T2")))
    tree(tmp_path, "anna/segmentation.nii.gz", "ben/outline.nii.gz", "ben/masks/tumor.nii.gz")
    cohort = read_cohort(tmp_path)
    assert (cohort.layout, cohort.problems) == ("folders", {})
    assert files(cohort, "anna")["lesion"] == "anna/segmentation.nii.gz"
    assert [str(path.relative_to(tmp_path)) for path in cohort.unused] == [
        "ben/masks/tumor.nii.gz",
        "ben/outline.nii.gz",
    ]


def test_folder_of_one_subject_is_a_cohort_of_one(tmp_path):
    cohort = read_cohort(tree(tmp_path / "patient7", "FLAIR.nii.gz", "T2.nii.gz"))
    assert [(subject.id, list(subject.images)) for subject in cohort.subjects] == [("patient7", ["flair", "t2"])]


def test_generic_names_in_subject_folders_are_not_one_subject(tmp_path):
    cohort = read_cohort(tree(tmp_path, *(f"s{i}/my_{m}.nii.gz" for i in (1, 2) for m in ("flair", "t1"))))
    assert cohort.layout == "folders"
    assert [subject.id for subject in cohort.subjects] == ["s1", "s2"]


def test_folders_two_files_for_one_modality_and_strays_are_problems(tmp_path):
    tree(tmp_path, "s1/FLAIR.nii.gz", "s1/t2f_b.nii.gz", "s2/FLAIR_x.nii.gz", "T1.nii.gz")
    cohort = read_cohort(tmp_path)
    assert [subject.id for subject in cohort.subjects] == ["s2"]
    assert "FLAIR.nii.gz and t2f_b.nii.gz" in cohort.problems["s1"]
    assert cohort.problems["T1"] == "T1.nii.gz lies in no subject's folder"


# --- names that say another modality ---


@pytest.mark.parametrize(
    ("name", "flair", "t2"),
    [
        ("x_T2_FLAIR", False, False),  # may be either
        ("x_t2", True, False),
        ("x-t2w", True, False),
        ("x_FLAIR", False, True),
        ("BraTS-GLI-00001-000-t2f", False, True),
        ("sub-01_T1w", True, True),
        ("T1_regtoFLAIR", True, True),  # no word of its own
        ("t1_t2.flair", False, False),
        ("head_brain", False, False),
        ("t2_brain_mask", True, False),
        ("lesion_seg", False, False),
        ("patient7", False, False),
        ("start2_flairy", False, False),
    ],
)
def test_names_that_say_another_modality(name, flair, t2):
    path = Path("anywhere_t1") / f"{name}.nii.gz"
    assert (named_otherwise(path, "flair"), named_otherwise(path, "t2")) == (flair, t2)


def test_a_modality_that_no_name_is_known_for_takes_every_name():
    assert not named_otherwise(Path("x_flair.nii.gz"), "swi")


@pytest.mark.parametrize("source", ["flair", "t2"])
def test_a_loose_file_of_another_modality_is_a_problem_and_the_others_are_scored(tmp_path, source):
    other = {"flair": "t2", "t2": "flair"}[source]
    tree(tmp_path / "scans", f"a_{source}_n4.nii.gz", f"b_{other}_n4.nii.gz", "c_T2_FLAIR.nii.gz", "d.nii.gz")
    files = [tmp_path / "scans" / name for name in (f"b_{other}_n4.nii.gz", "d.nii.gz")]

    for inputs, cases in (([tmp_path / "scans"], [f"a_{source}_n4", "c_T2_FLAIR", "d"]), (files, ["d"])):
        found, problems = find_inputs(inputs, source)
        assert [item.case for item in found] == cases
        assert list(problems) == [f"b_{other}_n4"]
        assert f"another modality than {source}" in problems[f"b_{other}_n4"]
        assert f"if it is {source}, rename it" in problems[f"b_{other}_n4"]


def test_a_brain_mask_beside_a_file_of_another_modality_is_no_second_complaint(tmp_path):
    tree(tmp_path, "a_t2.nii.gz", "mask.nii.gz")
    found, problems = find_inputs([tmp_path / "a_t2.nii.gz"], "flair", brain=tmp_path / "mask.nii.gz")
    assert (found, list(problems)) == ([], ["a_t2"])
