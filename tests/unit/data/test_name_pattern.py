import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmccd.data.name_pattern import any_of
from mmccd.data.pseudonyms import Redaction, redact


def test_what_names_have_in_common_is_looked_at_once():
    assert any_of(["Joe", "Anna", "Ann"]) == "(?:ann(?:a)?|joe)"


def test_of_no_name_nothing_fits():
    assert re.search(any_of([]), "") is None


@given(st.lists(st.text("aAbB1._-+[ İıſ", min_size=1, max_size=6), min_size=1, max_size=8), st.text("aAbB1._-+[ İıſ"))
def test_it_finds_what_a_plain_list_of_the_longest_first_finds(names, text):
    plain = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    found, expected = (re.findall(rf"(?:{one})(?![^\W_])", text, re.IGNORECASE) for one in (any_of(names), plain))
    assert found == expected


def test_names_that_are_beginnings_of_each_other_are_no_trap():
    names = ["a" * length for length in range(1, 1000)]
    found = re.fullmatch(any_of(names), "a" * 999)
    assert found is not None


@pytest.mark.parametrize("count", [1, 500])
def test_one_redaction_serves_many_messages(count):
    cases = {f"P{number:05d}": f"case-{number:08x}" for number in range(count)}
    without = Redaction(cases, {"P00000_flair.nii.gz": "case-00000000 (flair)"})
    text = "p00000: P00000_flair.nii.gz beside 00000"
    assert without(text) == "case-00000000: case-00000000 (flair) beside 00000"
    assert without(text) == redact(text, cases, {"P00000_flair.nii.gz": "case-00000000 (flair)"})
