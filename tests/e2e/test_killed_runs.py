"""Commands that are killed or asked to stop: nothing is lost, done again or torn.

Kills come at random moments, drawn with a seed.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from forked_commands import STEPS, check_complaint, check_whole, rubbish, sha256, states, summary

from mmccd.data.store import open_store

# --- R9, R10: train ---


def kill_training(start, arguments, model, *, kills, span_s):
    """Two of three kills come at any moment after the first step; the third while a checkpoint is being written.

    Returns how many came before the end, and how many of them left a checkpoint half-written.
    """
    logs = model / "training"
    rng = np.random.default_rng(0)
    hit = torn = 0
    for i in range(kills):
        running = start(*arguments)
        running.wait_until(running.has_said("train: "))
        if i % 3 == 2:
            running.wait_until(lambda: any(logs.glob(".last.ckpt*")))
        else:
            time.sleep(rng.uniform(0, span_s))
        hit += running.killed()
        torn += any(".last.ckpt" in path.name for path in rubbish(logs))
    return hit, torn


def test_a_training_killed_three_times_ends_with_the_same_bits(start, finish, training, whole, tmp_path):
    arguments = training(tmp_path / "model", "--resume")
    hit, _ = kill_training(start, arguments, tmp_path / "model", kills=3, span_s=1)
    assert hit >= 2
    code, said = finish(*arguments)
    assert code == 0, said
    assert sha256(tmp_path / "model" / "model.safetensors") == whole
    assert rubbish(tmp_path) == []


@pytest.mark.slow
def test_a_training_killed_twenty_times_ends_with_the_same_bits(start, finish, training, tmp_path):
    """The masked diffusion cycle draws noise at each step; early stopping counts validations."""
    more = ["--config", "fast", "--method", "mmccd"]
    settings = {"steps": 60, "validate_every": 3, "patience": 50, "loader_workers": 1}
    assert finish(*training(tmp_path / "whole", *more, **settings))[0] == 0
    arguments = training(tmp_path / "model", *more, "--resume", **settings)
    hit, torn = kill_training(start, arguments, tmp_path / "model", kills=20, span_s=2)
    print(f"{hit} of 20 kills before the end, {torn} of them within a checkpoint")
    assert hit >= 18
    assert torn >= 2
    assert finish(*arguments)[0] == 0
    assert sha256(tmp_path / "model" / "model.safetensors") == sha256(tmp_path / "whole" / "model.safetensors")
    assert rubbish(tmp_path) == []


def test_a_training_asked_to_stop_saves_the_step_it_is_at(start, finish, training, whole, tmp_path):
    running = start(*training(tmp_path, validate_every=STEPS))
    running.wait_until(running.has_said("train: "))
    os.kill(running.process.pid, signal.SIGTERM)
    assert running.ended() == 143
    assert re.search(r"warning: asked to stop: the state after step [1-6] is saved", running.said())
    assert "--resume" in check_complaint(running.said(), "stopped by SIGTERM")
    assert (tmp_path / "training" / "last.ckpt").is_file()
    code, said = finish(*training(tmp_path, "--resume", validate_every=STEPS))
    assert code == 0, said
    assert not re.search("train: 1/", said)
    assert sha256(tmp_path / "model.safetensors") == whole


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138)])
def test_the_installed_command_stops_when_asked(training, whole, tmp_path, number, code):
    """The whole group is asked, data workers too, as a terminal and SLURM do; SIGTERM would end the workers."""
    command = [sys.executable, "-m", "mmccd", *map(str, training(tmp_path, "--resume", loader_workers=2))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        for line in process.stderr:
            if line.startswith("train: "):
                break
        (os.kill if number == signal.SIGTERM else os.killpg)(process.pid, number)
        said = process.stderr.read()
    assert process.returncode == code, said
    assert "is saved, --resume goes on" in said
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sha256(tmp_path / "model.safetensors") == whole


# --- R10: predict ---


def check_kills_in_predict(start, finish, arguments, output, *, cases, kills, span_s):
    """How many kills came before the end; after each, results that were there are untouched and none is torn."""
    rng = np.random.default_rng(1)
    hit, before = 0, {}
    for i in range(kills):
        running = start(*arguments)
        running.wait_until(running.has_said("predict on") if i else lambda: any(output.glob("*.json")))
        time.sleep(rng.uniform(0, span_s))
        hit += running.killed()
        done = check_whole(output) if output.exists() else set()
        after = {
            path: state for path, state in states(output).items() if path.name.partition("_")[0].split(".")[0] in done
        }
        assert before.items() <= after.items()
        before = after
    code, said = finish(*arguments)
    assert code == 0, said
    assert before
    assert before.items() <= states(output).items()
    assert len(check_whole(output)) == len(summary(output)) == cases
    assert said.count("│ kept") == len({path.name.partition(".")[0].partition("_")[0] for path in before})
    assert rubbish(output) == []
    return hit


def test_a_predict_killed_three_times_loses_and_repeats_nothing(start, finish, model_folder, scans_of, tmp_path):
    arguments = ["predict", model_folder, scans_of(6), "-o", tmp_path / "out", "--device", "cpu"]
    hit = check_kills_in_predict(start, finish, arguments, tmp_path / "out", cases=6, kills=3, span_s=0.6)
    assert hit >= 2


@pytest.mark.slow
def test_a_predict_killed_twenty_times_loses_and_repeats_nothing(start, finish, model_folder, scans_of, tmp_path):
    arguments = ["predict", model_folder, scans_of(20), "-o", tmp_path / "out", "--device", "cpu"]
    hit = check_kills_in_predict(start, finish, arguments, tmp_path / "out", cases=20, kills=20, span_s=0.9)
    print(f"{hit} of 20 kills before the end")
    assert hit >= 18


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_predict_asked_to_stop_leaves_nothing_half_done(start, model_folder, scans_of, tmp_path, number):
    running = start("predict", model_folder, scans_of(30), "-o", tmp_path / "out", "--device", "cpu")
    running.wait_until(lambda: any(tmp_path.glob("out/*.json")))
    os.kill(running.process.pid, number)
    assert running.ended() == 128 + number
    assert "goes on where it stopped" in check_complaint(running.said(), "interrupted|stopped by SIGTERM")
    assert rubbish(tmp_path) == []
    assert 1 <= len(check_whole(tmp_path / "out")) < 30


# --- R10: prepare, benchmark ---


def check_kills_in_prepare(start, cohort, reference, folder, *, kills):
    """How many kills came before the end; after each, no worker lives on, and finished subjects stay as they are.

    They come within the time that a whole run takes on this machine. Where a run finishes in spite of all, the
    next one begins a store of its own.
    """
    rng = np.random.default_rng(2)
    hit, before, stores = 0, {}, [folder / "0"]

    def at_work():
        running = start("prepare", cohort, stores[-1], "--size", 48, "--modalities", "flair,t2", "--workers", 2)
        running.wait_until(lambda: len(running.children()) == 2)
        return running, running.children()

    running, _ = at_work()
    began = time.monotonic()
    assert running.ended() == 0, running.said()
    span_s = time.monotonic() - began
    stores.append(folder / "1")
    for _ in range(kills):
        running, workers = at_work()
        time.sleep(rng.uniform(0, span_s))
        hit += running.killed()
        assert psutil.wait_procs(workers, timeout=10)[1] == []
        after = states(stores[-1] / "parts") if (stores[-1] / "parts").exists() else {}
        after = {path: state for path, state in after.items() if not path.parts[0].startswith(".")}  # half-written
        if (stores[-1] / "manifest.json").exists():
            stores.append(folder / str(len(stores)))
            after = {}
        else:
            assert before.items() <= after.items()
        before = after
    running, _ = at_work()
    assert running.ended() == 0, running.said()
    for store in stores:
        assert open_store(store).digest == reference.digest
        open_store(store).verify()
    assert rubbish(stores[-1]) == []
    assert not (stores[-1] / "parts").exists()
    return hit


def test_a_prepare_killed_once_gives_the_same_store(start, phantom_folder, phantom_store, tmp_path):
    assert check_kills_in_prepare(start, phantom_folder, phantom_store, tmp_path, kills=1) == 1


@pytest.mark.slow
def test_a_prepare_killed_twenty_times_gives_the_same_store(start, phantom_folder, phantom_store, tmp_path):
    hit = check_kills_in_prepare(start, phantom_folder, phantom_store, tmp_path, kills=20)
    print(f"{hit} of 20 kills before the end")
    assert hit >= 12


@pytest.mark.slow
def test_a_benchmark_killed_six_times_gives_the_same_results(start, finish, store_of_three, toy_settings, tmp_path):
    settings = [text for key, value in toy_settings.items() for text in ("--set", f"{key}={json.dumps(value)}")]

    def arguments(output):
        chosen = ["--methods", "cyclic-unet,dae", "--sources", "flair", "--no-paper-sampler", "--device", "cpu"]
        return ["benchmark", store_of_three.path, output, *chosen, *settings]

    code, said = finish(*arguments(tmp_path / "whole"))
    assert code == 0, said
    rng = np.random.default_rng(3)
    hit, records = 0, {}
    for _ in range(6):
        running = start(*arguments(tmp_path / "killed"))
        running.wait_until(running.has_said("benchmark: "))
        time.sleep(rng.uniform(0, 6))
        hit += running.killed()
        scores = tmp_path / "killed" / "scores"
        after = states(scores) if scores.exists() else {}
        assert {
            path: state for path, state in records.items() if path.with_suffix(".json") in records
        }.items() <= after.items()
        records = after
    print(f"{hit} of 6 kills before the end")
    assert hit >= 4
    assert finish(*arguments(tmp_path / "killed"))[0] == 0
    for name in ("results.csv", "models/flair/dae/model.safetensors", "models/flair/cyclic-unet/model.safetensors"):
        assert sha256(tmp_path / "killed" / name) == sha256(tmp_path / "whole" / name), name
    assert rubbish(tmp_path / "killed") == []
