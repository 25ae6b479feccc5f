import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmccd.data.grid import FIELD_OF_VIEW_MM, ModelGrid, area_grid, centred_grid, protocol_named, slice_grid
from mmccd.errors import ConfigError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("shape", "size_px"), [((240, 240), 128), ((240, 200), 64), ((37, 53), 32), ((20, 61), 48), ((48, 48), 48)]
)
def test_area_grid_equals_torch(shape, size_px):
    volume = RNG.normal(size=(*shape, 3)).astype(np.float32)
    expected = F.interpolate(torch.from_numpy(volume).permute(2, 0, 1)[:, None], size=(size_px, size_px), mode="area")

    found = area_grid(shape, size_px).shrink(volume, outside=-3.0)

    np.testing.assert_allclose(found, expected[:, 0].numpy(), rtol=0, atol=1e-5)


def ball(shape, centre, radius):
    grids = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    return sum((g - c) ** 2 for g, c in zip(grids, centre, strict=True)) <= radius**2


def test_grid_of_the_same_pixels_is_the_identity():
    scan = RNG.normal(size=(64, 64, 2)).astype(np.float32)
    brain = ball((64, 64, 2), (31.5, 31.5, 0.5), 20)
    grid = centred_grid(brain, (1.5, 1.5, 3.0), 64, 1.5)
    np.testing.assert_allclose(grid.shrink(scan, 0.0), np.moveaxis(scan, 2, 0), atol=1e-6)
    np.testing.assert_allclose(grid.expand(np.moveaxis(scan, 2, 0)), scan, atol=1e-6)


@pytest.mark.parametrize("spacing", [0.6, 1.0, 1.7, 3.1])
@pytest.mark.parametrize("shape", [(70, 90), (256, 181), (64, 64)])
def test_constant_stays_constant_and_the_mean_is_kept(spacing, shape):
    brain = np.ones((*shape, 1), bool)
    flat = centred_grid(brain, (spacing, spacing, 1), 64, FIELD_OF_VIEW_MM / 64).shrink(
        np.full((*shape, 1), 5.0, np.float32), outside=5.0
    )
    np.testing.assert_allclose(flat, 5, atol=1e-5)


def test_sum_over_the_square_is_kept_in_mm():
    scan = np.zeros((200, 180, 1), np.float32)
    scan[60:140, 50:120] = RNG.random((80, 70, 1))
    grid = centred_grid(scan > 0, (1.1, 0.9, 2), 64, 3.75)
    shrunk = grid.shrink(scan, 0.0)
    assert shrunk.sum() * 3.75**2 == pytest.approx(scan.sum() * 1.1 * 0.9, rel=1e-4)


def test_square_shares_its_centre_with_the_scan_unless_the_brain_would_be_cut():
    shape = (300, 240, 1)  # the centred square begins at x = 30
    for x, expected in ((120, 90), (70, 119.5)):  # the second brain begins at x = 10, so the square centres on it
        brain = ball(shape, (x, 100, 0), 60)
        shrunk = centred_grid(brain, (1, 1, 1), 240, 1.0).shrink_mask(brain)[0]
        assert shrunk.sum() == brain.sum()  # nothing is cut
        assert np.argwhere(shrunk).mean(axis=0) == pytest.approx((expected, 100), abs=0.6)


def test_moved_square_does_not_depend_on_the_side():
    brain = ball((300, 240, 1), (70, 100, 0), 60)  # half a pixel to round
    grid, mirrored = (centred_grid(b, (1, 1, 1), 48, 5.0) for b in (brain, brain[::-1]))
    np.testing.assert_allclose(
        grid.shrink(brain.astype(np.float32), 0), mirrored.shrink(brain[::-1].astype(np.float32), 0)[:, ::-1], atol=1e-5
    )


@pytest.mark.parametrize("radius_mm", [6, 10, 17, 40, 70])
@pytest.mark.parametrize(("spacing", "size_px"), [(1.0, 128), (0.7, 128), (1.0, 64), (2.3, 48)])
def test_masks_do_not_grow(radius_mm, spacing, size_px):
    n = round(200 / spacing)
    pixel_mm = FIELD_OF_VIEW_MM / size_px
    ratios = []
    for _ in range(12):
        centre = (*(n / 2 + RNG.uniform(-5, 5, 2)), 0)
        disc = ball((n, n, 1), centre, radius_mm / spacing)
        small = centred_grid(disc, (spacing, spacing, 1), size_px, pixel_mm).shrink_mask(disc)
        ratios.append(small.sum() * pixel_mm**2 / (disc.sum() * spacing**2))
    assert np.mean(ratios) <= 1.02


def test_expand_puts_a_map_back_where_the_scan_has_it():
    shape = (130, 150, 2)
    blob = ball(shape, (80, 60, 0), 15).astype(np.float32)
    grid = centred_grid(ball(shape, (65, 75, 0), 60), (1.2, 1.3, 1), 128, 1.875)
    there_and_back = grid.expand(grid.shrink(blob, 0.0))
    assert there_and_back.shape == shape
    assert there_and_back.flags.c_contiguous
    centre = np.argwhere(there_and_back[:, :, 0] > 0.5).mean(axis=0)
    assert centre == pytest.approx((80, 60), abs=0.3)
    overlap = ((there_and_back > 0.5) & (blob > 0)).sum() * 2 / ((there_and_back > 0.5).sum() + blob.sum())
    assert overlap > 0.93


def test_area_grid_expands_by_linear_interpolation():
    slices = RNG.normal(size=(2, 32, 32)).astype(np.float32)
    expected = F.interpolate(torch.from_numpy(slices)[:, None], size=(60, 60), mode="bilinear")[:, 0].numpy()
    found = np.moveaxis(area_grid((60, 60), 32).expand(slices), 2, 0)
    np.testing.assert_allclose(found[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-4)


# --- which grid ---


def same(one, other):
    return all(np.array_equal(vars(one)[name], vars(other)[name]) for name in vars(one))


def test_slices_of_the_paper_are_resized_by_area_where_the_scan_fills_the_field_of_view():
    brain = ball((240, 240, 2), (120, 120, 0), 60)
    paper = ModelGrid("paper-slices", 64, 3.75)

    assert same(slice_grid(paper, brain, (1.0, 1.0, 1.0)), area_grid((240, 240), 64))
    assert same(slice_grid(paper, brain, (0.9, 1.0, 1.0)), centred_grid(brain, (0.9, 1.0, 1.0), 64, 3.75))


def test_slices_of_a_volume_are_centred_on_any_scan():
    brain = ball((240, 240, 2), (120, 120, 0), 60)

    found = slice_grid(ModelGrid("volume", 64, 3.75), brain, (1.0, 1.0, 1.0))

    assert same(found, centred_grid(brain, (1.0, 1.0, 1.0), 64, 3.75))


@pytest.mark.parametrize(("name", "today"), [("volume", "volume"), ("published", "paper-slices")])
def test_a_protocol_goes_by_its_name_or_its_old_one(name, today):
    assert protocol_named(name) == protocol_named(today) == today
    assert ModelGrid(name, 128, 1.875) == ModelGrid(today, 128, 1.875)
    assert str(ModelGrid(name, 128, 1.875)) == f"{today}, 128 px of 1.875 mm"


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (("paper", 128, 1.875), "protocol is 'paper'"),
        (("volume", 0, 1.875), "slices of 0 pixels"),
        (("volume", 10_000, 1.875), "slices of 10000 pixels"),
        (("volume", 128, 0.0), "of 0 mm"),
        (("volume", 128, float("nan")), "of nan mm"),
        (("volume", 128, float("inf")), "of inf mm"),
        (("volume", 128, 10.0), "of 10 mm, expected from 1 to 4096 over 240 mm"),
    ],
)
def test_grids_that_cannot_be_are_refused(grid, message):
    with pytest.raises(ConfigError, match=message) as caught:
        ModelGrid(*grid)
    assert caught.value.hint
