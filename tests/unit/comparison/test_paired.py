"""What may be said about who is better."""

import numpy as np
import pytest

from mmccd.comparison.contenders import BEST
from mmccd.comparison.paired import holm, mean_interval, paired, verdict
from mmccd.evaluation.intervals import bootstrap_mean


def test_the_verdict_names_who_is_ahead_and_whom_nothing_tells_apart(record_of):
    ours = np.linspace(0.4, 0.6, 20)
    wobble = np.tile([0.01, -0.0101], 10)
    named = {
        BEST: record_of(BEST, ours),
        "better": record_of("better", ours + 0.1),
        "worse": record_of("worse", ours - 0.1),
        "level": record_of("level", ours + wobble),
    }
    text = verdict(named, BEST)
    assert text == (
        "Veiled cycle (best) has AUPRC 0.500; 1 of 3 are behind it; ahead of it: better (+0.100); "
        "the interval of the difference holds 0 for level (-0.000)."
    )
    assert "none is ahead of it" in verdict({name: named[name] for name in (BEST, "worse")}, BEST)
    assert verdict(named, "better").startswith("better has AUPRC 0.600; 3 of 3 are behind it; none is ahead of it.")


def test_of_a_single_subject_the_verdict_says_that_it_cannot_tell(record_of):
    named = {BEST: record_of(BEST, [0.5, None]), "better": record_of("better", [0.6, None])}
    assert verdict(named, BEST) == ("Veiled cycle (best) has AUPRC 0.500; too few subjects to compare it with better.")


def test_sessions_of_a_patient_are_one_difference(record_of):
    """The patient with three sessions outweighs nobody."""
    names = ["sub-1_ses-1", "sub-1_ses-2", "sub-1_ses-3", "sub-2", "sub-3"]
    ours = record_of("any", [0.75, 0.75, None, 0.25, 0.5], names)  # exact in binary
    theirs = record_of("any", [0.5, 0.25, 0.1, 0.0, 0.0], names)
    by_hand = paired(record_of("a", [0.375, 0.25, 0.5]), record_of("b", [0, 0, 0]), "auprc")
    assert paired(ours, theirs, "auprc") == by_hand
    assert mean_interval(ours.rows, "auprc") == bootstrap_mean([0.75, 0.25, 0.5])


def test_paired_differences_leave_out_what_is_undefined(record_of):
    interval, p = paired(record_of("a", [0.5, 0.6, None]), record_of("b", [0.4, 0.5, 0.9]), "auprc")
    assert interval.mean == pytest.approx(0.1)
    assert (interval.n, interval.undefined) == (2, 1)
    assert 0 < p <= 1
    assert np.isnan(paired(record_of("a", [0.5, 0.6]), record_of("a", [0.5, 0.6]), "auprc")[1])


def test_holm():
    assert holm([0.01, 0.04, float("nan"), 0.03]) == pytest.approx([0.03, 0.06, float("nan"), 0.06], nan_ok=True)
    assert holm([0.9, 0.8]) == [1, 1]
