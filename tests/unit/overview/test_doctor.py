"""The whole diagnosis: what it comes to, and whom it names."""

import getpass
import socket
from pathlib import Path

import pytest

from mmccd.overview import doctor as module
from mmccd.overview.check import Check
from mmccd.overview.doctor import Diagnosis, doctor, without_names


def check(state, what="torch", remedy="pip install it"):
    return Check("packages", what, state, "found", remedy)


@pytest.mark.parametrize(
    ("states", "state", "verdict"),
    [
        (("ok", "absent"), "ok", "all is well"),
        (("ok", "warning"), "warning", "works, with 1 warning (packages b); begin with b: pip install it"),
        (("warning", "broken", "broken"), "broken", "broken: packages b, packages c; begin with b: pip install it"),
    ],
)
def test_the_verdict_is_that_of_the_worst(states, state, verdict):
    found = Diagnosis(tuple(check(one, name) for one, name in zip(states, "abc", strict=False)))
    assert (found.state, found.verdict) == (state, verdict)
    assert found.as_json()["checks"][0]["what"] == "a"


@pytest.fixture
def no_self_test(monkeypatch):
    monkeypatch.setattr(module, "self_test", lambda: Check("self-test", "known answer", "ok", ""))


def test_what_cannot_be_looked_at_is_broken_and_says_why(monkeypatch):
    def fail():
        raise ImportError("libtorch.so: cannot open shared object file")

    monkeypatch.setattr(module, "device_checks", fail)
    monkeypatch.setattr(module, "self_test", fail)
    found = doctor()
    assert found.state == "broken"
    broken = [one for one in found.checks if one.state == "broken"]
    assert [one.area for one in broken] == ["devices", "self-test"]
    assert broken[0].found == "ImportError: libtorch.so: cannot open shared object file"
    assert broken[0].remedy.startswith("install mmccd anew")
    assert broken[1].remedy.startswith("mend what is broken above")


def test_nobody_is_named(monkeypatch, tmp_path, no_self_test):
    home = tmp_path / "jane.doe"
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setattr(getpass, "getuser", lambda: "jdoe")
    monkeypatch.setattr(module, "getuser", lambda: "jdoe")
    monkeypatch.setattr(socket, "gethostname", lambda: "ward7.clinic.example")
    monkeypatch.setenv("MMCCD_CACHE", str(home / "cache"))
    monkeypatch.setattr(
        module, "terminal_check", lambda: Check("terminal", "x", "ok", f"/tmp/jdoe/{home}2 of jdoe on ward7", "ward7")
    )
    found = {one.what: one for one in doctor().checks}
    assert found["cache"].found.startswith("~/cache; ")
    assert found["x"].found == f"/tmp/USER/{home}2 of USER on HOST"
    assert found["x"].remedy == "HOST"


def test_names_within_words_stay(monkeypatch):
    monkeypatch.setattr(module, "getuser", lambda: "or")
    monkeypatch.setattr(socket, "gethostname", lambda: "")
    assert without_names("torch or /or/x") == "torch USER /USER/x"
