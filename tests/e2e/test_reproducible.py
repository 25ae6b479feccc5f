"""Two runs of the installed command give the same bytes; two processes the same weights as one, but for rounding."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmccd.data.volumes import read_volume
from mmccd.model.folder import load_model

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tmp_path):
    def call(*arguments, threads=1, hash_seed="0"):
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-m", "mmccd", *map(str, arguments)],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    return call


@pytest.fixture
def settings(toy_settings):
    def options(**changed):
        values = toy_settings | {key.replace("__", "."): value for key, value in changed.items()}
        return [part for key, value in values.items() for part in ("--set", f"{key}={value}")]

    return options


def digests(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).iterdir())
        if path.suffix in (".gz", ".safetensors", ".png")
    }


@pytest.mark.parametrize("method", ["mmccd", "cyclic-unet"])
def test_the_same_seed_gives_the_same_bytes(run, settings, phantom_store, lesioned_scan, tmp_path, method):
    for name, hash_seed in (("a", "1"), ("b", "2")):
        options = ("--config", "tiny", "--method", method, "--seed", 3, *settings(), "--device", "cpu", "-q")
        run("train", phantom_store.path, tmp_path / name, *options, hash_seed=hash_seed)
        run("predict", tmp_path / name, lesioned_scan, "-o", tmp_path / f"of_{name}", "--device", "cpu", "-q",
            hash_seed=hash_seed)  # fmt: skip
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert digests(tmp_path / "of_a") == digests(tmp_path / "of_b")
    assert len(digests(tmp_path / "of_a")) == 3
    cards = [json.loads((tmp_path / name / "card.json").read_text()) for name in "ab"]
    assert cards[0] == cards[1]


def test_batches_and_threads_change_a_map_by_rounding_only(run, model_folder, lesioned_scan, tmp_path):
    """The bytes hold for one batch size and one number of threads: sums are taken in another order otherwise."""
    maps = {}
    for name, batch, threads in (("usual", 16, 1), ("single", 1, 1), ("many", 64, 2)):
        run("predict", model_folder, lesioned_scan, "-o", tmp_path / name, "--batch-size", batch, "--device", "cpu",
            "-q", threads=threads)  # fmt: skip
        maps[name] = read_volume(tmp_path / name / "Phantom_0007_flair_anomaly.nii.gz").data
    assert maps["usual"].std() > 0.01
    for name in ("single", "many"):
        np.testing.assert_allclose(maps[name], maps["usual"], rtol=1e-4, atol=1e-4)


def relative_distance(one, other):
    ours, theirs = (
        np.concatenate([tensor.double().numpy().ravel() for tensor in load_model(folder).method.state_dict().values()])
        for folder in (one, other)
    )
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)), float(np.abs(ours - theirs).max())


def test_two_processes_train_as_one(run, settings, phantom_store, tmp_path):
    """By gloo on the CPU, in float32, with the same slices in each step.

    Without mirroring: each process draws its own. AdamW divides a gradient by its size, so where one is rounding and
    nothing else a weight moves by up to a learning rate per step; the norm over all weights is what is promised.
    """
    options = ("--config", "tiny", "--method", "cyclic-unet", *settings(training__flip_left_right=False), "-q")
    run("train", phantom_store.path, tmp_path / "one", *options, "--device", "cpu", "--devices", 1)
    run("train", phantom_store.path, tmp_path / "two", *options, "--device", "cpu", "--devices", 2, "--strategy", "ddp")
    run("train", phantom_store.path, tmp_path / "seed", *options, "--device", "cpu", "--devices", 1, "--seed", 1)

    norm, largest = relative_distance(tmp_path / "two", tmp_path / "one")
    print(f"relative distance {norm:.2e}, largest {largest:.2e}")
    assert norm < 1e-5
    assert largest < 1e-4
    assert relative_distance(tmp_path / "seed", tmp_path / "one")[0] > 0.1
