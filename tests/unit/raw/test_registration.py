"""Rigid registration."""

import numpy as np
import pytest
import SimpleITK

from mmccd.data.volumes import new_volume, read_volume
from mmccd.errors import DataError
from mmccd.raw.registration import as_array, as_image, resampled, rigid, without_bias_field


def turned(angle, shift):
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.eye(4)
    matrix[:3, :3] = [[c, -s, 0], [s, c, 0], [0, 0, 1]]
    matrix[:3, 3] = shift
    return matrix


def test_an_image_lies_where_its_file_says(healthy_scan):
    ours, theirs = as_image(read_volume(healthy_scan)), SimpleITK.ReadImage(str(healthy_scan))
    for index in [(0, 0, 0), (5, 9, 3)]:
        place = ours.TransformIndexToPhysicalPoint(index)
        assert ours[index] == pytest.approx(float(theirs[theirs.TransformPhysicalPointToIndex(place)]))
    np.testing.assert_array_equal(as_array(ours), read_volume(healthy_scan).data)


def test_another_modality_that_lies_otherwise_is_brought_back(healthy_scan):
    fixed = read_volume(healthy_scan)
    other = read_volume(healthy_scan.parent / healthy_scan.name.replace("flair", "t2"))
    truth = turned(0.12, (6.0, -4.0, 5.0))
    moving = new_volume(other.data, truth @ other.affine)  # the same head, which has moved
    found = rigid(moving, fixed)
    points = (
        fixed.affine @ np.c_[np.argwhere(fixed.data > 0)[::200], np.ones(len(np.argwhere(fixed.data > 0)[::200]))].T
    )
    assert np.linalg.norm(((found - truth) @ points)[:3], axis=0).max() < 1.5  # voxels have 4 mm
    np.testing.assert_array_equal(found, rigid(moving, fixed))
    back = resampled(moving, fixed, found)
    brain = fixed.data > 0
    assert np.corrcoef(back[brain], other.data[brain])[0, 1] > 0.95


def test_labels_stay_labels(healthy_scan):
    fixed = read_volume(healthy_scan)
    labels = new_volume(np.where(fixed.data > np.median(fixed.data[fixed.data > 0]), 4.0, 0.0), fixed.affine)
    back = resampled(labels, fixed, turned(0.1, (3.0, 0.0, 0.0)), labels=True)
    assert set(np.unique(back)) == {0.0, 4.0}


def test_what_has_nothing_in_common_is_refused(healthy_scan):
    fixed = read_volume(healthy_scan)
    far = new_volume(np.pad(np.ones((2, 2, 2)), 1), turned(0, (9e3, 9e3, 9e3)))
    with pytest.raises(DataError, match="cannot be registered"):
        rigid(far, fixed)


def test_a_bias_field_is_divided_out(healthy_scan):
    fine = read_volume(healthy_scan)
    scan = new_volume(fine.data[::2, ::2, ::2], fine.affine @ np.diag([2, 2, 2, 1]))
    brain = scan.data > 0
    field = np.exp(0.5 * np.linspace(-1, 1, scan.data.shape[1]))[None, :, None]
    shaded = new_volume((scan.data * field).astype(np.float32), scan.affine)
    corrected = without_bias_field(shaded, brain)

    def slope(data):
        ratio = np.log(data[brain] / scan.data[brain])
        return abs(np.polyfit(np.argwhere(brain)[:, 1], ratio, 1)[0])

    assert slope(corrected) < 0.5 * slope(shaded.data)
