import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmccd.scoring.tails import BINS, EDGES, HIGHEST, HealthyTails, count_values

RNG = np.random.default_rng(0)
EXPONENTIAL = RNG.exponential(2.0, 400_000).astype(np.float32)
"""Of these values one in e lies above 2, one in e squared above 4: a value of v has v / 2 nats."""


@pytest.fixture(scope="module")
def one_scale():
    return HealthyTails(count_values(EXPONENTIAL)[None])


def test_nats_are_those_of_the_healthy_share_above(one_scale):
    asked = np.array([0.0, 0.5, 2.0, 6.0, 12.0], np.float32)
    np.testing.assert_allclose(one_scale.rarest([asked]), asked / 2, atol=0.1)


def test_beyond_what_was_seen_they_go_on_rising_by_the_mean_excess(one_scale):
    asked = np.array([30.0, 60.0, 5 * HIGHEST], np.float32)
    np.testing.assert_allclose(one_scale.rarest([asked]), asked / 2, rtol=0.15)


def test_half_the_voxels_at_one_value_are_as_rare_as_a_half():
    values = np.repeat(np.float32([1.0, 3.0]), 500)
    found = HealthyTails(count_values(values)[None]).rarest([np.float32([0.5, 1.1, 2.9])])
    np.testing.assert_allclose(found, [0, np.log(2), np.log(2)], atol=0.001)


def test_of_each_voxel_the_rarest_scale_counts_and_looking_twice_has_its_price():
    tails = HealthyTails(np.stack([count_values(EXPONENTIAL), count_values(EXPONENTIAL / 4)]))
    coarse, fine = np.float32([2.0, 8.0, 0.0]), np.float32([2.0, 0.5, 0.0])
    np.testing.assert_allclose(tails.rarest([coarse, fine]), [4 - np.log(2), 4 - np.log(2), 0], atol=0.1)


def test_who_looks_at_one_map_twice_marks_no_more_than_was_asked_for():
    """Bonferroni: a value of n nats or more has at most exp(-n) of the healthy voxels."""
    first, second = (RNG.exponential(1.0, 200_000).astype(np.float32) for _ in range(2))
    tails = HealthyTails(np.stack([count_values(first), count_values(second)]))
    found = tails.rarest([first, second])
    for nats in (1.0, 3.0, 5.0):
        assert 0.8 * np.exp(-nats) < (found > nats).mean() < 1.05 * np.exp(-nats)


@given(st.lists(st.floats(0, 2 * HIGHEST, width=32), min_size=1, max_size=40))
def test_any_healthy_values_give_nats_that_are_finite_and_rise(values):
    tails = HealthyTails(count_values(np.array(values, np.float32))[None])
    asked = np.linspace(0, 2 * HIGHEST, 500, dtype=np.float32)
    found = tails.rarest([asked])
    assert np.isfinite(found).all()
    assert (np.diff(found) >= 0).all()
    assert found[0] == 0
    assert found[-1] > 0


def test_every_value_has_a_bin():
    counts = count_values(np.float32([[0, EDGES[1] / 2], [HIGHEST, 1e30]]))
    assert counts.sum() == 4
    assert counts[0] == counts[-1] == 2


@pytest.mark.parametrize("counts", [np.ones(BINS), np.ones((2, 5)), np.eye(2, BINS) * [[1], [0]]])
def test_counts_that_are_none_are_refused(counts):
    with pytest.raises(ValueError, match=r"expected \(scales, 2048\), none of them empty"):
        HealthyTails(counts.astype(np.int64))
