"""Commands that are starved, run twice or lose a worker: nothing is lost, done again, torn, or left hanging."""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from forked_commands import check_complaint, check_whole, rubbish, sha256, states, summary

from mmccd.data.store import open_store
from mmccd.system.files import PARTIAL

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
    assert {"Phantom_0001", "Phantom_0002"} <= {path.parts[0] for path in before}
    code, said = finish(*arguments)
    assert code == 0, said
    assert open_store(tmp_path).digest == phantom_store.digest
