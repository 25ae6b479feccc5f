"""A mask for fMRIPrep: on the grid of the T1w, where something is marked."""

import shutil

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
    def call(strip="auto", record="a record"):
        return write_roi(tmp_path, subject, "flair", tmp_path / "mask.nii.gz", strip, record)

    return call


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


def test_one_that_was_corrected_stays_until_the_case_or_the_t1w_is_another(write, subject, marked, tmp_path):
    place = tmp_path / subject.images["t1"].path.name
    shutil.copy(subject.images["t1"].path, place)
    subject.images["t1"] = Image(place)
    write()
    t1 = read_volume(place)
    corrected = np.zeros(marked.shape, np.uint8)
    corrected[30, 30, 20] = 1
    write_volume(tmp_path / ROI, corrected, t1)
    write()
    np.testing.assert_array_equal(read_volume(tmp_path / ROI).data, corrected)
    write(record="another")
    np.testing.assert_array_equal(read_volume(tmp_path / ROI).data, marked)
    write_volume(tmp_path / ROI, corrected, t1)
    write_volume(place, t1.data + 1, t1)
    write(record="another")
    np.testing.assert_array_equal(read_volume(tmp_path / ROI).data, marked)


def test_what_somebody_else_put_there_stays(write, subject, tmp_path):
    write()
    mine = (tmp_path / ROI).with_name("sub-02_ses-a_rater-me_label-lesion_roi.nii.gz")
    mine.touch()
    del subject.images["t1"]
    write()
    assert not (tmp_path / ROI).exists()
    assert mine.exists()
