"""What is wrong with a subject is said in one form, whatever stopped the work on it."""

import signal
from contextlib import suppress

import pytest

from mmccd.data.problems import Problem
from mmccd.errors import DataError
from mmccd.system.signals import leaving_when_asked


@pytest.mark.parametrize(("hint", "said"), [("mend it", "it is torn (mend it)"), ("", "it is torn")])
def test_a_problem_reads_as_one_sentence(hint, said):
    assert str(Problem("P_1", "it is torn", hint)) == said


def test_an_error_of_ours_keeps_what_it_says_and_its_hint():
    found = Problem.of("P_1", DataError("a.nii.gz is empty", "copy it again"))

    assert found == Problem("P_1", "a.nii.gz is empty", "copy it again")


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (MemoryError("9 GiB"), "too little memory: 9 GiB"),
        (MemoryError(), "too little memory: MemoryError"),
        (PermissionError(13, "Permission denied", "/data/Doe/a.nii"), "PermissionError: Permission denied"),
        (OSError("odd"), "OSError: odd"),
    ],
)
def test_an_error_of_the_machine_is_named_without_its_place_and_has_a_hint(error, what):
    found = Problem.of("P_1", error)

    assert (found.subject, found.what) == ("P_1", what)
    assert found.hint


def stopped_while_a_subject_was_read():
    with suppress(SystemExit):  # as a library does that closes its files badly
        signal.raise_signal(signal.SIGTERM)
    Problem.of("a", OSError("Bad file descriptor"))
    pytest.fail("it went on")


def test_what_fails_when_a_command_is_stopped_is_no_problem_of_a_subject():
    with pytest.raises(SystemExit) as caught, leaving_when_asked():
        stopped_while_a_subject_was_read()
    assert caught.value.code == 143
