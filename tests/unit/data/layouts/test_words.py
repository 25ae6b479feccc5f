"""The vocabulary of names, and how a name falls into it."""

import time

import pytest

from mmccd.data.layouts import words
from mmccd.data.layouts.words import words_of


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("T2_FLAIR.sag", ["t2", "flair", "sag"]),
        ("3DT1", ["3d", "t1"]),
        ("mask1", ["mask", "1"]),
        ("T1wKS", ["t1w", "ks"]),
        ("dark fluid", ["flair"]),
        ("MP-RAGE", ["mprage"]),
        ("T1+C", ["t1", "contrast"]),
        ("t12", ["t12"]),  # not a T1 and a 2
        ("1234", ["1234"]),
        ("flairy", ["flairy"]),
        ("é_FLAIR", ["é", "flair"]),
        ("", []),
    ],
)
def test_a_name_falls_into_words(text, found):
    assert words_of(text) == found


def test_no_word_is_of_two_kinds_that_contradict_each_other():
    images = words.WEIGHTINGS | words.T1_BY_SEQUENCE
    kinds = (words.MASK, words.SEGMENTATION, words.SHARES, words.LESION, words.VAGUE, words.BRAIN, words.DERIVED)
    assert not [word for kind in kinds for word in kind & (images | words.CONTRAST | words.GEOMETRY)]
    assert all(word == word.lower() and word.isalnum() for word in words.KNOWN)


def test_a_long_name_takes_no_time():
    started = time.perf_counter()
    words_of("t1ce" * 60 + "x")
    assert time.perf_counter() - started < 1
