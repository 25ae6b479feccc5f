import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.restoration import denoise_tv_chambolle

from mmccd.scoring.total_variation import total_variation

RNG = np.random.default_rng(0)
SHAPE = (10, 20, 24)
EVERYWHERE = np.ones(SHAPE, bool)


def objective(u, values, weight, spacing_mm):
    """What is minimised, over a whole box."""
    square = np.zeros_like(u)
    for axis, mm in enumerate(spacing_mm):
        step = np.diff(u, axis=axis) / mm
        square[tuple(slice(None, -1) if one == axis else slice(None) for one in range(3))] += step**2
    return 0.5 * ((u - values) ** 2).sum() + weight * np.sqrt(square).sum()


@pytest.fixture
def noisy():
    """A bright block of 4 x 8 x 8 voxels in noise."""
    clean = np.zeros(SHAPE, np.float32)
    clean[3:7, 6:14, 8:16] = 4
    return clean, (clean + RNG.normal(0, 0.7, SHAPE)).astype(np.float32)


def test_it_is_the_minimum_that_another_solver_finds(noisy):
    _, values = noisy
    ours = total_variation(values, EVERYWHERE, weight=1.0, spacing_mm=(1, 1, 1))
    theirs = denoise_tv_chambolle(values, weight=1.0, eps=1e-9, max_num_iter=3000)
    assert np.abs(ours - theirs).max() < 0.05
    assert objective(ours, values, 1.0, (1, 1, 1)) < 1.003 * objective(theirs, values, 1.0, (1, 1, 1))


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.875, 1.875), (5.0, 1.0, 1.0)])
def test_a_change_of_the_minimum_anywhere_makes_it_worse(noisy, spacing_mm):
    _, values = noisy
    found = total_variation(values, EVERYWHERE, weight=1.0, spacing_mm=spacing_mm)
    least = objective(found, values, 1.0, spacing_mm)
    for _ in range(20):
        change = RNG.normal(0, 0.05, SHAPE).astype(np.float32)
        assert objective(found + change, values, 1.0, spacing_mm) > least


def test_noise_goes_and_the_edge_of_a_lesion_stays(noisy):
    clean, values = noisy
    found = total_variation(values, EVERYWHERE, weight=1.0, spacing_mm=(1, 1, 1))
    lesion = clean > 0
    assert found[~lesion].std() < 0.2 * values[~lesion].std()
    assert found[5, 9, 9] - found[5, 9, 6] > 2  # two voxels across the edge
    assert found[5, 9, 9] > 3


def test_what_lies_outside_neither_gives_nor_takes():
    region = np.zeros(SHAPE, bool)
    region[2:9, 3:15, 4:20] = True
    region[4, 6, 6] = False
    values = RNG.normal(3, 1, SHAPE).astype(np.float32)
    found = total_variation(values, region, weight=2.0, spacing_mm=(1, 2, 2))
    other = np.where(region, values, 1e6).astype(np.float32)
    np.testing.assert_array_equal(total_variation(other, region, weight=2.0, spacing_mm=(1, 2, 2)), found)
    assert (found[~region] == 0).all()
    assert found[region].mean() == pytest.approx(values[region].mean(), rel=1e-4)  # what flows stays inside


def test_one_value_stays_and_a_large_weight_leaves_nothing_but_the_mean():
    flat = np.full(SHAPE, 2.5, np.float32)
    np.testing.assert_array_equal(total_variation(flat, EVERYWHERE, weight=5.0, spacing_mm=(1, 1, 1)), flat)
    values = RNG.normal(0, 1, (4, 4, 4)).astype(np.float32)
    found = total_variation(values, np.ones((4, 4, 4), bool), weight=50.0, spacing_mm=(1, 1, 1))
    np.testing.assert_allclose(found, values.mean(), atol=0.05)


def test_twice_the_values_with_twice_the_weight_are_twice_as_high(noisy):
    _, values = noisy
    once, twice = (
        total_variation(factor * values, EVERYWHERE, weight=factor, spacing_mm=(1, 1, 1)) for factor in (1, 2)
    )
    np.testing.assert_allclose(twice, 2 * once, atol=1e-4)


@given(st.integers(0, 2**31), st.floats(0.01, 20))
def test_it_stays_between_the_lowest_and_the_highest_value(seed, weight):
    generator = np.random.default_rng(seed)
    values = generator.exponential(2, (3, 5, 4)).astype(np.float32)
    region = generator.random((3, 5, 4)) < 0.7
    found = total_variation(values, region, weight=weight, spacing_mm=(2, 1, 1))
    if region.any():
        assert found[region].min() >= values[region].min() - 0.05
        assert found[region].max() <= values[region].max() + 0.05
    assert (found[~region] == 0).all()


def test_no_region_no_map():
    assert not total_variation(np.ones(SHAPE, np.float32), ~EVERYWHERE, weight=1.0, spacing_mm=(1, 1, 1)).any()
