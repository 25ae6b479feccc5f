"""The published intensity map, to float32 rounding; see README.md for where the numbers come from."""

from pathlib import Path

import numpy as np

from mmccd.method.intensity import normalise


def test_intensity_map_equals_the_published_code():
    with np.load(Path(__file__).parent / "data" / "official_metrics.npz") as file:
        volume, expected = file["volume"], file["normalised"]
    assert (volume > 0).mean() < 0.9  # there is background
    assert np.ptp(expected) > 5

    np.testing.assert_allclose(normalise(volume, volume > 0), expected, rtol=0, atol=1e-5)
