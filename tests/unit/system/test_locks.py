"""One process at a time where two would spoil each other's work."""

import errno
import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mmccd.comparison.benchmark import benchmark
from mmccd.comparison.plan import Plan
from mmccd.data.cohort import read_cohort
from mmccd.data.prepare import prepare
from mmccd.data.slices import StoreSettings
from mmccd.data.splits import Split
from mmccd.errors import ClaimLost, ConfigError, LockError, MmccdWarning, WriteError
from mmccd.simulation.phantom import phantom
from mmccd.system.claims import take
from mmccd.system.locks import one_at_a_time, sole_use
from mmccd.training.calibrate import calibrate
from mmccd.training.fuse import fuse


def test_a_folder_in_use_is_refused_with_who_uses_it(tmp_path):
    with sole_use(tmp_path / "out"):
        facts = rf"\(pid {os.getpid()} on .+ since 2.+\) works in .*out"
        with pytest.raises(ConfigError, match=facts) as caught, sole_use(tmp_path / "out"):
            pass
        assert "another output folder" in caught.value.hint
        (tmp_path / "out" / "result").touch()
    with sole_use(tmp_path / "out"):
        pass
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["result"]


def test_a_folder_that_was_made_for_nothing_goes_again(tmp_path):
    with pytest.raises(KeyError), sole_use(tmp_path / "out"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_lock_ends_with_a_killed_process_and_its_half_files_go(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from mmccd.system.locks import sole_use\n"
        f"with sole_use(Path({str(tmp_path)!r})): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / ".a.json.abcdefgh.partial").touch()
        (tmp_path / ".case.abcdefgh.partial").mkdir()
        (tmp_path / ".hidden").touch()
        with pytest.raises(ConfigError, match=f"pid {process.pid} "), sole_use(tmp_path):
            pass
        process.kill()
        process.wait()
    assert (tmp_path / ".mmccd.lock").exists()
    with sole_use(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".hidden", "deep"]


@pytest.mark.parametrize("lock", [".mmccd.lock", ".case.lock"])
def test_half_files_of_a_command_in_a_subfolder_stay(tmp_path, lock):
    for folder in ("mine", "other", "other/deep"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / ".a.json.abcdefgh.partial").touch()
        (tmp_path / folder / ".case.abcdefgh.partial").mkdir()
    (tmp_path / "other" / lock).touch()
    with sole_use(tmp_path):
        pass
    half = [path for path in tmp_path.rglob("*.partial")]
    assert {path.parent.name for path in half} == {"other", "deep"}
    assert len(half) == 4


def test_cases_are_locked_one_by_one(tmp_path):
    order = []

    def other():
        with one_at_a_time(tmp_path, "a", wait=False) as claim:
            order.append(bool(claim))
        with one_at_a_time(tmp_path, "b", wait=False) as claim:
            order.append(bool(claim))
        with one_at_a_time(tmp_path, "a", wait=True) as claim:
            order.append(bool(claim))

    with one_at_a_time(tmp_path, "a", wait=False) as claim:
        assert claim
        thread = threading.Thread(target=other)
        thread.start()
        while len(order) < 2:
            time.sleep(0.01)
        time.sleep(0.1)
        assert order == [False, True]
    thread.join()
    assert order == [False, True, True]
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_of_a_case_goes_without_a_look_at_the_others(tmp_path, monkeypatch):
    dead = {"token": "0badcafe", "pid": 1, "host": "gone", "expires_s": 0.1}
    for name in ("a[1]", "a1", "a[1].b"):
        (tmp_path / f".{name}.0badcafe.partial" / "deep").mkdir(parents=True)
    (tmp_path / ".a[1].lock").write_text(json.dumps(dead))
    monkeypatch.setattr("os.listdir", None)
    with one_at_a_time(tmp_path, "a[1]", wait=True):
        pass
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a1.0badcafe.partial", ".a[1].b.0badcafe.partial"]


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"cannot write .*file"), sole_use(tmp_path / "file"):
        pass


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_disk_that_cannot_lock_is_named_as_such(tmp_path, monkeypatch, number):
    def fails(path):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("mmccd.system.locks.take", fails)
    with pytest.raises(LockError, match=f"cannot lock .*{os.strerror(number)}") as refused, sole_use(tmp_path):
        pass
    assert "make space" not in str(refused.value) + refused.value.hint
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


def test_who_waits_says_for_whom(tmp_path, monkeypatch):
    monkeypatch.setattr("mmccd.system.locks.SAID_AFTER_S", 0.1)
    threading.Timer(0.5, take(tmp_path / ".here.lock").release).start()
    near = f"waits for here, which pid {os.getpid()} on {socket.gethostname()} works on since .*[0-9]$"
    with pytest.warns(MmccdWarning, match=near), one_at_a_time(tmp_path, "here", wait=True) as claim:
        assert claim
    facts = {"token": "0badcafe", "pid": 1, "host": "node7", "since": "May", "expires_s": 0.6}
    (tmp_path / ".there.lock").write_text(json.dumps(facts))
    far = (
        r"for there, which pid 1 on node7 works on since May; no sign of life for 0 s, and after 1 s it counts as dead"
    )
    with pytest.warns(MmccdWarning, match=far), one_at_a_time(tmp_path, "there", wait=True) as claim:
        assert claim


def test_a_folder_of_another_machine_is_refused_once_that_gives_a_sign_of_life(tmp_path):
    lock = tmp_path / ".mmccd.lock"
    lock.write_text(json.dumps({"token": "0badcafe", "pid": 12, "host": "node7", "since": "May", "expires_s": 30}))
    sign = threading.Timer(0.3, os.utime, [lock])
    sign.start()
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"\(pid 12 on node7 since May\)"), sole_use(tmp_path):
        pass
    assert 0.2 < time.monotonic() - began < 5
    assert lock.exists()


def test_a_folder_of_a_dead_machine_is_free_once_its_lock_expires(tmp_path):
    lock = tmp_path / ".mmccd.lock"
    lock.write_text(json.dumps({"token": "0badcafe", "pid": 12, "host": "node7", "since": "May", "expires_s": 0.5}))
    began = time.monotonic()
    with sole_use(tmp_path):
        assert time.monotonic() - began > 0.4
    assert list(tmp_path.iterdir()) == []


def test_what_ends_after_another_took_over_is_no_success(tmp_path):
    def replace():
        (tmp_path / ".mmccd.lock").write_text(json.dumps({"token": "0badcafe"}))

    with pytest.raises(ClaimLost, match=r"\.mmccd\.lock in .* is no longer this process's"), sole_use(tmp_path):
        replace()
    assert "0badcafe" in (tmp_path / ".mmccd.lock").read_text()
    (tmp_path / ".mmccd.lock").unlink()
    with pytest.raises(FileNotFoundError), sole_use(tmp_path):
        raise FileNotFoundError("while it has the folder")

    def lost():
        with sole_use(tmp_path):
            replace()
            raise FileNotFoundError("as the other one has removed the file")

    with pytest.raises(ClaimLost):
        lost()


@pytest.mark.parametrize("command", ["phantom", "prepare", "calibrate", "fuse", "benchmark"])
def test_commands_keep_out_of_a_folder_in_use(tmp_path, phantom_folder, store_of_three, model_folder, command):
    run = {
        "phantom": lambda out: phantom(out, subjects=1, lesions=0, spacing_mm=4.0, workers=1),
        "prepare": lambda out: prepare(
            read_cohort(phantom_folder), Split(train=("Phantom_0001",)), out, StoreSettings("volume", 48, ("flair",))
        ),
        "calibrate": lambda out: calibrate(model_folder, store_of_three, out),
        "fuse": lambda out: fuse([model_folder, model_folder], store_of_three, out),
        "benchmark": lambda out: benchmark(store_of_three, out, Plan(device="cpu")),
    }[command]
    with sole_use(tmp_path), pytest.raises(ConfigError, match="another mmccd process"):
        run(Path(tmp_path))
