"""A sphere and a box, sampled: sizes, layers, symmetry, holes and pieces can be told by hand."""

import numpy as np
import pytest

from mmccd.data.head import Head, peak
from mmccd.data.volumes import new_volume

N = 60
DISTANCE_MM = np.sqrt(((np.indices((N, N, N)).T - (N - 1) / 2) ** 2).sum(axis=-1)).T * 2.0
BALL = DISTANCE_MM < 50  # voxels of 2 mm


def head_of(brain, data=None, sides_mm=(2.0, 2.0, 2.0)):
    volume = new_volume(np.asarray(brain if data is None else data, dtype=np.float32), np.diag([*sides_mm, 1.0]))
    return Head.of(volume, np.asarray(brain, dtype=bool))


def test_size_and_area_of_a_ball():
    head = head_of(BALL)

    assert head.spacing_mm == (4.0, 4.0, 4.0)  # every second voxel
    assert head.size_mm == pytest.approx((100, 100, 100), abs=4)
    assert head.widest_cm2 == pytest.approx(np.pi * 5**2, rel=0.05)


@pytest.mark.parametrize("side_mm", [0.5, 1.0, 3.0, 5.0])
def test_what_is_sampled_is_about_3_mm_apart(side_mm):
    head = head_of(BALL, sides_mm=(side_mm, side_mm, 5.0))

    assert head.spacing_mm == (max(3.0, side_mm), max(3.0, side_mm), 5.0)
    assert head.size_mm[0] == pytest.approx(50 * side_mm, abs=6)


def test_layers_lie_below_the_surface():
    head = head_of(BALL, DISTANCE_MM)

    assert np.median(head.layer(10, 14)) == pytest.approx(50 - 12, abs=2.5)
    assert head.layer(60, 70).size == 0


def test_a_cut_at_the_bottom_is_no_surface():
    slab = BALL[:, :, 27:33]
    assert head_of(slab).depth_mm.max() > 40


def test_symmetry_is_that_of_each_mirror():
    box = np.zeros((40, 40, 40), bool)
    box[5:35, 5:35, 5:35] = True
    box[5:35, 20:35, 20:35] = False  # of the four quarters of y and z one is gone

    across, along, upward = head_of(box, sides_mm=(3.0, 3.0, 3.0)).symmetry()

    assert (across, along, upward) == pytest.approx((1, 2 / 3, 2 / 3))


def test_holes_and_pieces_are_counted():
    brain = BALL.copy()
    brain[28:32, 28:32, 28:32] = False
    brain[0:4, 0:4, 0:4] = True

    head = head_of(brain)

    assert head.holes().tolist() == [8]
    assert head.holes()[0] * head.voxel_ml == pytest.approx(8**3 / 1000)
    assert head.pieces()[1:].tolist() == [8]
    assert head.filled.sum() == head.brain.sum() + 8


def test_the_surface_is_one_voxel_of_the_scan():
    outermost = head_of(BALL, DISTANCE_MM + 100).surface

    assert 100 + 50 - 2 * 3**0.5 <= outermost.min() <= outermost.max() < 100 + 50


def test_peak_is_the_most_frequent_value():
    draws = np.random.default_rng(0)
    mixed = np.append(draws.normal(100, 5, 6000), draws.normal(180, 5, 4000)).astype(np.float32)

    assert peak(mixed) == pytest.approx(100, abs=3)
    assert peak(mixed[:0]) == peak(-mixed) == 0
