"""`mmccd doctor`: what it prints, and its exit code."""

import json

import pytest

from mmccd.overview.check import Check
from mmccd.overview.doctor import Diagnosis


@pytest.fixture
def diagnosis(monkeypatch):
    """A function that says how things stand."""

    def of(*states):
        checks = tuple(Check("folders", f"place {n}", state, "found", "mend it") for n, state in enumerate(states))
        monkeypatch.setattr("mmccd.overview.doctor.doctor", lambda: Diagnosis(checks))

    return of


@pytest.mark.parametrize(
    ("states", "code", "last"),
    [
        (("ok", "absent"), 0, "all is well"),
        (("ok", "warning"), 0, "works, with 1 warning (folders place 1); begin with place 1: mend it"),
        (("broken", "warning"), 1, "broken: folders place 0; begin with place 0: mend it"),
    ],
)
def test_a_table_with_states_in_words_and_a_verdict(run, diagnosis, states, code, last):
    diagnosis(*states)
    found, out, error = run("doctor")
    assert (found, error) == (code, "")
    assert all(f"│ {state} " in out for state in states)
    assert out.splitlines()[-1] == last


def test_json_is_one_object(run, diagnosis):
    diagnosis("ok", "broken")
    code, out, error = run("doctor", "--json")
    assert (code, error) == (1, "")
    found = json.loads(out)
    assert found["state"] == "broken"
    assert [check["state"] for check in found["checks"]] == ["ok", "broken"]


def test_this_installation_works(run):
    code, out, error = run("doctor")
    assert (code, error) == (0, ""), out
    assert "known answer" in out
