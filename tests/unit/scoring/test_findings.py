"""Findings are connected parts of what was marked."""

import numpy as np
import pytest

from mmccd.scoring.findings import (
    MIDDLE_MM,
    bounding_box,
    findings_of,
    middle_of,
    place_in_words,
    strongest_voxel,
    without_small,
)

AFFINE = np.array([[2.0, 0, 0, -10], [0, 2.0, 0, -20], [0, 0, 2.0, 0], [0, 0, 0, 1]])
BRAIN = np.ones((12, 12, 12), dtype=bool)  # its middle lies at x = 1 mm


@pytest.fixture
def marked():
    """A large faint part, a small strong one that touches nothing, and two voxels that touch at a corner."""
    mask = np.zeros((12, 12, 12), dtype=bool)
    anomaly = np.zeros(mask.shape, dtype=np.float32)
    mask[1:4, 1:4, 1:4], anomaly[1:4, 1:4, 1:4] = True, 2.25
    mask[7, 7, 7:9], anomaly[7, 7, 7:9] = True, (50, 40)
    mask[10, 10, 10], mask[11, 11, 11] = True, True
    anomaly[10, 10, 10] = anomaly[11, 11, 11] = 3
    return mask, anomaly


def one_voxel(x):
    mask = np.zeros(BRAIN.shape, dtype=bool)
    mask[x, 5, 5] = True
    return mask, mask.astype(np.float32) * 9


# --- what is said of them ---


def test_parts_are_numbered_by_volume_measured_and_placed(marked):
    found = findings_of(*marked, BRAIN, AFFINE, 2.0)

    assert [one.number for one in found] == [1, 2, 3]
    assert [one.volume_ml for one in found] == pytest.approx([27 * 0.008, 2 * 0.008, 2 * 0.008])
    assert found[0].centre_mm == (-6.0, -16.0, 4.0)
    assert [one.peak for one in found] == pytest.approx([2.25, 50, 3])
    assert [one.mean for one in found] == pytest.approx([2.25, 45, 3])
    assert sum(one.volume_ml for one in found) == pytest.approx(marked[0].sum() * 0.008)


def test_the_centre_is_a_marked_voxel_even_of_a_ring():
    mask = np.zeros(BRAIN.shape, dtype=bool)
    mask[3:8, 3:8, 5] = True
    mask[4:7, 4:7, 5] = False
    (found,) = findings_of(mask, mask.astype(np.float32) * 3, BRAIN, AFFINE, 2.0)

    voxel = (np.linalg.inv(AFFINE) @ [*found.centre_mm, 1])[:3].round().astype(int)
    assert mask[tuple(voxel)]


@pytest.mark.parametrize(("x", "side"), [(0, "left"), (2, "left"), (4, "middle"), (7, "middle"), (9, "right")])
def test_sides_are_those_of_the_patient_from_the_middle_of_the_brain(x, side):
    (found,) = findings_of(*one_voxel(x), BRAIN, AFFINE, 2.0)

    assert found.side == side
    from_middle = found.centre_mm[0] - middle_of(BRAIN, AFFINE)[0]
    assert (abs(from_middle) < MIDDLE_MM) == (side == "middle")
    if side != "middle":
        assert place_in_words((from_middle, 0, 0))[0] == side[0].upper()


def test_sides_do_not_depend_on_where_the_scanner_has_its_origin():
    far = AFFINE + np.pad([[500.0], [0], [0], [0]], ((0, 0), (3, 0)))
    (found,) = findings_of(*one_voxel(0), BRAIN, far, 2.0)

    assert (found.side, found.centre_mm[0]) == ("left", 490.0)


def test_a_place_in_mni_space_is_told_only_of_scans_that_lie_there(marked):
    assert {one.mni_mm for one in findings_of(*marked, BRAIN, AFFINE, 2.0)} == {None}
    for one in findings_of(*marked, BRAIN, AFFINE, 2.0, in_mni=True):
        assert one.mni_mm == one.centre_mm


# --- the smallest that stays ---


@pytest.mark.parametrize(
    ("least_ml", "kept"),
    [(0, [27, 2, 2]), (0.008, [27, 2, 2]), (0.016, [27, 2, 2]), (0.017, [27]), (0.216, [27]), (1, [])],
)
def test_parts_that_are_smaller_are_removed_and_no_others(marked, least_ml, kept):
    """Of voxels of 0.008 ml; a part that touches at a corner is one, and one of just the least volume stays."""
    mask, anomaly = marked
    before = mask.copy()
    left = without_small(mask, AFFINE, least_ml)

    assert left.dtype == bool
    assert not (left & ~mask).any()
    found = findings_of(left, anomaly, BRAIN, AFFINE, 2.0)
    assert [round(one.volume_ml / 0.008) for one in found] == kept
    np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize("sides_mm", [(0.1, 0.3, 0.7), (0.9, 0.9, 0.9), (1.1, 0.7, 3.3)])
def test_a_part_of_just_the_least_volume_stays_whatever_rounding_does(sides_mm):
    affine = np.diag([*sides_mm, 1.0])
    mask = np.zeros((7, 7, 7), dtype=bool)
    mask[:5, :6, 0] = True

    least_ml = 30 * sides_mm[0] * sides_mm[1] * sides_mm[2] / 1000
    assert without_small(mask, affine, least_ml).sum() == 30
    assert not without_small(mask, affine, least_ml * 1.001).any()


def test_of_nothing_nothing_is_removed():
    assert not without_small(np.zeros((3, 3, 3), dtype=bool), AFFINE, 1.0).any()


# --- where to look ---


def test_the_strongest_finding_need_not_be_the_largest(marked):
    found = findings_of(*marked, BRAIN, AFFINE, 2.0)

    assert strongest_voxel(found, marked[1], marked[0], AFFINE, 2.0) in ((7, 7, 7), (7, 7, 8))


def test_the_largest_is_the_strongest_where_it_exceeds_the_threshold_most_in_sum(marked):
    mask, anomaly = marked
    anomaly[1:4, 1:4, 1:4] = 6  # 27 x 4, against 48 + 38
    found = findings_of(mask, anomaly, BRAIN, AFFINE, 2.0)

    assert strongest_voxel(found, anomaly, BRAIN, AFFINE, 2.0) == (2, 2, 2)


def test_where_to_look_without_a_finding():
    nothing = np.zeros((5, 5, 5), dtype=np.float32)
    brain = np.zeros((5, 5, 5), dtype=bool)
    assert findings_of(brain, nothing, brain, AFFINE, 2.0) == ()
    assert strongest_voxel((), nothing, brain, AFFINE, 2.0) == (2, 2, 2)

    brain[0, 0, 1:4] = True
    assert strongest_voxel((), nothing, brain, AFFINE, 2.0) == (0, 0, 2)

    nothing[4, 3, 2] = 1
    assert strongest_voxel((), nothing, brain, AFFINE, 2.0) == (4, 3, 2)


# --- places ---


def test_the_middle_is_that_of_the_brain_wherever_the_scanner_has_its_origin():
    """Voxels 2 to 7, 1 to 10 and 3 to 6 of 2 mm."""
    brain = np.zeros_like(BRAIN)
    brain[2:8, 1:11, 3:7] = True
    far = AFFINE + np.pad([[500.0], [0], [0], [0]], ((0, 0), (3, 0)))

    assert middle_of(brain, AFFINE).tolist() == [-1.0, -9.0, 9.0]
    assert middle_of(brain, far).tolist() == [499.0, -9.0, 9.0]
    assert bounding_box(brain, margin=0) == (slice(2, 8), slice(1, 11), slice(3, 7))
    assert bounding_box(brain & False) == (slice(0, 12),) * 3


def test_places_are_said_in_the_patients_directions():
    assert place_in_words((31.4, -12.0, 0.2)).split("\u2002") == ["R\u202f31", "P\u202f12", "S\u202f0"]
