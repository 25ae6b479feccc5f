"""The Medical Segmentation Decathlon: channels of 4D files."""

import json
from pathlib import Path

import pytest

from mmccd.data.cohort import Image, read_cohort


@pytest.fixture
def msd(tree):
    """A function that writes such a folder."""

    def make(root: Path, modality: dict[str, str], training: list[str]) -> Path:
        tree(root, "imagesTr/BRATS_002.nii.gz", "imagesTr/BRATS_001.nii.gz", "imagesTr/._BRATS_001.nii.gz")
        tree(root, "labelsTr/BRATS_001.nii.gz", "labelsTr/BRATS_002.nii.gz", "imagesTs/BRATS_003.nii.gz")
        cases = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in training]
        (root / "dataset.json").write_text(json.dumps({"modality": modality, "training": cases}))
        return root

    return make


def test_msd_takes_the_channel_order_from_dataset_json(tmp_path, msd):
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
    assert "BRATS_009.nii.gz does not exist" in cohort.problems["BRATS_009"].what


def test_msd_of_one_modality_has_3d_files(tmp_path, msd):
    msd(tmp_path, {"0": "FLAIR"}, [])
    assert read_cohort(tmp_path).subjects[0].images["flair"].channel is None
