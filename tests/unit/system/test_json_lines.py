import json
import logging
import os
import warnings

import pytest

from mmccd.errors import MmccdWarning
from mmccd.system import progress
from mmccd.system.complaints import complain, say_failed, warn, warnings_as_lines
from mmccd.system.json_lines import VARIABLE, json_lines, line_of, speaks_json
from mmccd.system.progress import Doing, of_case, reported_progress
from mmccd.system.workers import each_apart


@pytest.fixture
def heard(capsys):
    """A function: the objects on standard error, to which nothing else was said."""

    def call():
        captured = capsys.readouterr()
        assert captured.out == ""
        return [json.loads(line) for line in captured.err.splitlines()]

    return call


@pytest.fixture
def speaking():
    with json_lines("predict"):
        yield


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_json_is_spoken_within_and_not_after():
    assert not speaks_json()
    with json_lines("predict"):
        with json_lines("evaluate"):
            assert os.environ[VARIABLE] == "evaluate"
        assert os.environ[VARIABLE] == "predict"
    assert not speaks_json()


def test_a_line_holds_what_json_can():
    found = json.loads(line_of("x", losses={"a": float("nan"), "b": float("inf"), "c": 1.5}, case="a\x1b[2J\nb"))
    assert found["losses"] == {"a": None, "b": None, "c": 1.5}
    assert found["case"] == "a\\x1b[2J b"
    assert found["time"].endswith("+00:00")


def test_complaints_are_objects(speaking, heard):
    complain("a\nb", "c")
    warn("odd")
    say_failed("P1", "is empty", "copy it again")
    error, warning, failed = heard()
    assert [one["command"] for one in (error, warning, failed)] == ["predict"] * 3
    assert (error["event"], error["level"], error["message"], error["hint"]) == ("error", "error", "a b", "c")
    assert (warning["event"], warning["level"], warning["message"]) == ("warning", "warning", "odd")
    assert warning["hint"] == ""
    assert (failed["event"], failed["level"], failed["case"]) == ("failed", "error", "P1")
    assert (failed["message"], failed["hint"]) == ("is empty", "copy it again")


def test_warnings_and_logs_of_others_are_objects(speaking, heard):
    with warnings.catch_warnings(), warnings_as_lines():
        warnings.simplefilter("always")
        warnings.warn("ours", MmccdWarning, stacklevel=1)
        warnings.warn("theirs", DeprecationWarning, stacklevel=1)
    record = logging.LogRecord("nibabel", logging.ERROR, "", 0, "bad\nheader", None, None)
    logged = json.loads(logging.lastResort.format(record))
    assert [one["message"] for one in heard()] == ["ours", "DeprecationWarning: theirs"]
    assert (logged["event"], logged["level"], logged["message"]) == ("log", "error", "bad header")


def test_each_case_and_both_ends_of_a_count_are_said_and_other_steps_now_and_then(speaking, heard, clock):
    with reported_progress("work") as report:
        for done in range(101):
            clock[0] = done * 0.1
            report(Doing("step", losses={"train/cycle": 0.1}), done, 100)
        for done in range(3):
            clock[0] += 0.1
            report(of_case(f"P{done}"), done, 3)
    found = heard()
    assert [one["step"] for one in found if one["total"] == 100] == list(range(0, 101, 10))
    assert [one["eta_s"] for one in found[:3]] == [None, 9.0, 8.0]
    assert found[10]["eta_s"] == 0
    assert found[0]["losses"] == {"train/cycle": 0.1}
    assert [(one["case"], one["stage"]) for one in found if one["total"] == 3] == [(f"P{n}", "work") for n in range(3)]


def test_quiet_leaves_the_complaints_alone(speaking, heard):
    with reported_progress("work", quiet=True) as report:
        report(of_case("P1"), 0, 1)
        warn("odd")
    assert [one["event"] for one in heard()] == ["warning"]


def test_worker_processes_speak_alike(speaking, capfd):
    with each_apart(warn, ["odd: a", "odd: b"], 1) as answers:
        assert len(list(answers)) == 2
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert {one["message"] for one in lines} == {"odd: a", "odd: b"}
    assert {one["command"] for one in lines} == {"predict"}
