import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmccd.evaluation.metrics import Confusion
from mmccd.evaluation.oracle import DiceCurve, best_threshold, threshold_value

SCORES = st.floats(-4, 4, width=32) | st.sampled_from([0.0, -0.0, 1e-42, -1e-42, 1.0, np.float32(3e38)])
FINITE = 0x0080, 0xFF7E
"""Numbers of the thresholds that are numbers themselves."""


def oracle(scores, lesions):
    curves = [DiceCurve.of(s, m, int(m.sum())) for s, m in zip(scores, lesions, strict=True)]
    number = best_threshold(curve for curve, lesion in zip(curves, lesions, strict=True) if lesion.any())
    return number, [curve.at(number) for curve in curves] if number is not None else []


def masks(scores, number):
    return [score.astype(np.float32) > np.float32(threshold_value(number)) for score in scores]


def test_finds_the_threshold_of_separable_scores():
    rng = np.random.default_rng(0)
    lesions = [rng.random(500) < 0.1 for _ in range(3)]
    scores = [np.where(lesion, 2.0, 0.0) + rng.integers(0, 5, 500) / 5 for lesion in lesions]

    number, dice = oracle(scores, lesions)

    assert dice == [1.0, 1.0, 1.0]
    assert all(map(np.array_equal, masks(scores, number), lesions))


@pytest.mark.parametrize("contrast", [2.5, 8.0])
def test_steps_of_less_than_a_hundredth_lose_nothing_that_is_seen(contrast):
    rng = np.random.default_rng(0)
    lesion = rng.random(20_000) < 0.01
    score = (rng.normal(size=lesion.size) + contrast * lesion).astype(np.float32)

    _, (dice,) = oracle([score], [lesion])

    every = np.sort(score)
    found = lesion[np.argsort(score)][::-1].cumsum()[::-1]  # predicted from each score up
    best = (2 * found / (np.arange(every.size, 0, -1) + lesion.sum())).max()
    assert best - 0.002 <= dice <= best


@given(arrays(np.float32, 12, elements=SCORES), arrays(bool, 12), st.integers(*FINITE))
def test_dice_of_a_curve_is_that_of_the_mask(score, lesion, number):
    """At every threshold, whatever the scores: of both signs, equal, denormal, nearly infinite."""
    curve = DiceCurve.of(score, lesion, int(lesion.sum()) + 3)
    threshold = threshold_value(number)

    marked = np.append(score > np.float32(threshold), [False] * 3)
    assert curve.at(number) == pytest.approx(Confusion.between(marked, np.append(lesion, [True] * 3)).dice)


def test_thresholds_ascend_in_steps_of_less_than_a_hundredth():
    values = np.array([threshold_value(number) for number in range(*FINITE)])
    assert np.isfinite(values).all()
    assert (np.diff(values) > 0).all()
    usual = values[(values > 1e-30) & (values < 1e30)]
    assert (np.diff(usual) / usual[:-1]).max() < 0.008


def test_no_single_threshold_of_these_beats_the_best():
    rng = np.random.default_rng(1)
    lesions = [rng.random(60) < 0.2, rng.random(40) < 0.4]
    scores = [(rng.normal(size=lesion.size) + lesion).astype(np.float32) for lesion in lesions]

    number, dice = oracle(scores, lesions)

    by_hand = [
        np.mean([Confusion.between(m, lesion).dice for m, lesion in zip(masks(scores, n), lesions, strict=True)])
        for n in range(0x3F00, 0xC200)
    ]
    assert np.mean(dice) == pytest.approx(max(by_hand))
    assert 0x3F00 + int(np.argmax(by_hand)) == number or by_hand[number - 0x3F00] == max(by_hand)


def test_lesion_voxels_outside_the_brain_are_missed_at_any_threshold():
    score, lesion = np.array([1.0, 2.0], np.float32), np.array([False, True])
    number = best_threshold([DiceCurve.of(score, lesion, 4)])
    assert DiceCurve.of(score, lesion, 4).at(number) == pytest.approx(2 / 5)


def test_healthy_cases_have_no_part_in_the_choice():
    lesion, healthy = np.array([True, False]), np.zeros(2, bool)

    number, dice = oracle([np.array([2.0, 1.0]), np.array([9.0, 9.0])], [lesion, healthy])

    assert dice == [1.0, 0.0]  # what is marked where nothing is, is false
    assert 1.0 <= threshold_value(number) < 2.0
    assert oracle([np.ones(2)], [healthy]) == (None, [])
    assert best_threshold([]) is None


def test_a_healthy_case_without_marks_has_no_dice():
    curve = DiceCurve.of(np.ones(3, np.float32), np.zeros(3, bool), 0)
    assert math.isnan(curve.at(FINITE[1]))
    assert curve.at(FINITE[0]) == 0


def test_equal_scores_are_all_predicted():
    number, dice = oracle([np.zeros(4, np.float32)], [np.array([True, True, False, False])])

    assert threshold_value(number) < 0
    assert dice == [pytest.approx(2 / 3)]
