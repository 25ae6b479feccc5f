"""Findings are connected parts of what was marked."""

import numpy as np
import pytest

from mmccd.reporting.findings import findings_of, place_in_words, strongest_voxel

AFFINE = np.array([[2.0, 0, 0, -10], [0, 2.0, 0, -20], [0, 0, 2.0, 0], [0, 0, 0, 1]])


@pytest.fixture
def marked():
    """A large faint part, a small strong one that touches nothing, and two voxels that touch at a corner."""
    mask = np.zeros((12, 12, 12), dtype=bool)
    anomaly = np.zeros(mask.shape, dtype=np.float32)
    mask[1:4, 1:4, 1:4], anomaly[1:4, 1:4, 1:4] = True, 2.1
    mask[7, 7, 7:9], anomaly[7, 7, 7:9] = True, 50
    mask[10, 10, 10], mask[11, 11, 11] = True, True
    anomaly[10, 10, 10] = anomaly[11, 11, 11] = 3
    return mask, anomaly


def test_parts_are_counted_measured_and_placed(marked):
    found, count = findings_of(*marked, AFFINE, 2.0, most=9)

    assert count == 3
    assert [one.volume_ml for one in found] == pytest.approx([27 * 0.008, 2 * 0.008, 2 * 0.008])
    assert found[0].centre_mm == (-6.0, -16.0, 4.0)
    assert [one.peak for one in found] == pytest.approx([2.1, 50, 3])
    assert all(marked[0][one.voxel] for one in found)


def test_only_the_largest_are_described_but_all_are_counted(marked):
    found, count = findings_of(*marked, AFFINE, 2.0, most=1)

    assert (len(found), count) == (1, 3)


def test_the_strongest_finding_need_not_be_the_largest(marked):
    found, _ = findings_of(*marked, AFFINE, 2.0, most=9)

    assert strongest_voxel(found, marked[1], marked[0]) in ((7, 7, 7), (7, 7, 8))


def test_where_to_look_without_a_finding():
    nothing = np.zeros((5, 5, 5))
    brain = np.zeros((5, 5, 5), dtype=bool)
    assert findings_of(brain, nothing, AFFINE, 2.0, most=3) == ([], 0)
    assert strongest_voxel([], nothing, brain) == (2, 2, 2)

    brain[0, 0, 1:4] = True
    assert strongest_voxel([], nothing, brain) == (0, 0, 2)

    nothing[4, 3, 2] = 1
    assert strongest_voxel([], nothing, brain) == (4, 3, 2)


def test_places_are_said_in_the_patients_directions():
    assert place_in_words((31.4, -12.0, 0.2)).split("\u2002") == ["R\u202f31", "P\u202f12", "S\u202f0"]
