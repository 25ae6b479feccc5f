"""`--log-json`: what programs hear of every long command, whatever becomes of it."""

import json
import math
import shutil
from datetime import datetime

import pytest
import typer

from mmccd.cli.app import app, main
from mmccd.cli.bids_app import main as bids_main

LONG = {
    "benchmark", "calibrate", "demo", "evaluate", "fuse", "phantom", "predict", "prepare", "preprocess", "report",
    "train", "validate",
}  # fmt: skip


@pytest.fixture
def hear(capsys):
    """A function: run a command with `--log-json`; its exit code, and what it said, checked line by line."""

    def call(*arguments, program=main):
        code = program([*map(str, arguments), "--log-json"])
        events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        for event in events:
            assert datetime.fromisoformat(event["time"]).tzinfo is not None
            assert event["command"] == (arguments[0] if program is main else "mmccd-bids")
            if event["event"] == "progress":
                assert isinstance(event["step"], int)
                assert 0 <= event["step"] <= event["total"]
                assert event["eta_s"] is None or (math.isfinite(event["eta_s"]) and event["eta_s"] >= 0)
            elif event["event"] != "ended":
                assert event["level"] in ("warning", "error")
                assert event["message"]
                assert isinstance(event["hint"], str)
        assert (events[-1]["event"], events[-1]["exit_code"]) == ("ended", code)
        return code, events[:-1]

    return call


def reached(events):
    """The progress, of which the last step is the total."""
    steps = [event for event in events if event["event"] == "progress"]
    assert steps
    assert steps[-1]["step"] == steps[-1]["total"] > 0
    return steps


def cases(events):
    return {event["case"] for event in events if "case" in event}


def test_every_command_with_progress_has_it():
    commands = typer.main.get_command(app).commands
    options = {name: {text for one in command.params for text in one.opts} for name, command in commands.items()}
    assert {name for name, known in options.items() if "--log-json" in known} == LONG
    assert {name for name, known in options.items() if "--quiet" in known} == LONG


def test_cohorts(hear, inline, tmp_path):
    data = tmp_path / "data"
    code, events = hear("phantom", data, "--subjects", 2, "--lesions", 1, "--spacing", 4, "--workers", 1)
    assert code == 0
    names = {f"Phantom_000{n}" for n in (1, 2, 3)}
    assert cases(reached(events)) == names
    assert events[0]["stage"] == "phantom"
    for command in (
        ("validate", data, "--workers", 1),
        ("preprocess", data, tmp_path / "ready", "--strip", "never"),
        ("prepare", data, tmp_path / "store", "--size", 48, "--workers", 1),
    ):
        code, events = hear(*command)
        assert code == 0, events
        assert cases(reached(events)) == names


def test_models(hear, phantom_store, config_file, tmp_path):
    for seed in (1, 2):
        model, best = tmp_path / f"model{seed}", tmp_path / f"best{seed}"
        train = ("train", phantom_store.path, model, "--config", config_file, "--device", "cpu", "--seed", seed)
        code, events = hear(*train)
        assert code == 0, events
        steps = [one for one in reached(events) if "losses" in one]
        assert steps[-1]["step"] == 4
        assert {"train/forward", "validation/forward", "validation/cycle"} <= set(steps[-1]["losses"])
        assert all(math.isfinite(value) for value in steps[-1]["losses"].values())
        code, events = hear("calibrate", model, phantom_store.path, best, "--config", "best")
        assert code == 0, events
        assert reached(events)[-1]["stage"] == "calibrate"
    code, events = hear("fuse", phantom_store.path, tmp_path / "fused", tmp_path / "best1", tmp_path / "best2")
    assert code == 0, events
    reached(events)


def test_scans(hear, model_folder, phantom_folder, tmp_path):
    results = tmp_path / "results"
    split = ("--split", phantom_folder / "split.csv", "--device", "cpu", "--no-preview")
    code, events = hear("predict", model_folder, phantom_folder, "-o", results, *split)
    assert code == 0, events
    tested = cases(reached(events))
    assert len(tested) == 2
    code, events = hear("evaluate", results, phantom_folder, "-o", tmp_path / "tables", "--resamples", 100)
    assert code == 0, events
    assert cases(reached(events)) == tested
    code, events = hear("report", results, "-o", tmp_path / "report.html", "--no-viewer")
    assert code == 0, events
    assert cases(reached(events)) == tested


def test_a_case_that_failed_is_an_object_with_a_hint(hear, healthy_scan, model_folder, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    shutil.copy(healthy_scan, scans / "good.nii.gz")
    (scans / "bad.nii.gz").write_bytes(b"")
    code, events = hear("predict", model_folder, scans, "-o", tmp_path / "out", "--device", "cpu", "-q")
    assert code == 3
    (failed,) = events
    assert (failed["event"], failed["case"]) == ("failed", "bad")
    assert "is empty" in failed["message"]
    assert failed["hint"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("validate", "nowhere"), 4, "does not exist"),
        (("train",), 2, "Missing"),
        (("predict", "--nonsense"), 2, "No such option"),
        (("report", "nowhere", "-o", "report.html"), 4, "nowhere"),
    ],
)
def test_an_error_is_an_object_with_a_hint_and_the_exit_code_as_ever(run, hear, arguments, code, said):
    assert run(*arguments)[0] == code
    found, (error,) = hear(*arguments)
    assert found == code
    assert error["event"] == "error"
    assert said in error["message"]
    assert error["hint"]


def test_a_bug_is_an_object(hear, monkeypatch, tmp_path):
    def crash(*_, **__):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("mmccd.simulation.phantom.phantom", crash)
    code, (error,) = hear("phantom", tmp_path)
    assert code == 1
    assert "mmccd doctor" in error["hint"]


def test_the_steps_of_the_demo_and_of_a_benchmark_say_what_they_belong_to(hear, monkeypatch, store_of_three, tmp_path):
    from mmccd.comparison.benchmark import _training
    from mmccd.overview.demo import DemoResult, FirstResult
    from mmccd.system.progress import Doing

    def demo(output, *, progress_of, **_):
        with progress_of("train mmccd") as report:
            report(Doing("healthy error", losses={"train/x": 1.0}), 3, 3)
        return DemoResult({("t2", "MMCCD"): Table()}, output / "m.png", output / "r.html")

    def first_result(output, **_):
        return FirstResult(output / "first.html", output / "first.png")

    class Table:
        page = tmp_path

        @staticmethod
        def table(*_):
            return [["method", "Dice"], ["mmccd", "0.5"], ["intensity threshold", "0.4"]]

    def benchmark(*_, progress, **__):
        _training(progress, "flair: AE, row 1 of 1")(Doing("healthy error", losses={"train/x": 2.0}), 5, 5)
        progress("write", 1, 1)
        return Table()

    monkeypatch.setattr("mmccd.overview.demo.first_result", first_result)
    monkeypatch.setattr("mmccd.overview.demo.demo", demo)
    monkeypatch.setattr("mmccd.comparison.benchmark.benchmark", benchmark)
    code, (step,) = hear("demo", "-o", tmp_path)
    assert (code, step["stage"], step["losses"]) == (0, "train mmccd", {"train/x": 1.0})
    code, events = hear("benchmark", store_of_three.path, tmp_path / "out")
    assert code == 0
    assert [one["total"] for one in reached(events)] == [5, 1]
    assert events[0]["losses"] == {"train/x": 2.0}
    assert events[0]["what"] == "steps of flair: AE, row 1 of 1 healthy error"


def test_the_bids_app_has_it_too(hear, bids_folder, model_folder, tmp_path):
    given = (bids_folder, tmp_path / "out", "participant", "--model", model_folder, "--device", "cpu")
    code, events = hear(*given, program=bids_main)
    assert code == 0, events
    assert len(cases(reached(events))) == 2
    code, (error,) = hear(bids_folder, program=bids_main)
    assert code == 2
    assert error["hint"] == "see `mmccd-bids --help`"
