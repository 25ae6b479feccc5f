import numpy as np
import pytest

from mmccd.errors import DataError
from mmccd.method.intensity import BACKGROUND, INTENSITY_MAP, normalise, reference_intensity

RNG = np.random.default_rng(0)
BRAIN = np.zeros((10, 10, 10), bool)
BRAIN[2:8, 2:8, 2:8] = True
SCAN = np.where(BRAIN, RNG.gamma(4, 50, BRAIN.shape), 0).astype(np.float32)


def test_zero_and_the_90th_percentile_are_fixed_points():
    found = normalise(SCAN, BRAIN)
    assert found.dtype == np.float32
    assert (found[~BRAIN] == BACKGROUND).all()
    assert (found[BRAIN] > 3).mean() == pytest.approx(0.1, abs=0.01)
    assert found.max() > 3.5  # not clipped
    assert (INTENSITY_MAP["at_zero"], INTENSITY_MAP["at_percentile"]) == (BACKGROUND, 3.0)


def test_scale_and_what_lies_outside_the_brain_do_not_matter():
    expected = normalise(SCAN, BRAIN)
    np.testing.assert_allclose(normalise(SCAN * 7, BRAIN), expected, atol=1e-5)
    np.testing.assert_array_equal(normalise(np.where(BRAIN, SCAN, 9999).astype(np.float32), BRAIN), expected)


def test_air_around_the_brain_changes_less_than_the_noise():
    padded = normalise(np.pad(SCAN, 5), np.pad(BRAIN, 5))
    np.testing.assert_allclose(padded[5:-5, 5:-5, 5:-5], normalise(SCAN, BRAIN), atol=0.02)


def test_scans_without_a_scale_are_refused():
    with pytest.raises(DataError, match="90th percentile of the brain intensities is 0, expected a positive"):
        normalise(np.where(BRAIN, -1, 0).astype(np.float32), BRAIN)


@pytest.mark.parametrize("seed", range(20))
def test_the_reference_is_numpys_percentile_of_the_whole_volume(seed):
    rng = np.random.default_rng(seed)
    data = rng.gamma(2, 100, (9, 8, 7)).astype(np.float32) - np.float32(5)
    brain = rng.random(data.shape) < rng.uniform(0.01, 1.0)
    brain[0, 0, :2] = True

    whole = np.where(brain, data, 0.0).astype(np.float64)
    expected = float(np.percentile(whole, 100.0 - 10.0 * float(brain.mean())))

    if expected > 0:
        assert reference_intensity(data, brain) == expected
        np.testing.assert_array_equal(normalise(data, brain), (6.0 * whole / expected - 3).astype(np.float32))
