"""A folder per modality: IXI, and the trees that studies of anomaly detection share."""

import pytest

from mmccd.data.cohort import read_cohort
from mmccd.data.layouts.modalities import LAYOUT


def test_ixi_is_read_with_what_it_holds_besides(tmp_path, tree, files):
    tree(tmp_path, *(f"IXI-T{k}/IXI00{i}-HH-{i}-T{k}.nii.gz" for k in (1, 2) for i in (1, 2)))
    tree(tmp_path, "IXI-PD/IXI001-HH-1-PD.nii.gz", "IXI-MRA/IXI001-HH-1-MRA.nii.gz", "IXI-T1/IXI003-HH-3-T1.nii.gz")
    cohort = read_cohort(tmp_path)
    assert (cohort.layout, cohort.problems) == ("brats", {})  # whose names these are, too, as long as one is alone
    assert read_cohort(tmp_path, "modalities").subjects == cohort.subjects
    assert [subject.id for subject in cohort.subjects] == ["IXI001-HH-1", "IXI002-HH-2", "IXI003-HH-3"]
    assert files(cohort, "IXI001-HH-1") == {
        "t1": "IXI-T1/IXI001-HH-1-T1.nii.gz",
        "t2": "IXI-T2/IXI001-HH-1-T2.nii.gz",
    }
    assert {path.parent.name for path in cohort.unused} == {"IXI-PD", "IXI-MRA"}


def test_sets_with_masks_in_folders_of_their_own_are_read_with_their_parts(tmp_path, tree, files):
    tree(tmp_path, *(f"Train/ixi/{role}/IXI00{i}-HH.nii.gz" for role in ("mask", "t1", "t2") for i in (1, 2)))
    tree(
        tmp_path,
        *(f"Test/Brats21/{role}/B1_{end}.nii.gz" for role, end in (("mask", "t2"), ("t2", "t2"), ("seg", "seg"))),
    )
    cohort = read_cohort(tmp_path)
    assert (cohort.layout, cohort.problems, cohort.unused) == ("modalities", {}, ())
    assert [(subject.id, subject.split) for subject in cohort.subjects] == [
        ("B1", "test"), ("IXI001-HH", "train"), ("IXI002-HH", "train"),
    ]  # fmt: skip
    assert files(cohort, "B1") == {
        "t2": "Test/Brats21/t2/B1_t2.nii.gz",
        "brain": "Test/Brats21/mask/B1_t2.nii.gz",
        "lesion": "Test/Brats21/seg/B1_seg.nii.gz",
    }
    assert files(cohort, "IXI001-HH")["brain"] == "Train/ixi/mask/IXI001-HH.nii.gz"


def test_a_mask_of_nobody_knows_what_is_not_used(tmp_path, tree):
    cohort = read_cohort(tree(tmp_path, "t1/a.nii.gz", "mask/a.nii.gz"))
    assert (cohort.layout, cohort.subjects[0].brain, cohort.subjects[0].lesion) == ("modalities", None, None)
    assert [path.parent.name for path in cohort.unused] == ["mask"]


def test_a_folder_per_series_in_that_of_each_subject(tmp_path, tree, files):
    cohort = read_cohort(tree(tmp_path, *(f"P{i}/{role}/scan.nii.gz" for i in (1, 2) for role in ("T1", "T2_FLAIR"))))
    assert (cohort.layout, cohort.problems) == ("modalities", {})
    assert files(cohort, "P1") == {"flair": "P1/T2_FLAIR/scan.nii.gz", "t1": "P1/T1/scan.nii.gz"}


def test_uk_biobank_is_read_with_its_stripped_scans_and_masks(tmp_path, tree, files):
    names = (
        "T2_FLAIR/T2_FLAIR", "T2_FLAIR/T2_FLAIR_brain", "T2_FLAIR/T2_FLAIR_orig", "T2_FLAIR/lesions/final_mask",
        "T1/T1", "T1/T1_brain", "T1/T1_brain_mask",
    )  # fmt: skip
    cohort = read_cohort(tree(tmp_path, *(f"{who}/{name}.nii.gz" for who in ("1000", "1001") for name in names)))
    assert (cohort.layout, cohort.problems) == ("modalities", {})
    assert files(cohort, "1000") == {
        "flair": "1000/T2_FLAIR/T2_FLAIR_brain.nii.gz", "t1": "1000/T1/T1_brain.nii.gz",
        "brain": "1000/T1/T1_brain_mask.nii.gz",
    }  # fmt: skip
    assert len(cohort.unused) == 8


@pytest.mark.parametrize(
    "names",
    [
        ("P1_T1/FLAIR", "P1_T2/FLAIR"),  # first and second visit
        ("T1/a", "P2/FLAIR"),
        ("lesion_01/FLAIR",),
        ("a", "b"),
    ],
)
def test_folders_that_only_look_like_modalities_are_not(tmp_path, names, tree):
    assert not LAYOUT.detect(tree(tmp_path, *(f"{name}.nii.gz" for name in names)))
