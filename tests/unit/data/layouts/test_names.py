"""What the name of a file or of a modality says."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmccd.data.layouts import words
from mmccd.data.layouts.names import (
    BRAIN,
    LESION,
    MASKS,
    is_mask,
    modality_named,
    named_otherwise,
    preference,
    role_of,
    subject_and_role,
)

WORDS = st.sampled_from(sorted(words.KNOWN)) | st.text(max_size=6)
MARKS = st.sampled_from(["_", "-", ".", " ", "", "+"])


def named(name: str) -> Path:
    return Path(f"{name}.nii.gz")


@pytest.mark.parametrize(
    ("name", "role", "mask"),
    [
        ("anna_segmentation", LESION, True),
        ("UPENN_1_segm", LESION, True),
        ("tumor", LESION, False),  # or a patient's
        ("tumour_mask", LESION, True),
        ("tumor_07_T1c", "t1ce", False),
        ("label_FLAIR", "flair", False),
        ("lesion_07_FLAIR", "flair", False),
        ("WMH_07_T1", "t1", False),
        ("GOLD_STANDARD_N4_FLAIR", LESION, True),
        ("GOLD_STANDARD_N4_noneck_regtoFLAIR_regtoMNI", LESION, True),
        ("GT_01_FLAIR", "flair", False),
        ("FLAIR_gt", LESION, True),
        ("gt", LESION, False),
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
        ("x_T2_FLAIR", False, True),
        ("x_T1_FLAIR", False, True),  # of GE, or the FLAIR of a first visit
        ("x_T2map", True, True),
        ("x_ADC", True, True),
        ("x_T1_pve_0", True, True),
        ("x_t2", True, False),
        ("x-t2w", True, False),
        ("x_FLAIR", False, True),
        ("BraTS-GLI-00001-000-t2f", False, True),
        ("sub-01_T1w", True, True),
        ("T1_regtoFLAIR", True, True),  # no word of its own
        ("t1_t2.flair", False, True),
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


@pytest.mark.parametrize(
    "name",
    [
        "FLAIR", "t2f", "T2_FLAIR", "T2-FLAIR", "t2flair", "3DFLAIR", "3D_FLAIR", "flair3d", "FLAIR_3D_sag",
        "t2_tirm_tra_dark-fluid", "t2_tirm_tra_dark-fluid_fs", "dark-fluid", "dark_fluid", "darkfluid", "tirm",
        "t2_space_dark-fluid_sag_p2_iso", "eT2W_FLAIR", "T2W_FLAIR_COR", "T2 FLAIR SPACE", "Sag_CUBE_T2_FLAIR",
        "3D_CUBE_FLAIR", "sVISTA_FLAIR", "3D_BrainView_FLAIR",
        "Ax_T2_FLAIR_PROPELLER", "FLAIR_post_Gd", "FLAIR_T1space", "flair_N4_brain", "FLAIR_to_T1", "FLAIR_bias",
        "P1_FLAIR_reg_T1", "FLAIR_registered_to_MNI",
    ],
)  # fmt: skip
def test_flair_by_the_names_of_scanners_and_archives(name):
    assert role_of(named(name)) == "flair"
    assert not is_mask(named(name))


@pytest.mark.parametrize(
    ("role", "names"),
    [
        (
            "t1",
            "T1 3DT1 sT1W_3D_TFE T1_vor_KM t1_mpr_ns_sag_iso MPRAGE mp-rage MP2RAGE SAG_FSPGR_BRAVO 3D_TFE "
            "t1_fl3d T1_GRE T1_FLAIR "
            "Ax_T1_FLAIR t1_tirm_tra_dark-fluid T1_pre T1_pre_contrast T1_noGd T1_ohne_KM T1_non-contrast "
            "T1_wo_contrast T1_postop T1_post_op T1_processed T1_regtoFLAIR T1toFLAIR T1_to_T2 KM_07_T1 "
            "T1_lesion_filled",
        ),
        (
            "t1ce",
            "t1ce T1c T1_Gd t1gad T1GD t1_mprage_KM ce-T1 T1+C T1_C+ T1_post post_T1 postcontrast_T1 T1_contrast "
            "t1_mdc T1WKS T1_enhanced T1_Gadovist GADO_preprocessed MPRAGE_post_op_Gd Ax_T1_FLAIR_post",
        ),
        (
            "t2",
            "T2 t2w sT2W_TSE t2_tse_tra 3D_T2_SPACE T2_registered T2_in_FLAIR_space",
        ),
        (
            LESION,
            "FLAIR_lesion lesion_FLAIR FLAIR_lesion_mask T2_FLAIR_WMH wmh tumor_mask FLAIR_roi consensus_gt "
            "ground_truth ManualSegmentation_3 1-LesionSeg-Flair T1_tumor_seg seg1",
        ),
        (
            BRAIN,
            "brain_segmentation brain_parenchyma_segmentation T1_brain_mask FLAIR_brainmask Brain_Mask",
        ),
        (
            None,
            "T2_mapping T2_map T2map T1map T2star T2* t2s T2_star T2_GRE t2_fl2d_tra_hemo SWI ADC DWI DTI_eddy_FA "
            "ASL CBF "
            "FLAIR_bias_field T1_pve_0 T1_brain_seg FLAIR_prob lesion_prob csf_seg wm_mask T1_mask mask FL3D t12 T12 "
            "T1_subtraction FLAIR_phase PD",
        ),
    ],
)
def test_other_roles_by_the_names_that_they_have(role, names):
    each = names.split()
    assert {name: role_of(named(name)) for name in each} == dict.fromkeys(each, role)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("P_7_T2_FLAIR", ("P_7", "flair")),
        ("UCSF-PDGM-0004_FLAIR_bias", ("UCSF-PDGM-0004", "flair")),
        ("UCSF-PDGM-0004_brain_segmentation", ("UCSF-PDGM-0004", BRAIN)),
        ("P1_3D_FLAIR", ("P1", "flair")),
        ("P1_pre_contrast_T1", ("P1", "t1")),
        ("P1_post_T1", ("P1_post", "t1")),  # perhaps after surgery
        ("study_brain_T1", ("study_brain", "t1")),
        ("P1_T2_map", ("P1", None)),
        ("IXI-T1", ("IXI", "t1")),
        ("FLAIR", ("", "flair")),
        ("P1_FLAIR_n4", ("P1_FLAIR_n4", None)),
        ("", ("", None)),
    ],
)
def test_what_stands_before_the_last_words_is_the_subject(name, found):
    assert subject_and_role(name) == found


def test_of_several_files_the_plain_one_and_the_consensus_are_meant():
    order = {"Consensus_seg": 0, "FLAIR_brain": 0, "brain_mask": 0, "FLAIR": 1, "p01_brain": 1, "FLAIR_bias": 2}
    assert {name: preference(named(name)) for name in order} == order


def test_names_of_channels_that_say_more():
    assert [modality_named(name) for name in ("T2-FLAIR", "T1 post", "T1_Gd", "3D T1")] == [
        "flair",
        "t1ce",
        "t1ce",
        "t1",
    ]
    assert modality_named("flair_of_mine") == "flair_of_mine"


@given(st.lists(st.tuples(WORDS, MARKS), max_size=6).map(lambda parts: "".join(a + b for a, b in parts)))
def test_any_name_is_read_alike_each_time(name):
    path = (
        Path("x").with_name(f"{name}.nii.gz")
        if name.strip("./") and "/" not in name and "\0" not in name
        else named("x")
    )
    role = role_of(path)
    assert role in (None, "flair", "t1", "t1ce", "t2", *MASKS)
    assert role_of(path) == role
    head, last = subject_and_role(name)
    assert name.startswith(head)
    assert last in (None, "flair", "t1", "t1ce", "t2", *MASKS)
    assert isinstance(named_otherwise(path, "flair"), bool)
    assert preference(path) in (0, 1, 2)


@given(
    st.lists(st.sampled_from(sorted(words.T2 | words.GEOMETRY | words.T1_BY_SEQUENCE)), max_size=4), st.integers(0, 4)
)
def test_flair_wins_wherever_it_stands(others, place):
    name = "_".join([*others[:place], "FLAIR", *others[place:]])
    assert role_of(named(name)) == "flair"
    assert named_otherwise(named(name), "t2")


@given(
    st.sampled_from(sorted(words.WEIGHTINGS | words.T1_BY_SEQUENCE)),
    st.sampled_from(sorted(words.MASK | words.SEGMENTATION | words.SHARES | words.OTHER_CONTRASTS)),
    st.lists(st.sampled_from(sorted(words.GEOMETRY)), max_size=2),
)
def test_words_of_masks_and_maps_leave_no_image(image, word, others):
    for name in ("_".join([image, *others, word]), f"{word}_{image}"):
        assert role_of(named(name)) in (None, LESION)
        assert is_mask(named(name)) or named_otherwise(named(name), "flair") or named_otherwise(named(name), "t1")
