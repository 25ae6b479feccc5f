"""Commands that are killed, starved or run twice: nothing is lost, done again, torn, or left hanging.

Kills come at random moments, drawn with a seed. The commands run in forks of a process that has imported everything, so
that a kill costs the time of the work and not that of the imports.
"""

import csv
import gzip
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml

from mmccd.data.store import open_store
from mmccd.system.files import PARTIAL

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "mmccd.comparison.benchmark",
        "mmccd.prediction.detector",
        "mmccd.prediction.predict",
        "mmccd.data.prepare",
        "mmccd.training.train",
    ]
)
COMMAND = """
import codecs, multiprocessing, os, sys
from mmccd.cli.app import main
multiprocessing.set_start_method("fork", force=True)  # of data workers, as outside of a fork server
codecs.lookup("utf-8-sig")  # Python itself may lie where nobody may read
log = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
os.dup2(log, 1), os.dup2(log, 2)
if {as_nobody} and os.geteuid() == 0:  # permissions do not bind root
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
sys.exit(main({arguments!r}))
"""
PATIENCE_S = 150


@dataclass
class Running:
    """A command at work."""

    process: object
    log: Path

    def said(self):
        return self.log.read_text() if self.log.exists() else ""

    def has_said(self, text):
        return lambda: text in self.said()

    def wait_until(self, happened):
        """Until it happened, or the command has ended."""
        until = time.monotonic() + PATIENCE_S
        while self.process.is_alive() and not happened():
            assert time.monotonic() < until, self.said()
            time.sleep(0.0005)

    def children(self):
        """Its data workers or worker processes."""
        with suppress(psutil.NoSuchProcess):
            every = psutil.Process(self.process.pid).children()
            return [child for child in every if "resource_tracker" not in " ".join(child.cmdline())]
        return []

    def killed(self):
        """Whether the kill came before the end."""
        self.process.kill()
        return self.ended() == -signal.SIGKILL

    def ended(self):
        """Its exit code."""
        self.process.join(PATIENCE_S)
        assert not self.process.is_alive(), f"hangs: {self.said()}"
        return self.process.exitcode


@pytest.fixture(scope="module", autouse=True)
def hears_ctrl_c():
    """A shell has its background jobs ignore SIGINT, and what they start inherits that."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A function that starts a command; what still runs at the end is killed."""
    logs, begun = tmp_path_factory.mktemp("logs"), []

    def call(*arguments, as_nobody=False):
        log = logs / f"{len(begun)}.txt"
        code = COMMAND.format(log=str(log), arguments=[str(argument) for argument in arguments], as_nobody=as_nobody)
        process = CONTEXT.Process(target=exec, args=(code,))
        process.start()
        begun.append(process)
        return Running(process, log)

    yield call
    for process in begun:
        process.kill()
        process.join()


@pytest.fixture(scope="module")
def finish(start):
    """A function that runs a command to its end: its exit code and what it said."""

    def call(*arguments, **how):
        running = start(*arguments, **how)
        return running.ended(), running.said()

    return call


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def states(folder):
    """What would change if a file were written again, by name."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder): (path.stat().st_mtime_ns, sha256(path)) for path in files}


def rubbish(folder):
    return [path for path in folder.rglob(".*") if path.name.endswith((PARTIAL, ".lock"))]


def check_complaint(said, error):
    """One line of error, with a remedy, and nothing of Python."""
    assert "Traceback" not in said
    assert "this is a bug" not in said
    lines = [line for line in said.splitlines() if line.startswith(("error:", "hint:"))]
    assert len(lines) == 2, said
    assert re.search(error, lines[0]), said
    return lines[1]


# --- R9, R10: train ---

STEPS, VALIDATE_EVERY = 6, 4


@pytest.fixture(scope="module")
def training(phantom_store, toy_config, tmp_path_factory):
    """A function that gives the arguments of a training."""
    path = tmp_path_factory.mktemp("config") / "toy.yaml"
    path.write_text(yaml.safe_dump(toy_config.model_dump(mode="json")))

    def arguments(model, *more, **settings):
        settings = {"steps": STEPS, "validate_every": VALIDATE_EVERY} | settings
        named = [text for key, value in settings.items() for text in ("--set", f"training.{key}={value}")]
        return ["train", phantom_store.path, model, "--config", path, "--device", "cpu", *named, *more]

    return arguments


@pytest.fixture(scope="module")
def whole(finish, training, tmp_path_factory):
    """Digest of the weights of a training that nothing interrupts."""
    model = tmp_path_factory.mktemp("whole") / "model"
    code, said = finish(*training(model))
    assert code == 0, said
    return sha256(model / "model.safetensors")


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


@pytest.fixture
def scans_of(tmp_path, healthy_scan, lesioned_scan):
    """A function that fills a folder with so many scans."""

    def make(count):
        folder = tmp_path / "scans"
        folder.mkdir()
        for i in range(count):
            shutil.copy((healthy_scan, lesioned_scan)[i % 2], folder / f"case{i:02}.nii.gz")
        return folder

    return make


def check_whole(output):
    """All files that have a result's name are whole; the names of the cases with a record, which have all files."""
    for path in output.glob("[!.]*.nii.gz"):
        gzip.decompress(path.read_bytes())
    for path in output.glob("[!.]*.png"):
        assert path.read_bytes().endswith(b"IEND\xaeB`\x82")
    cases = {json.loads(path.read_text())["case"] for path in output.glob("[!.]*.json")}
    for case in cases:
        for end in ("_anomaly.nii.gz", "_mask.nii.gz", ".png"):
            assert (output / f"{case}{end}").is_file(), case
    return cases


def summary(output):
    with (output / "summary.csv").open(newline="") as stream:
        return {row["case"]: row for row in csv.DictReader(stream)}


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


# --- R11: full disks, folders without permission ---


@pytest.fixture
def open_folder():
    """A folder that everyone may enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwX", folder], check=True)
    shutil.rmtree(folder)


@pytest.fixture
def small_disk(tmp_path):
    """A function that makes a disk of so many MB."""
    made = []

    def make(megabytes):
        folder = tmp_path / "disk"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"NO FULL DISK CAN BE MADE HERE, mount needs root: {done.stderr}")
        made.append(folder)
        return folder

    yield make
    for folder in made:
        subprocess.run(["umount", folder], check=True)


def fill(folder):
    """Leave less than a page; the file to remove."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while stream.write(bytes(4096)):
            pass
    return filler


def test_a_training_on_a_full_disk_keeps_its_checkpoint(start, finish, training, whole, small_disk):
    model = small_disk(12) / "model"
    running = start(*training(model))
    running.wait_until((model / "training" / "last.ckpt").exists)
    filler = fill(model.parent)
    checkpoint = sha256(model / "training" / "last.ckpt")
    assert running.ended() == 4, running.said()
    check_complaint(running.said(), "cannot write .*No space left on device")
    assert sha256(model / "training" / "last.ckpt") == checkpoint
    filler.unlink()
    code, said = finish(*training(model, "--resume"))
    assert code == 0, said
    assert sha256(model / "model.safetensors") == whole


def test_a_predict_on_a_full_disk_keeps_what_was_there(finish, model_folder, scans_of, small_disk):
    disk, scans = small_disk(1), scans_of(2)
    arguments = ["predict", model_folder, scans, "-o", disk / "out", "--device", "cpu"]
    assert finish(*arguments)[0] == 0
    fill(disk)
    before = states(disk / "out")
    code, said = finish(*arguments, "--overwrite")
    assert code == 4, said
    check_complaint(said, "cannot write .*No space left on device")
    assert states(disk / "out") == before
    assert rubbish(disk) == []


def test_a_prepare_on_a_full_disk_leaves_no_subject_out(finish, phantom_folder, phantom_store, small_disk):
    disk = small_disk(1)
    filler = fill(disk)
    arguments = ["prepare", phantom_folder, disk / "store", "--size", 48, "--modalities", "flair,t2", "--workers", 1]
    code, said = finish(*arguments)
    assert code == 4, said
    check_complaint(said, "cannot write .*No space left on device")
    assert not (disk / "store" / "manifest.json").exists()
    filler.unlink()


@pytest.mark.parametrize("command", ["predict", "train", "prepare", "calibrate", "evaluate"])
def test_a_folder_that_may_not_be_written(
    finish, open_folder, model_folder, phantom_store, phantom_folder, training, healthy_scan, command
):
    for name, folder in (("model", model_folder), ("store", phantom_store.path), ("data", phantom_folder)):
        shutil.copytree(folder, open_folder / name)
    kept = open_folder / "kept"
    assert finish("predict", open_folder / "model", healthy_scan, "-o", kept, "--device", "cpu")[0] == 0
    before = states(kept)
    kept.chmod(0o555)
    arguments = {
        "predict": [open_folder / "model", open_folder / "data", "-o", kept, "--device", "cpu", "--overwrite"],
        "train": [open_folder / "store", kept / "new", "--config", "tiny", "--target", "t2", "--device", "cpu"],
        "prepare": [open_folder / "data", kept / "new", "--size", 48],
        "calibrate": [open_folder / "model", open_folder / "store", kept / "new", "--device", "cpu"],
        "evaluate": [kept, open_folder / "data", "-o", kept / "new", "--resamples", 100],
    }[command]
    code, said = finish(command, *arguments, as_nobody=True)
    assert code == 4, said
    check_complaint(said, "cannot write .*/kept.*Permission denied")
    assert states(kept) == before


@pytest.mark.parametrize("unreadable", ["store/manifest.json", "store/flair.npy", "data", "model/card.json"])
def test_what_may_not_be_read_is_named(finish, open_folder, model_folder, phantom_store, phantom_folder, unreadable):
    for name, folder in (("model", model_folder), ("store", phantom_store.path), ("data", phantom_folder)):
        shutil.copytree(folder, open_folder / name)
    (open_folder / "new").mkdir()
    (open_folder / "new").chmod(0o777)
    (open_folder / unreadable).chmod(0)
    arguments = {
        "store": ["train", open_folder / "store", open_folder / "new", "--config", "tiny", "--target", "t2"],
        "data": ["prepare", open_folder / "data", open_folder / "new", "--size", 48],
        "model": ["predict", open_folder / "model", open_folder / "data", "-o", open_folder / "new"],
    }[unreadable.partition("/")[0]]
    code, said = finish(*arguments, as_nobody=True)
    assert code in (2, 4), said
    name = re.escape(Path(unreadable).name)
    check_complaint(said, rf"Permission denied.*{name}|{name}.*(Permission denied|is not readable)")


def test_results_that_lead_to_a_full_device(finish, model_folder, healthy_scan, tmp_path):
    """A file that is a link is replaced and not written through; a device is no folder."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.csv").symlink_to("/dev/full")
    assert finish("predict", model_folder, healthy_scan, "-o", out, "--device", "cpu")[0] == 0
    assert len(summary(out)) == 1
    code, said = finish("predict", model_folder, healthy_scan, "-o", "/dev/full", "--device", "cpu")
    assert code == 2
    check_complaint(said, "/dev/full is not a folder, results need one")


def test_output_that_cannot_be_printed_is_said():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mmccd", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 4
    check_complaint(done.stderr, "No space left on device|standard output takes no more")


# --- R12: two processes ---


def test_two_trainings_in_one_folder(start, finish, training, tmp_path):
    first = start(*training(tmp_path / "model", steps=600))
    first.wait_until(first.has_said("train: "))
    code, said = finish(*training(tmp_path / "model", "--resume", steps=600))
    assert code == 2, said
    hint = check_complaint(said, rf"another mmccd process \(pid {first.process.pid} on .* since 20.*\) works in")
    assert "wait until it has ended" in hint
    assert first.killed()  # it went on undisturbed


def test_two_predicts_share_a_folder_and_the_work(start, model_folder, scans_of, tmp_path):
    scans = scans_of(5)
    (scans / "empty.nii.gz").write_bytes(b"")
    arguments = ["predict", model_folder, scans, "-o", tmp_path / "out", "--device", "cpu"]
    both = [start(*arguments) for _ in range(2)]
    assert [running.ended() for running in both] == [3, 3]
    done = [running.said().count("│ done") for running in both]
    assert sum(done) == 5
    assert min(done) >= 1
    assert {case: row["status"] == "failed" for case, row in summary(tmp_path / "out").items()} == {
        "empty": True, **{f"case{i:02}": False for i in range(5)}
    }  # fmt: skip
    assert len(check_whole(tmp_path / "out")) == 5
    assert rubbish(tmp_path / "out") == []


# --- R13: dead workers ---


def test_a_dead_data_worker_ends_the_training(start, finish, training, whole, tmp_path):
    running = start(*training(tmp_path, loader_workers=2))
    running.wait_until(running.has_said("train: "))
    started = time.monotonic()
    running.children()[0].kill()
    assert running.ended() == 4, running.said()
    assert time.monotonic() - started < 60
    assert "loader_workers=0" in check_complaint(running.said(), r"a data worker died at step \d")
    code, said = finish(*training(tmp_path, "--resume", loader_workers=0))
    assert code == 0, said
    assert sha256(tmp_path / "model.safetensors") == whole


def test_a_dead_worker_ends_prepare_with_the_subject_named(start, finish, phantom_folder, phantom_store, tmp_path):
    arguments = ["prepare", phantom_folder, tmp_path, "--size", 48, "--modalities", "flair,t2", "--workers", 1]
    running = start(*arguments)
    running.wait_until(lambda: any((tmp_path / "parts").glob(f".Phantom_0003*{PARTIAL}")))
    started = time.monotonic()
    running.children()[0].kill()
    assert running.ended() == 4, running.said()
    assert time.monotonic() - started < 60
    assert "--workers 1" in check_complaint(running.said(), r"a worker died; in work were Phantom_000\d")
    before = states(tmp_path / "parts")
    assert {path.parts[0] for path in before} >= {"Phantom_0001", "Phantom_0002"}
    code, said = finish(*arguments)
    assert code == 0, said
    assert open_store(tmp_path).digest == phantom_store.digest
