import numpy as np
import pytest

from mmccd.scoring.intensity_baseline import IntensityBaseline
from mmccd.scoring.maps import smoothed

RNG = np.random.default_rng(0)
SLICES = RNG.normal(size=(5, 12, 14)).astype(np.float32)
BRAIN = np.zeros(SLICES.shape, bool)
BRAIN[1:4, 2:10, 3:12] = True
SPACING = (5.0, 1.0, 1.0)


def of(polarity="bright", kind="plain", smooth_mm=4.0):
    return IntensityBaseline("t1", polarity, kind, smooth_mm).anomaly_map({"t1": SLICES}, BRAIN, SPACING)


@pytest.mark.parametrize(("polarity", "sign"), [("bright", 1), ("dark", -1)])
def test_the_intensity_itself_is_the_score_on_the_side_of_lesions(polarity, sign):
    found = of(polarity)
    np.testing.assert_array_equal(found[BRAIN], sign * SLICES[BRAIN])
    assert (found[~BRAIN] == 0).all()


def test_it_is_smoothed_as_a_map_is():
    np.testing.assert_array_equal(
        of("dark", "smoothed", 2.0), smoothed(-SLICES, BRAIN, smooth_mm=2.0, spacing_mm=SPACING)
    )
    np.testing.assert_array_equal(of(kind="smoothed", smooth_mm=0.0), of())


def test_equalised_intensities_are_ranks_in_the_brain():
    found = of(kind="equalised")[BRAIN]
    assert 0 < found.min() < 0.1
    assert found.max() == 1
    assert np.array_equal(np.argsort(found)[-5:], np.argsort(SLICES[BRAIN])[-5:]) or len(np.unique(found)) < found.size
    assert np.corrcoef(found, SLICES[BRAIN])[0, 1] > 0.9
