"""A mask for fMRIPrep: on the grid of the T1w, where something is marked."""

import nibabel as nib
import numpy as np
import pytest

from mmccd.data.cohort import Image, read_cohort
from mmccd.data.volumes import read_volume, write_volume
from mmccd.prediction.bids_roi import ROIS, write_roi

CASE = "sub-02_ses-a"
ROI = f"{ROIS}/sub-02/ses-a/anat/sub-02_ses-a_run-1_label-lesion_roi.nii.gz"


@pytest.fixture
def subject(bids_folder):
    return read_cohort(bids_folder).subject(CASE)


@pytest.fixture
def scan(subject):
    return read_volume(subject.images["flair"].path)


@pytest.fixture
def marked(scan, tmp_path):
    """A block of voxels that are marked."""
    data = np.zeros(scan.data.shape, np.uint8)
    data[28:34, 30:35, 20:25] = 1
    write_volume(tmp_path / "mask.nii.gz", data, scan)
    return data


@pytest.fixture
def write(subject, marked, tmp_path):
    return lambda strip="auto": write_roi(tmp_path, subject, "flair", tmp_path / "mask.nii.gz", strip)


@pytest.fixture
def turned_t1(subject, tmp_path):
    """The T1w as scanned on a grid of its own: cut, and lying 8 mm from where its header says."""
    image = nib.load(subject.images["t1"].path)
    place = tmp_path / "sub-02_ses-a_run-1_T1w.nii.gz"
    affine = image.affine.copy()
    affine[0, 3] += 8
    nib.save(
        nib.Nifti1Image(np.asarray(image.dataobj)[:, 2:], affine @ nib.affines.from_matvec(np.eye(3), (0, 2, 0))), place
    )
    subject.images["t1"] = Image(place)
    return place


def test_on_one_grid_it_is_the_mask(write, marked, tmp_path):
    assert write() == ""
    np.testing.assert_array_equal(read_volume(tmp_path / ROI).data, marked)
    image = nib.load(tmp_path / ROI)
    assert image.get_data_dtype() == np.uint8


def test_on_another_grid_it_is_moved_to_where_the_t1w_shows_the_same(write, marked, tmp_path, turned_t1):
    assert write() == ""
    moved, t1 = nib.load(tmp_path / ROI), nib.load(turned_t1)
    assert moved.shape == t1.shape
    np.testing.assert_allclose(moved.affine, t1.affine)
    expected, found = marked[:, 2:] > 0, np.asarray(moved.dataobj) > 0  # voxel by voxel, whatever the header says
    assert 2 * (expected & found).sum() / (expected.sum() + found.sum()) > 0.7


def test_where_nothing_is_to_be_registered_there_is_none_and_that_is_said(write, tmp_path, turned_t1):
    write()
    said = write("never")
    assert said.startswith("no lesion mask for fMRIPrep: ")
    assert "not co-registered" in said
    assert not (tmp_path / ROI).exists()


def test_nor_where_what_is_marked_is_not_in_the_t1w(write, monkeypatch, tmp_path, turned_t1):
    monkeypatch.setattr("mmccd.prediction.bids_roi.resampled", lambda mask, t1, *_, **__: np.zeros(t1.data.shape))
    assert "outside the T1w" in write()


def test_nor_without_a_t1w_or_where_nothing_is_marked(write, subject, scan, tmp_path):
    write()
    assert (tmp_path / ROI).exists()
    write_volume(tmp_path / "mask.nii.gz", np.zeros(scan.data.shape, np.uint8), scan)
    assert write() == ""
    assert not (tmp_path / ROI).exists()

    write_volume(tmp_path / "mask.nii.gz", np.ones(scan.data.shape, np.uint8), scan)
    write()
    assert (tmp_path / ROI).exists()
    del subject.images["t1"]
    assert write() == ""
    assert not (tmp_path / ROI).exists()
