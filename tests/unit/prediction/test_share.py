"""Shares of a cohort."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmccd.errors import ConfigError
from mmccd.prediction.predict import predict
from mmccd.prediction.share import Share, parse_share
from mmccd.prediction.summary import summarise


@given(st.text(), st.integers(1, 50))
def test_every_case_belongs_to_one_share(case, of):
    assert sum(Share(number, of).holds(case) for number in range(1, of + 1)) == 1


def test_shares_are_about_as_large_and_stay_from_run_to_run():
    sizes = [sum(Share(number, 4).holds(f"sub-{i:04d}") for i in range(1000)) for number in range(1, 5)]
    assert sizes == [244, 252, 254, 250]


def test_they_are_told_by_number_and_count():
    assert parse_share("2/10") == parse_share(" 2 / 10 ") == Share(2, 10)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "a/b", "-1/3", "1/2/3", ""])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(ConfigError, match="is no share of a cohort"):
        parse_share(text)


def test_all_shares_together_are_the_cohort(detector, scans, tmp_path, no_pictures):
    (scans / "d.nii.gz").write_text("no scan")
    whole = predict(detector, scans, tmp_path / "whole")
    jobs = [predict(detector, scans, tmp_path / "shared", share=Share(number, 3)) for number in (1, 2, 3)]
    assert sorted(one.case for job in jobs for one in job) == [one.case for one in whole]
    assert max(map(len, jobs)) < len(whole)
    assert [(one.case, one.status, one.score) for one in summarise(tmp_path / "shared")] == [
        (one.case, one.status, one.score) for one in whole
    ]
    tables = [(tmp_path / folder / "findings.csv").read_text() for folder in ("whole", "shared")]
    assert tables[0] == tables[1]
