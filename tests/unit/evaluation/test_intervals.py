import math

import numpy as np
import pytest
from scipy import stats

from mmccd.evaluation.intervals import bootstrap_mean, by_patient

NAN = float("nan")


def test_bootstrap_interval_equals_scipy():
    values = np.random.default_rng(0).normal(size=30)

    found = bootstrap_mean(values, resamples=20_000)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", random_state=1
    ).confidence_interval

    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.01)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], "undefined"),
        ([NAN, math.inf], "undefined"),
        ([0.5], "0.500"),
        ([0.5, NAN], "0.500 (1 undefined)"),
        ([0.5, 0.5, NAN, -math.inf], "0.500 [0.500, 0.500] (2 undefined)"),
    ],
)
def test_interval_says_what_is_undefined(values, text):
    assert str(bootstrap_mean(values, resamples=10)) == text


def test_sessions_of_a_patient_are_one_value_of_what_is_defined():
    subjects = ["sub-2_ses-1", "sub-1", "sub-2_ses-2", "sub-3_ses-1", "sub-2_ses-3", "sub-3_ses-2"]
    found = by_patient(subjects, [0.2, 0.5, 0.6, NAN, NAN, math.inf])
    assert found == pytest.approx([0.4, 0.5, NAN], nan_ok=True)


def test_patients_with_one_session_keep_their_values_to_the_bit():
    values = np.random.default_rng(0).normal(size=30).tolist()
    names = [f"BraTS-GLI-{i:05d}-000" for i in range(30)]
    assert by_patient(names, values) == values
    assert bootstrap_mean(by_patient(names, [*values[:29], NAN])) == bootstrap_mean([*values[:29], NAN])


def test_bootstrap_is_seeded():
    values = [0.1, 0.4, 0.2, 0.9]

    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


@pytest.mark.parametrize("at_once", [1, 7, 30, 1000])
def test_how_many_are_drawn_at_once_changes_nothing(monkeypatch, at_once):
    values = np.random.default_rng(3).normal(size=10)
    expected = bootstrap_mean(values, resamples=101)
    monkeypatch.setattr("mmccd.evaluation.intervals._DRAWS_AT_ONCE", at_once)
    assert bootstrap_mean(values, resamples=101) == expected
