import numpy as np
import pytest

from mmccd.errors import DataError
from mmccd.scoring import intensity_score, scan_score, scored_region, threshold_at_rate

RNG = np.random.default_rng(0)
DATA = {"chosen_on": "healthy", "subjects": 2, "slices": 9}


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.5, 0.999])
@pytest.mark.parametrize("n", [1, 2, 19, 20, 21, 1000])
@pytest.mark.parametrize("tied", [False, True])
def test_at_most_the_rate_lies_above_and_no_smaller_threshold_does(rate, n, tied):
    scores = RNG.normal(size=n).round(0 if tied else 6)
    threshold = threshold_at_rate(scores, false_positive_rate=rate, **DATA)
    assert (scores > threshold.value).mean() <= rate
    assert threshold.value in scores
    smaller = scores[scores < threshold.value]
    if smaller.size and not tied:
        assert (scores > smaller.max()).mean() > rate - 1 / n  # one score away from too many
    assert threshold.as_dict()["subjects"] == 2
    assert f"{rate:.3g} of the brain pixels" in threshold.criterion


def test_threshold_falls_as_the_rate_rises():
    scores = RNG.normal(size=(3, 40, 40)).astype(np.float32)
    values = [threshold_at_rate(scores, false_positive_rate=r, **DATA).value for r in np.linspace(0.001, 0.999, 50)]
    assert (np.diff(values) <= 0).all()
    assert values[0] > values[-1] + 3


def test_no_score_no_threshold():
    with pytest.raises(DataError, match="no brain pixel of a healthy validation slice"):
        threshold_at_rate(np.empty(0), false_positive_rate=0.05, **DATA)


def test_rim_is_a_disc_of_the_asked_width():
    brain = np.zeros((2, 40, 40), bool)
    brain[0, 5:35, 5:35] = True
    brain[1, 18:22, 18:22] = True
    scored = scored_region(brain, edge_mm=7.5, pixel_mm=1.875)
    assert scored[0].sum() == 22 * 22
    assert scored[0, 9:31, 9:31].all()
    assert not scored[1].any()  # slice by slice
    assert scored_region(brain, edge_mm=0.5, pixel_mm=1.875) is brain


def test_scores_of_scans_and_intensities():
    anomaly = np.arange(1000, dtype=np.float32).reshape(10, 10, 10)
    brain = anomaly >= 800
    assert scan_score(anomaly, brain) == pytest.approx(800 + 0.99 * 199)
    image = RNG.normal(size=(4, 4)).astype(np.float32)
    np.testing.assert_array_equal(intensity_score(image, "bright"), image)
    np.testing.assert_array_equal(intensity_score(image, "dark"), -image)
