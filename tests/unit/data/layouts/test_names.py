"""What the name of a file or of a modality says."""

from pathlib import Path

import pytest

from mmccd.data.layouts.names import LESION, is_mask, modality_named, named_otherwise, role_of


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


def test_names_of_modalities_as_people_write_them():
    assert [modality_named(name) for name in ("FLAIR", " T2w", "SWI", "t1n")] == ["flair", "t2", "swi", "t1"]
    assert modality_named("T1W", known=("t1w",)) == "t1w"


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
