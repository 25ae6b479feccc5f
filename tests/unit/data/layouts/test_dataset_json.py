"""The table that MSD and nnU-Net share."""

import pytest

from mmccd.data.cohort import read_cohort
from mmccd.errors import DataError


@pytest.mark.parametrize("text", ["{", "{}", '{"modality": ["FLAIR"]}', '{"modality": {"x": "FLAIR"}}'])
def test_msd_with_a_broken_dataset_json_is_refused(tmp_path, text, tree):
    tree(tmp_path, "imagesTr/BRATS_001.nii.gz", "labelsTr/BRATS_001.nii.gz")
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DataError, match='no usable "modality" table'):
        read_cohort(tmp_path)


@pytest.mark.parametrize("end", ["_0000", ""])
def test_imagests_of_nnunet_and_msd_is_the_test_part(tmp_path, end, tree):
    """Drawn into the training part, a declared test set would leak."""
    names = [f"imagesTr/A{end}.nii.gz", f"imagesTr/B{end}.nii.gz", f"imagesTs/C{end}.nii.gz"]
    tree(tmp_path, *names, "labelsTr/A.nii.gz", "labelsTr/B.nii.gz", "labelsTs/C.nii.gz")
    (tmp_path / "dataset.json").write_text('{"channel_names": {"0": "FLAIR"}, "training": []}')
    splits = {subject.id: subject.split for subject in read_cohort(tmp_path).subjects}
    assert splits == {"A": "train", "B": "train", "C": "test"}
    for path in (tmp_path / "imagesTr").iterdir():
        path.unlink()
    assert [subject.split for subject in read_cohort(tmp_path, "nnunet" if end else "msd").subjects] == [None]


def test_channels_are_called_as_scanners_call_them(tmp_path, tree):
    tree(tmp_path, *(f"imagesTr/{case}_000{channel}.nii.gz" for case in "AB" for channel in range(3)))
    (tmp_path / "dataset.json").write_text('{"channel_names": {"0": "T2-FLAIR", "1": "T1 post", "2": "noise"}}')
    assert list(read_cohort(tmp_path).subject("A").images) == ["flair", "t1ce", "noise"]
