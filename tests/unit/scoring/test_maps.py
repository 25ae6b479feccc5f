import numpy as np
import pytest

from mmccd.scoring.maps import scan_score, scored_region, smoothed

RNG = np.random.default_rng(0)


def test_rim_is_a_disc_of_the_asked_width():
    brain = np.zeros((2, 40, 40), bool)
    brain[0, 5:35, 5:35] = True
    brain[1, 18:22, 18:22] = True
    scored = scored_region(brain, edge_mm=7.5, pixel_mm=1.875)
    assert scored[0].sum() == 22 * 22
    assert scored[0, 9:31, 9:31].all()
    assert not scored[1].any()  # slice by slice
    assert scored_region(brain, edge_mm=0.5, pixel_mm=1.875) is brain


def test_the_score_of_a_scan_is_a_high_quantile_of_its_brain():
    anomaly = np.arange(1000, dtype=np.float32).reshape(10, 10, 10)
    assert scan_score(anomaly[anomaly >= 800]) == pytest.approx(800 + 0.99 * 199)


# --- smoothing ---

SPACING = (4.0, 1.5, 2.0)


@pytest.fixture
def region():
    """Two bodies, one at the border of the volume, and a single voxel."""
    region = np.zeros((12, 30, 30), bool)
    region[:5, :12, 3:20] = True
    region[7:11, 15:28, 10:25] = True
    region[2, 25, 25] = True
    return region


def test_a_constant_stays_constant_up_to_the_border_whatever_lies_outside(region):
    for outside in (0, 1e6, np.nan):
        values = np.where(region, 3, outside).astype(np.float32)
        found = smoothed(values, region, smooth_mm=5, spacing_mm=SPACING)
        np.testing.assert_allclose(found[region], 3, rtol=1e-5)
        assert (found[~region] == 0).all()
        assert found.dtype == np.float32


def test_nothing_leaks_from_outside(region):
    values = RNG.normal(size=region.shape).astype(np.float32)
    other = np.where(region, values, 100 * RNG.normal(size=region.shape)).astype(np.float32)
    found = smoothed(values, region, smooth_mm=4, spacing_mm=SPACING)
    np.testing.assert_array_equal(found, smoothed(other, region, smooth_mm=4, spacing_mm=SPACING))
    assert found[region].std() < 0.5 * values[region].std()


def test_empty_slices_around_a_volume_change_nothing(region):
    """A store keeps the slices with brain only, a scan has air above and below."""
    values = RNG.normal(size=region.shape).astype(np.float32)
    wide = [np.pad(array, ((5, 5), (0, 0), (3, 3))) for array in (values, region)]
    found = smoothed(*wide, smooth_mm=6, spacing_mm=SPACING)[5:-5, :, 3:-3]
    np.testing.assert_allclose(found, smoothed(values, region, smooth_mm=6, spacing_mm=SPACING), rtol=1e-5, atol=1e-6)


def test_no_smoothing_is_the_identity_inside(region):
    values = RNG.normal(size=region.shape).astype(np.float32)
    found = smoothed(values, region, smooth_mm=0, spacing_mm=SPACING)
    np.testing.assert_array_equal(found, np.where(region, values, 0))


def test_the_width_is_in_millimetres_along_every_axis():
    values = np.zeros((21, 41, 31), np.float32)
    values[10, 20, 15] = 1
    found = smoothed(values, np.ones_like(values, bool), smooth_mm=5, spacing_mm=SPACING)
    assert found[10, 20, 15] == found.max()
    for axis, spacing_mm in enumerate(SPACING):
        profile = np.moveaxis(found, axis, 0)[(slice(None), *(n // 2 for n in np.delete(values.shape, axis)))]
        position = spacing_mm * (np.arange(len(profile)) - len(profile) // 2)
        assert np.sqrt((profile * position**2).sum() / profile.sum()) == pytest.approx(5, rel=0.05)
