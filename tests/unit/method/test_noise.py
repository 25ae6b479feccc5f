"""Noise: its moments, its grain, and what its seed decides."""

from functools import partial

import pytest
import torch

from mmccd.method.noise import NOISE_SEED, _one_octave, coarse_gaussian, gaussian, shared_noise, simplex

CPU = torch.device("cpu")
DRAWS = {"gaussian": gaussian, "coarse": partial(coarse_gaussian, nodes=8), "simplex": simplex}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def correlation(images, px):
    """Between pixels this far apart: along the rows, and along the columns."""
    return torch.stack([(images * images.roll(px, dim)).narrow(dim, px, images.shape[dim] - px).mean() / images.var()
                        for dim in (-1, -2)])  # fmt: skip


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_the_generator_decides_and_no_two_images_are_alike(draw):
    torch.manual_seed(7)
    noise = draw((3, 2, 16, 24), seeded(), CPU)
    untouched = torch.rand(1)
    assert torch.equal(noise, draw((3, 2, 16, 24), seeded(), CPU))
    images = torch.cat([noise, draw((3, 2, 16, 24), seeded(1), CPU)]).flatten(0, 1)
    assert images.shape == (12, 16, 24)
    assert torch.cdist(images.flatten(1), images.flatten(1)).fill_diagonal_(99).min() > 1

    torch.manual_seed(7)
    assert torch.equal(untouched, torch.rand(1))
    torch.manual_seed(7)
    own = draw((3, 2, 16, 24), None, CPU)
    torch.manual_seed(7)
    assert torch.equal(own, draw((3, 2, 16, 24), None, CPU))


def test_gaussian_noise_has_no_grain():
    noise = gaussian((32, 1, 64, 64), seeded(), CPU)
    assert correlation(noise, 1).abs().max() < 0.02


# --- simplex ---


def test_each_simplex_image_has_mean_0_and_variance_1():
    noise = simplex((4, 2, 64, 48), seeded(), CPU)
    torch.testing.assert_close(noise.mean(dim=(2, 3)), torch.zeros(4, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(noise.var(dim=(2, 3)), torch.ones(4, 2))


def test_simplex_noise_has_blobs_of_many_sizes():
    """Six octaves: the coarsest reach over an eighth of a slice, the finest make neighbours differ."""
    noise = simplex((32, 1, 128, 128), seeded(), CPU)
    expected = {1: 0.785, 2: 0.63, 4: 0.405, 8: 0.13, 64: 0.0}
    for px, value in expected.items():
        torch.testing.assert_close(correlation(noise, px), torch.full((2,), value), atol=0.04, rtol=0)


def test_one_octave_is_continuous_across_the_borders_of_cells_and_of_the_gradients():
    """Each corner of a cell slopes by at most 0.5^4; a wrong corner or gradient would make a jump of about 0.01."""
    step = 0.005
    line = torch.arange(0, 3, step)
    places = torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=-1)[None]
    angle = torch.rand(1, 128**2, generator=seeded()) * 2 * torch.pi
    for corner in (torch.tensor([0.0, 0.0]), torch.tensor([126.0, 50.0]), torch.tensor([92.5, 92.5])):
        value = _one_octave(places + corner, angle)[0]
        assert value.max() - value.min() > 0.01
        assert max(value.diff(dim=dim).abs().max() for dim in (0, 1)) < 0.5**4 * step * 1.2


def test_one_octave_slopes_along_the_gradient_of_each_node():
    """At the nodes of the triangles the noise is 0, and its slope is their gradient times 0.5^4."""
    angle = torch.rand(1, 128**2, generator=seeded()) * 2 * torch.pi
    index = torch.stack(torch.meshgrid(torch.arange(1.0, 5), torch.arange(1.0, 5), indexing="ij"), dim=-1)
    nodes = index - (3 - 3**0.5) / 6 * index.sum(dim=-1, keepdim=True)
    assert _one_octave(nodes[None], angle).abs().max() < 1e-6
    expected = angle.reshape(128, 128)[1:5, 1:5]
    for axis, part in enumerate((expected.cos(), expected.sin())):
        moved = torch.zeros(2)
        moved[axis] = 0.01
        ahead, behind = (_one_octave((nodes + shift)[None], angle)[0] for shift in (moved, -moved))
        torch.testing.assert_close((ahead - behind) / 0.02, 0.5**4 * part, atol=2e-4, rtol=0)


# --- coarse ---


def test_coarse_noise_is_as_coarse_as_its_nodes_are_apart():
    """Bilinear noise has the correlation of a cubic B-spline: 0.72, 1/4 and 0 at 1/2, 1 and 2 distances of nodes."""
    noise = torch.cat([coarse_gaussian((1, 1, 64, 64), seeded(seed), CPU, nodes=8) for seed in range(200)])
    assert noise.mean().abs() < 0.03
    assert noise.std() == pytest.approx(2 / 3, abs=0.06)  # more at the borders, less between nodes
    for px, value in {4: 0.70, 8: 0.23, 16: 0.0}.items():
        torch.testing.assert_close(correlation(noise, px), torch.full((2,), value), atol=0.05, rtol=0)


def test_coarse_noise_is_rolled_so_that_no_place_is_special():
    """Without the roll nodes would vary more than what lies between them, always at the same places."""
    noise = torch.cat([coarse_gaussian((1, 1, 16, 16), seeded(seed), CPU, nodes=4) for seed in range(1500)])
    variance = noise.var(dim=0)
    assert variance.max() / variance.min() < 1.6


# --- shared ---


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_shared_noise_is_one_image_of_a_fixed_seed_for_all_slices(draw):
    source = torch.zeros(3, 1, 16, 16, dtype=torch.float64)
    noise = shared_noise(source, 1, 0, draw)(source)
    assert (noise.shape, noise.dtype) == (source.shape, source.dtype)
    expected = draw((1, 1, 16, 16), seeded(NOISE_SEED), CPU)
    assert torch.equal(noise, expected.double().expand_as(source))
