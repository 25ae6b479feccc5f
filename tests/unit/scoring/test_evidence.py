"""Evidence from healthy pixels whose tails are known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmccd.method.anomaly_map import Restoration, anomaly_map
from mmccd.scoring.evidence import (
    BINS,
    HIGH,
    KERNEL_WIDTH,
    LOW,
    TailEvidence,
    compared,
    count_healthy_pairs,
    count_pairs,
    no_pairs,
)

NODES = torch.linspace(LOW, HIGH, BINS)
POLARITIES = ("either", "bright", "dark")


def evidence_of(counts, x, x_hat, **how):
    """Evidence of single values."""
    x, x_hat = torch.broadcast_tensors(torch.as_tensor(x).float(), torch.as_tensor(x_hat).float())
    made = Restoration.of_whole_slices(x_hat.reshape(1, 1, 1, -1))
    return TailEvidence(counts, **how)(x.reshape(1, 1, 1, -1), made).reshape(x.shape)


@pytest.fixture(scope="module")
def noise():
    return 1.5 * torch.randn(500_000, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def healthy(noise):
    """Pixels that are restored to somewhere from 0 to 4, with an error of standard deviation 1.5 on either side."""
    x_hat = 4 * torch.rand(len(noise), generator=torch.Generator().manual_seed(1))
    return count_pairs(x_hat + noise, x_hat)


# --- counting ---


def test_every_pair_is_counted_once_by_restored_value_and_value():
    x, x_hat = torch.tensor([[2.0, 2.0, -3.0]]), torch.tensor([[0.0, 0.09, 0.0]])
    counts = count_pairs(x, x_hat)
    assert (counts.shape, counts.dtype) == ((BINS, BINS), torch.int64)
    assert counts.sum() == 3
    assert (counts[20, 30], counts[20, 5]) == (2, 1)  # rows are x_hat, 0 is 20 nodes above -4, 2 is 30


def test_batches_add_up(noise):
    whole = count_pairs(noise, noise.flip(0))
    parts = no_pairs()
    for x, x_hat in zip(noise.split(70_000), noise.flip(0).split(70_000), strict=True):
        parts += count_pairs(x, x_hat)
    assert torch.equal(parts, whole)
    assert whole.sum() == len(noise)


def test_values_beyond_the_grid_count_as_its_ends():
    counts = count_pairs(torch.tensor([-50.0, 50.0, 8.0]), torch.tensor([50.0, -50.0, -4.0]))
    assert (counts[-1, 0], counts[0, -1], counts.sum()) == (1, 2, 3)


# --- what evidence says ---


def test_of_one_healthy_pixel_it_is_the_distance_in_kernel_widths():
    counts = count_pairs(torch.tensor([2.0]), torch.tensor([0.0]))
    beyond = (NODES - 2).abs() / KERNEL_WIDTH
    for x_hat in (-4.0, 0.0, 7.0):  # with a single pixel there is no other x_hat to be like
        torch.testing.assert_close(evidence_of(counts, NODES, x_hat, polarity="either"), beyond)
        bright, dark = (evidence_of(counts, NODES, x_hat, polarity=side) for side in ("bright", "dark"))
        torch.testing.assert_close(bright[30:], beyond[30:] + math.log(2))
        torch.testing.assert_close(dark[:31], beyond[:31] + math.log(2))


@pytest.mark.parametrize("distance", [0.0, 0.75, 1.5, 3.0])
def test_it_is_minus_the_logarithm_of_the_healthy_share_in_the_tail(healthy, noise, distance):
    share = {"bright": (noise > distance).float().mean(), "dark": (noise < -distance).float().mean()}
    for polarity, sign in (("bright", 1), ("dark", -1)):
        found = evidence_of(healthy, 2 + sign * distance, 2.0, polarity=polarity)
        assert found.item() == pytest.approx(-math.log(share[polarity]), abs=0.2)  # the kernel widens the tail
        both = evidence_of(healthy, 2 + sign * distance, 2.0, polarity="either")
        assert both.item() == pytest.approx(max(0, found.item() - math.log(2)), abs=0.01)


def test_hard_tissue_has_less_evidence_for_the_same_error(noise):
    """The reason for evidence: the square cannot tell the two apart."""
    easy, hard = torch.full_like(noise, 0.0), torch.full_like(noise, 4.0)
    counts = count_pairs(torch.cat([easy + noise / 5, hard + noise]), torch.cat([easy, hard]))
    in_easy, in_hard = (evidence_of(counts, at + 1.5, at, polarity="bright").item() for at in (0.0, 4.0))
    assert in_easy > in_hard + 3


def test_it_goes_on_rising_beyond_every_healthy_pixel(healthy, noise):
    for polarity, sign in (("bright", 1), ("either", 1), ("dark", -1)):
        counts = count_pairs(sign * noise[:10_000].clamp(-1, 1) + 2, torch.full((10_000,), 2.0))
        far = 2 + sign * torch.linspace(1.2, 5.8, 24)
        found = evidence_of(counts, far, 2.0, polarity=polarity)
        assert torch.isfinite(found).all()
        torch.testing.assert_close(found.diff(), torch.ones(23), rtol=0, atol=0.02)  # one nat per kernel width


def test_either_is_twice_the_smaller_tail_and_dark_the_mirror_of_bright(healthy):
    x, x_hat = torch.meshgrid(NODES, NODES, indexing="ij")
    either, bright, dark = (evidence_of(healthy, x, x_hat, polarity=polarity) for polarity in POLARITIES)
    torch.testing.assert_close(either, (torch.maximum(bright, dark) - math.log(2)).clamp(min=0), rtol=1e-4, atol=1e-4)
    mirrored = evidence_of(healthy.flip(0, 1), LOW + HIGH - x, LOW + HIGH - x_hat, polarity="bright")
    torch.testing.assert_close(dark, mirrored, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(dark, bright)


def test_weight_of_what_needs_no_restored_value(healthy, noise):
    x = torch.linspace(-3, 7, 21)
    given, half, everywhere = (
        torch.stack([evidence_of(healthy, x, at, polarity="bright", unconditional=share) for at in (0.0, 2.0, 4.0)])
        for share in (0, 0.5, 1)
    )
    assert (given[0] - given[2]).abs().max() > 1
    torch.testing.assert_close(everywhere, everywhere[:1].expand(3, -1))  # whatever was restored
    torch.testing.assert_close(half, (given + everywhere) / 2)
    all_x = 4 * torch.rand(len(noise), generator=torch.Generator().manual_seed(1)) + noise
    for value, found in zip(x, everywhere[0], strict=True):
        share = (all_x > value).float().mean()
        if share > 0.01:
            assert found.item() == pytest.approx(-math.log(share), abs=0.1)


# --- the table ---


@given(
    pairs=st.lists(st.tuples(st.floats(-6, 10), st.floats(-6, 10)), min_size=1, max_size=20),
    polarity=st.sampled_from(POLARITIES),
    unconditional=st.sampled_from((0.0, 0.3, 1.0)),
)
@settings(max_examples=40)
def test_whatever_was_counted_it_is_finite_never_negative_and_monotone(pairs, polarity, unconditional):
    x, x_hat = torch.tensor(pairs).T
    table = TailEvidence(count_pairs(x, x_hat), polarity=polarity, unconditional=unconditional).table
    assert table.shape == (BINS, BINS)
    assert torch.isfinite(table).all()
    assert table.min() >= 0
    if polarity != "either":
        rises = table.diff(dim=1) * (1 if polarity == "bright" else -1)
        assert rises.min() >= -1e-6


def test_rounding_makes_nothing_negative():
    for seed in range(100):
        x, x_hat = 3 * torch.randn(2, 40, generator=torch.Generator().manual_seed(seed)) + 2
        for polarity in POLARITIES:
            assert TailEvidence(count_pairs(x, x_hat), polarity=polarity).table.min() >= 0


def test_on_the_nodes_it_is_the_table_between_them_the_mean_and_beyond_them_the_end(healthy):
    measure = TailEvidence(healthy, polarity="either")
    x_hat, x = torch.meshgrid(NODES, NODES, indexing="ij")
    torch.testing.assert_close(evidence_of(healthy, x, x_hat, polarity="either"), measure.table, rtol=1e-4, atol=1e-4)
    between = evidence_of(healthy, NODES[:-1] + 0.1, 2.0, polarity="either")
    torch.testing.assert_close(between, (measure.table[30, :-1] + measure.table[30, 1:]) / 2, rtol=1e-3, atol=1e-3)
    beyond = evidence_of(healthy, torch.tensor([-9.0, 99.0]), torch.tensor([99.0, -9.0]), polarity="either")
    torch.testing.assert_close(beyond, torch.stack([measure.table[-1, 0], measure.table[0, -1]]))


def test_each_mask_is_measured_on_its_own_in_full_precision(healthy):
    measure = TailEvidence(healthy, polarity="bright")
    x = torch.randn(2, 1, 5, 7)
    made = under_every_mask(torch.randn(3, 2, 1, 5, 7))
    found = measure(x, made)
    assert (found.shape, found.dtype) == (made.restored.shape, torch.float32)
    torch.testing.assert_close(found[1], measure(x, under_every_mask(made.restored[1:2]))[0])
    assert measure(x.bfloat16(), under_every_mask(made.restored.bfloat16())).dtype == torch.float32
    torch.testing.assert_close(anomaly_map(x, [made], measure), found.mean(dim=0))


def test_the_counts_are_what_is_kept(healthy):
    measure = TailEvidence(healthy, polarity="bright")
    assert list(measure.state_dict()) == ["counts"]
    assert torch.equal(measure.counts.long(), healthy)


# --- with an expected error ---


def under_every_mask(restored, sigma=None):
    """Restorations, (masks, batch, ways, height, width), that count everywhere."""
    return Restoration(torch.ones_like(restored[:, :1, :1], dtype=torch.bool), restored, sigma)


def everywhere(source):
    return torch.ones_like(source, dtype=torch.bool)


def test_without_a_sigma_x_and_x_hat_are_compared_as_they_are():
    source, restored = torch.randn(2, 1, 3, 3), torch.randn(4, 2, 1, 3, 3)
    x, x_hat = compared(source, under_every_mask(restored))
    assert torch.equal(x, source.expand(4, 2, 1, 3, 3))
    assert torch.equal(x_hat, restored)


def test_with_a_sigma_the_error_is_counted_in_sigmas_from_the_middle_of_the_grid():
    source = torch.tensor([1.0, 3.0, 5.0, -7.0]).reshape(1, 1, 1, 4)
    sigma = torch.tensor([1.0, 0.5, 0.25, 1.0]).reshape(1, 1, 1, 1, 4)
    places, x_hat = compared(source, under_every_mask(torch.ones(1, 1, 1, 1, 4), sigma))
    assert x_hat.flatten().tolist() == [1, 1, 1, 1]
    assert places.flatten().tolist() == [2, 5, 14, -4]  # 0, 4, 16 and -8 sigmas: 8 reach the ends of the grid


def test_with_a_sigma_errors_and_values_are_both_counted():
    source = torch.tensor([1.0, 3.0]).reshape(1, 1, 1, 2)
    restored, sigma = torch.ones(1, 1, 1, 1, 2), torch.full((1, 1, 1, 1, 2), 0.5)
    region = everywhere(source)
    in_sigmas, values = count_healthy_pairs(source, under_every_mask(restored, sigma), region)
    assert torch.equal(values, count_healthy_pairs(source, under_every_mask(restored), region))
    assert values.nonzero().tolist() == [[25, 25], [25, 35]]  # x_hat is 1, x is 1 and 3
    assert in_sigmas.nonzero().tolist() == [[25, 30], [25, 45]]  # no error, and 4 sigmas of 8
    region[..., 1] = False
    assert count_healthy_pairs(source, under_every_mask(restored, sigma), region).sum(dim=(1, 2)).tolist() == [1, 1]


def test_pixels_count_where_they_were_hidden_and_are_scored():
    source = torch.zeros(2, 1, 1, 4)
    hidden = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0]], dtype=torch.bool).reshape(2, 1, 1, 1, 4)
    region = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]], dtype=torch.bool).reshape(2, 1, 1, 4)
    counts = count_healthy_pairs(source, Restoration(hidden, torch.zeros(2, 2, 1, 1, 4)), region)
    assert counts.sum() == 2 + 2 + 0 + 1


def test_with_a_sigma_what_needs_no_restored_value_is_still_the_value():
    generator = torch.Generator().manual_seed(0)
    sigma = 0.2 + torch.rand(1, 1, 1, 200, 200, generator=generator)
    restored = 4 * torch.rand(sigma.shape, generator=generator)
    source = (restored + sigma * torch.randn(sigma.shape, generator=generator))[0]
    made, plain = under_every_mask(restored, sigma), under_every_mask(restored)
    both, values = (count_healthy_pairs(source, some, everywhere(source)) for some in (made, plain))
    given, half, alone = (TailEvidence(both, polarity="bright", unconditional=w)(source, made) for w in (0, 0.5, 1))
    torch.testing.assert_close(half, (given + alone) / 2)
    torch.testing.assert_close(alone, TailEvidence(values, polarity="bright", unconditional=1)(source, plain))


def test_of_several_ways_all_are_counted_and_the_least_evidence_counts():
    generator = torch.Generator().manual_seed(0)
    ways = [torch.rand(2, 1, 8, 1, 64, 64, generator=generator) + 0.2 for _ in range(3)]
    source = 4 * torch.rand(8, 1, 64, 64, generator=generator)
    region = torch.rand(8, 1, 64, 64, generator=generator) < 0.5
    alone = [under_every_mask(restored, sigma) for restored, sigma in ways]
    together = under_every_mask(*(torch.cat(parts, dim=2) for parts in zip(*ways, strict=True)))
    counts = count_healthy_pairs(source, together, region)
    assert torch.equal(counts, sum(count_healthy_pairs(source, way, region) for way in alone))
    for polarity in ("either", "bright", "dark"):
        measure = TailEvidence(counts, polarity=polarity)
        each = torch.stack([anomaly_map(source, [way], measure) for way in alone])
        assert (each.argmin(dim=0).flatten().bincount() > 1000).all()
        torch.testing.assert_close(anomaly_map(source, [together], measure), each.amin(dim=0))


def test_the_same_error_is_more_evident_where_a_smaller_one_was_expected():
    generator = torch.Generator().manual_seed(0)
    sigma = torch.where(torch.rand(1, 1, 1, 400, 400, generator=generator) < 0.5, 0.2, 1.0)
    made = under_every_mask(torch.ones_like(sigma), sigma)
    source = (1 + sigma * torch.randn(sigma.shape, generator=generator))[0]
    x, x_hat = compared(source, made)
    for polarity, side in (("bright", 1), ("dark", -1), ("either", 1), ("either", -1)):
        measure = TailEvidence(count_pairs(x, x_hat), polarity=polarity)
        found = measure(torch.full_like(source, 1 + side * 0.6), made)
        assert found.shape == sigma.shape
        sure, unsure = found[sigma == 0.2].mean(), found[sigma == 1.0].mean()
        normal_tail = 2 * math.erfc(3 / math.sqrt(2)) / 2 if polarity == "either" else math.erfc(3 / math.sqrt(2)) / 2
        assert sure.item() == pytest.approx(-math.log(normal_tail), abs=1)
        assert unsure < sure - 4
