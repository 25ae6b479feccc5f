"""What derivatives are called, by the image that they were made of."""

from pathlib import Path

import pytest

from mmccd.prediction.bids_names import RAW, derived_name, folder_of, uri


@pytest.mark.parametrize(
    ("source", "anomaly", "mask"),
    [
        ("sub-01_FLAIR", "sub-01/anat/sub-01_desc-anomaly_FLAIR", "sub-01/anat/sub-01_label-lesion_mask"),
        (
            "sub-01_ses-2_acq-3d_run-02_T1w",
            "sub-01/ses-2/anat/sub-01_ses-2_acq-3d_run-02_desc-anomaly_T1w",
            "sub-01/ses-2/anat/sub-01_ses-2_acq-3d_run-02_label-lesion_mask",
        ),
        ("sub-1_ses-1_flair", "sub-1/ses-1/anat/sub-1_ses-1_desc-anomaly_FLAIR", None),
        (
            "sub-1_run-1_acq-x_ce-gd_T1w",  # out of order
            "sub-1/anat/sub-1_acq-x_ce-gd_run-1_desc-anomaly_T1w",
            "sub-1/anat/sub-1_acq-x_ce-gd_run-1_label-lesion_mask",
        ),
        (
            "sub-1_space-MNI152NLin2009cAsym_res-2_desc-preproc_T1w",
            "sub-1/anat/sub-1_space-MNI152NLin2009cAsym_desc-anomaly_T1w",
            None,
        ),
        ("sub-1_acq-a+b_brain_T2w", "sub-1/anat/sub-1_desc-anomaly_T2w", None),  # what BIDS does not know
    ],
)
def test_entities_are_those_of_the_source_in_the_order_of_the_specification(source, anomaly, mask):
    image = Path("anywhere") / f"{source}.nii.gz"
    assert derived_name(image, desc="anomaly").as_posix() == anomaly
    if mask:
        assert derived_name(image, "mask", label="lesion").as_posix() == mask


def test_places_and_uris():
    assert [folder_of(case).as_posix() for case in ("sub-01", "sub-01_ses-2")] == ["sub-01/anat", "sub-01/ses-2/anat"]
    assert uri(Path("sub-1/anat/sub-1 x.nii")) == "bids::sub-1/anat/sub-1%20x.nii"
    assert uri(Path("sub-1/a.nii"), RAW) == "bids:raw:sub-1/a.nii"


def test_an_image_without_a_name_of_bids_is_a_mistake_of_ours():
    with pytest.raises(AssertionError, match=r"scan\.nii"):
        derived_name(Path("scan.nii"))
