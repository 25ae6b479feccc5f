"""The promises are tested as promises: on subjects drawn anew, many times over."""

from dataclasses import replace

import numpy as np
import pytest

from mmccd.errors import DataError, ModelError
from mmccd.scoring.thresholds import (
    LEVEL,
    Threshold,
    choose_thresholds,
    own_level,
    p_value,
    relative_threshold,
    scan_threshold,
    threshold_of_scan,
    voxel_threshold,
)


def healthy_subject(rng, size=150):
    """Subjects differ from each other more than their pixels do, as scans and patients do."""
    return rng.normal(rng.normal(0, 1), rng.uniform(0.5, 1.5), size)


def trials(subjects, count=400, seed=0):
    """Calibration subjects and one unseen subject, again and again."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield [healthy_subject(rng) for _ in range(subjects)], healthy_subject(rng)


@pytest.mark.parametrize(("subjects", "rate"), [(3, 0.05), (19, 0.05), (12, 0.1), (60, 0.2)])
def test_an_unseen_subject_has_at_most_the_promised_share_marked_and_about_the_rate(subjects, rate):
    marked = [(new > voxel_threshold(seen, rate=rate).value).mean() for seen, new in trials(subjects)]
    error = np.std(marked) / np.sqrt(len(marked))
    assert np.mean(marked) <= (subjects * rate + 1) / (subjects + 1) + 2 * error
    if subjects > 3:  # the promise is not kept by marking nothing
        assert np.mean(marked) == pytest.approx(rate, abs=3 * error + 0.01)


@pytest.mark.parametrize(("subjects", "rate"), [(9, 0.1), (19, 0.1), (40, 0.3)])
def test_at_most_the_promised_share_of_unseen_healthy_scans_has_anything_marked(subjects, rate):
    alarms = [(new > scan_threshold(seen, rate=rate).value).any() for seen, new in trials(subjects)]
    allowance = 2.5 * np.sqrt(rate * (1 - rate) / len(alarms))
    assert rate / 2 < np.mean(alarms) <= rate + allowance


@pytest.mark.parametrize("level", [0.05, 0.1, 0.5])
def test_p_values_of_healthy_scans_are_small_no_more_often_than_they_say(level):
    values = [p_value(new.max(), [one.max() for one in seen]) for seen, new in trials(19)]
    allowance = 2.5 * np.sqrt(level * (1 - level) / len(values))
    assert level / 2 < np.mean(np.array(values) <= level) <= level + allowance


@pytest.mark.parametrize(("subjects", "rate"), [(3, 0.05), (19, 0.05), (60, 0.2)])
def test_a_relative_threshold_keeps_the_promise_too(subjects, rate):
    marked = [
        (new - own_level(new) > relative_threshold([[one] for one in seen], rate=rate).value).mean()
        for seen, new in trials(subjects)
    ]
    error = np.std(marked) / np.sqrt(len(marked))
    assert np.mean(marked) <= (subjects * rate + 1) / (subjects + 1) + 2 * error
    if subjects > 3:
        assert np.mean(marked) == pytest.approx(rate, abs=3 * error + 0.01)


def test_another_scanner_that_lifts_a_whole_map_marks_no_more_of_it():
    """Of the same subjects, all scored higher: nearly all of a brain lies above the one threshold for all scans."""
    fixed, relative = [], []
    for seen, new in trials(19, count=100):
        lifted = new + 5
        fixed.append((lifted > voxel_threshold(seen, rate=0.1).value).mean())
        relative.append(
            (lifted - own_level(lifted) > relative_threshold([[one] for one in seen], rate=0.1).value).mean()
        )
    assert np.mean(fixed) > 0.9
    assert np.mean(relative) == pytest.approx(0.1, abs=0.02)


def test_sessions_of_one_subject_have_levels_of_their_own():
    """Taken together, the lifted session would seem to exceed the level of both."""
    rng = np.random.default_rng(3)
    sessions = [[rng.lognormal(size=500), rng.lognormal(size=500) + 10] for _ in range(20)]
    found = relative_threshold(sessions, rate=0.1)
    marked = [(one - own_level(one) > found.value).mean() for both in sessions for one in both]
    assert np.mean(marked) == pytest.approx(0.1, abs=0.001)
    assert found.subjects == 20


def test_a_level_of_a_later_version_is_not_taken_for_the_one_that_is_known():
    later = Threshold(1.0, "", "", added_to="median of the scan's own scores")
    with pytest.raises(ModelError, match="added to the median of the scan's own scores") as caught:
        threshold_of_scan(later, np.arange(5.0))
    assert caught.value.hint == "update mmccd"


def test_a_relative_threshold_says_what_it_is_added_to():
    some = [np.arange(101.0), np.arange(101.0) + 7]
    found = relative_threshold([[one] for one in some], rate=0.05)
    assert own_level(some[1]) == 75 + 7
    assert found.value == 95 - 75
    assert found == Threshold(
        20,
        criterion="0.05 of the brain in healthy slices exceeds the upper quartile of the scan's own scores by more, "
        "mean over 2 subjects",
        guarantee=voxel_threshold(some, rate=0.05).guarantee + ", if a scan holds such slices alone",
        subjects=2,
        added_to="upper quartile of the scan's own scores",
    )
    assert voxel_threshold(some, rate=0.05).added_to is None


def test_where_a_scan_is_cut():
    scores = np.arange(101.0) + 7
    alone, relative = Threshold(3.0, "", ""), Threshold(20.0, "", "", added_to=LEVEL)
    assert threshold_of_scan(alone, scores) == 3.0
    assert threshold_of_scan(relative, scores) == 20 + 75 + 7


def test_a_relative_threshold_never_marks_what_is_as_ordinary_as_can_be():
    """Of maps that reach 0, nothing that scores 0; of intensities, which may be negative, not the lowest."""
    below = Threshold(-50.0, "", "", added_to=LEVEL)
    for scores in (np.array([0.0, 0.0, 1.0, 2.0]), np.array([-3.0, -2.0, 1.0])):
        cut = threshold_of_scan(below, scores)
        assert cut == scores.min()
        assert (scores > cut).sum() == (scores > scores.min()).sum()


def test_all_thresholds_are_chosen_on_the_same_slices():
    healthy = [[np.arange(101.0), np.arange(51.0)], [np.arange(101.0) + 7]]
    found = choose_thresholds(healthy, rate=0.05, alarm_rate=0.4, slices=12)
    patients = [np.concatenate(scans) for scans in healthy]
    for one, reference in (
        (found.voxel, voxel_threshold(patients, rate=0.05)),
        (found.scan, scan_threshold(patients, rate=0.4)),
        (found.relative, relative_threshold(healthy, rate=0.05)),
    ):
        assert one == replace(reference, chosen_on="healthy validation slices", slices=12)
    assert found.healthy_scores == tuple(sorted(float(np.quantile(one, 0.99)) for one in patients))


def test_p_value_counts_the_scan_itself():
    with pytest.raises(ValueError, match="not a number"):
        p_value(float("nan"), [1, 2])
    assert p_value(5, [1, 2, 3]) == 1 / 4
    assert p_value(2, [1, 2, 3]) == 3 / 4
    assert p_value(0, [1, 2, 3]) == 1
    assert p_value(0, []) == 1


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("tied", [False, True])
def test_the_voxel_threshold_is_the_smallest_that_keeps_the_promise(rate, tied):
    rng = np.random.default_rng(1)
    seen = [healthy_subject(rng, size).round(0 if tied else 9) for size in rng.integers(20, 300, 25)]
    threshold = voxel_threshold(seen, rate=rate)

    def marked(value):
        return np.mean([(one > value).mean() for one in seen])

    assert marked(threshold.value) <= rate + 1e-9
    smaller = np.concatenate(seen)[np.concatenate(seen) < threshold.value].max()
    assert marked(smaller) > rate
    assert threshold.subjects == 25
    promised = (25 * rate + 1) / 26
    assert threshold.guarantee.startswith(f"on average at most {promised:.3g} of the brain")


def test_subjects_count_alike_however_large_their_brains_are():
    small, large = np.arange(100.0), np.full(100_000, -1.0)
    threshold = voxel_threshold([small, large], rate=0.25)
    assert (small > threshold.value).mean() / 2 == pytest.approx(0.25, abs=0.01)


def test_one_subject_more_hardly_moves_the_threshold():
    rng = np.random.default_rng(2)
    some = [healthy_subject(rng, 1000) for _ in range(30)]
    values = [voxel_threshold(some[:n], rate=0.05).value for n in range(15, 31)]
    assert np.abs(np.diff(values)).max() < 0.3


def test_too_few_subjects_for_the_rate_of_scans_get_the_highest_score_and_the_rate_that_it_holds():
    threshold = scan_threshold([np.array([1.0, 4.0]), np.array([2.0]), np.array([3.0])], rate=0.1)
    assert threshold.value == 4
    assert threshold.guarantee == "at most 0.25 of subjects like these have anything marked in their healthy slices"


def test_a_subject_without_healthy_pixels_does_not_count():
    some = np.arange(10.0)
    assert voxel_threshold([some, np.empty(0)], rate=0.5) == voxel_threshold([some], rate=0.5)
    assert relative_threshold([[some, np.empty(0)], [np.empty(0)]], rate=0.5) == relative_threshold([[some]], rate=0.5)
    empty = np.empty(0)
    for choose, subject in ((voxel_threshold, empty), (scan_threshold, empty), (relative_threshold, [empty])):
        with pytest.raises(DataError, match="no brain pixel of a healthy validation slice"):
            choose([subject], rate=0.05)
