"""nnU-Net: a file per channel, and a table that says which is which."""

import json
from pathlib import Path

import pytest

from mmccd.data.cohort import read_cohort
from mmccd.data.layouts.nnunet import LAYOUT
from mmccd.errors import DataError
from mmccd.prediction.inputs import find_inputs


@pytest.fixture
def nnunet(tree):
    """A function that writes such a folder."""

    def make(root: Path, table: dict | None) -> Path:
        tree(root, *(f"imagesTr/P_{case}_000{channel}.nii.gz" for case in (1, 2) for channel in (0, 1)))
        tree(root, "imagesTs/Q_0000.nii.gz", "labelsTr/P_1.nii.gz", "labelsTr/P_2.nii.gz", "labelsTs/Q.nii.gz")
        if table is not None:
            (root / "dataset.json").write_text(json.dumps(table))
        return root

    return make


@pytest.mark.parametrize(
    "table",
    [
        {"channel_names": {"0": "T2", "1": "FLAIR"}, "labels": {"background": 0, "tumor": 1}, "file_ending": ".nii.gz"},
        {"modality": {"0": "T2", "1": "FLAIR"}, "training": [{"image": "./imagesTr/P_1.nii.gz"}]},
    ],
    ids=["version 2", "version 1"],
)
def test_nnunet_takes_the_channels_from_dataset_json(tmp_path, table, files, nnunet):
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


def test_nnunet_channels_without_a_name_and_labels_without_an_image_are_problems(tmp_path, tree, nnunet):
    root = nnunet(tmp_path, {"channel_names": {"0": "FLAIR"}})
    tree(root, "labelsTr/P_9.nii.gz", "imagesTr/overview.nii.gz")
    cohort = read_cohort(root)
    assert [subject.id for subject in cohort.subjects] == ["Q"]
    assert cohort.problems["P_1"].what == "P_1_0001.nii.gz is a channel that dataset.json does not name"
    assert cohort.problems["P_9"].what == "it has no image, only masks"
    assert [path.name for path in cohort.unused] == ["overview.nii.gz"]


@pytest.mark.parametrize("part", ["", "imagesTr"])
def test_nnunet_without_dataset_json_is_refused_with_the_remedy(tmp_path, part, nnunet):
    with pytest.raises(DataError, match=r"has no dataset\.json, so nothing says which modality each channel") as caught:
        read_cohort(nnunet(tmp_path, None) / part)
    assert "channel_names" in caught.value.hint


@pytest.mark.parametrize("names", [("scan_0000", "scan_0001"), ("a_0000", "b_0000"), ("a_0001", "a_0002", "b_0001")])
def test_numbered_scans_are_not_taken_for_channels(tmp_path, names, tree):
    tree(tmp_path, *(f"{name}.nii.gz" for name in names))
    assert not LAYOUT.detect(tmp_path)


def test_channels_of_several_cases_are_recognised_in_any_folder(tmp_path, tree):
    tree(tmp_path, *(f"{name}.nii.gz" for name in ("a_0000", "a_0001", "b_0000", "b_0001")))
    assert LAYOUT.detect(tmp_path)
