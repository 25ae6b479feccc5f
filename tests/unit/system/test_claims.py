"""Lock files on disks with and without locks of the system: who has them, who has died, and who may say so."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from mmccd.errors import ClaimLost
from mmccd.system import claims, lives
from mmccd.system.claims import Claim, Found, look, take

EXPIRES_S = 1.0
OTHER = """
import os, sys, time
from pathlib import Path
from mmccd.system import claims, lives
from mmccd.system.claims import Claim, take
claims.EXPIRES_S = {expires_s}
{node}
"""
WITHOUT_FLOCK = """
def refused(*_, **__): raise OSError(95, "Operation not supported")
lives.lock_descriptor = refused
"""
ANOTHER_NODE = WITHOUT_FLOCK + "lives._kernel = lambda: f'node {os.getpid()}'\n"
HOLDS = """
claim = take(Path({path!r}))
print('held', flush=True)
sys.stdin.readline()
try:
    claim.check()
    print('mine', flush=True)
except Exception as error:
    print(type(error).__name__, flush=True)
claim.release()
"""


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(claims, "EXPIRES_S", EXPIRES_S)
    monkeypatch.setattr(lives, "_EXCLUDES", {})


@pytest.fixture(params=["refused", "not implemented", "keeps nobody out"])
def no_flock(request, monkeypatch):
    """A disk without locks of the system, as NFS and Lustre may be, or one whose locks mean nothing."""

    def lock(descriptor, *, blocking):
        if request.param == "keeps nobody out":
            return True
        number = errno.ENOLCK if request.param == "refused" else errno.ENOSYS
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lives, "lock_descriptor", lock)


@contextmanager
def holder(path, node=""):
    code = OTHER.format(expires_s=EXPIRES_S, node=node) + HOLDS.format(path=str(path))
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def taken_after(path):
    """Seconds until it could be had."""
    began = time.monotonic()
    while not isinstance(claim := take(path), Claim):
        assert time.monotonic() - began < 30 * EXPIRES_S
        time.sleep(0.02)
    claim.release()
    assert list(path.parent.iterdir()) == []
    return time.monotonic() - began


def test_one_has_it_until_it_is_released(tmp_path):
    path = tmp_path / ".a.lock"
    claim = take(path)
    assert isinstance(claim, Claim)
    other = take(path)
    assert isinstance(other, Found)
    assert (other.token, other.facts["pid"], other.facts["flock"]) == (claim.token, os.getpid(), True)
    claim.check()
    claim.release()
    assert taken_after(path) < EXPIRES_S / 2


def test_a_disk_without_flock_keeps_others_out_too(tmp_path, no_flock):
    path = tmp_path / ".a.lock"
    with holder(path, WITHOUT_FLOCK) as process:
        until = time.monotonic() + 2.5 * EXPIRES_S
        while time.monotonic() < until:  # it gives signs of life
            assert isinstance(take(path), Found)
            time.sleep(0.02)
        print(file=process.stdin, flush=True)
        assert process.stdout.readline() == "mine\n"
        assert taken_after(path) < EXPIRES_S / 2
    claim = take(path)
    assert look(path).facts["flock"] is False
    claim.release()


@pytest.mark.parametrize("node", ["", WITHOUT_FLOCK])
def test_what_a_killed_process_of_this_machine_had_is_free_at_once(tmp_path, node):
    path = tmp_path / ".a.lock"
    with holder(path, node) as process:
        process.kill()
        process.wait()
        assert path.exists()
        assert taken_after(path) < EXPIRES_S / 2


def test_what_a_killed_process_of_another_machine_had_expires(tmp_path):
    path = tmp_path / ".a.lock"
    with holder(path, ANOTHER_NODE) as process:
        process.kill()
        process.wait()
        assert EXPIRES_S / 2 < taken_after(path) < 4 * EXPIRES_S


def test_a_process_that_stands_still_keeps_its_lock_on_this_machine(tmp_path):
    path = tmp_path / ".a.lock"
    with holder(path) as process:
        process.send_signal(signal.SIGSTOP)
        until = time.monotonic() + 2 * EXPIRES_S
        while time.monotonic() < until:
            assert isinstance(take(path), Found)
            time.sleep(0.05)
        process.send_signal(signal.SIGCONT)
        print(file=process.stdin, flush=True)
        assert process.stdout.readline() == "mine\n"


def test_a_process_that_stood_still_elsewhere_notices_that_it_was_taken_for_dead(tmp_path):
    path = tmp_path / ".a.lock"
    with holder(path, ANOTHER_NODE) as process:
        process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        while not isinstance(claim := take(path), Claim):
            assert time.monotonic() - began < 30 * EXPIRES_S
            time.sleep(0.02)
        process.send_signal(signal.SIGCONT)
        print(file=process.stdin, flush=True)
        assert process.stdout.readline() == "ClaimLost\n"
        process.wait()
        assert look(path).token == claim.token  # it released nothing of others
        claim.check()
        claim.release()


def written(path, **facts):
    path.write_text(json.dumps({"token": "0badcafe", "expires_s": EXPIRES_S, **facts}))


def own(path):
    """What a claim of this process says."""
    claim = take(path)
    facts = look(path).facts
    claim.release()
    return facts


def dead_pid():
    with subprocess.Popen(["true"]) as process:
        return process.pid


@pytest.mark.parametrize(
    ("other", "at_once"),
    [
        ({}, True),
        ({"pids": "pid:[4026530000]"}, False),  # a container: its process 7 may live
        ({"kernel": "another machine of the same name"}, False),
        ({"kernel": None, "pids": None}, False),
        ({"device": -1}, True),  # another mount of the disk
    ],
)
def test_a_number_counts_only_where_it_means_the_process(tmp_path, no_flock, other, at_once):
    path = tmp_path / ".a.lock"
    facts = own(path) | {"pid": dead_pid()} | other
    written(path, **(facts | {"token": "0badcafe"}))
    assert (taken_after(path) < EXPIRES_S / 2) == at_once


def test_a_number_that_was_given_again_is_another_process(tmp_path, no_flock):
    path = tmp_path / ".a.lock"
    facts = own(path)
    written(path, **(facts | {"token": "0badcafe", "begun": facts["begun"] - 1}))
    assert taken_after(path) < EXPIRES_S / 2


def test_a_container_on_this_machine_is_asked_by_the_system_lock(tmp_path):
    path = tmp_path / ".a.lock"
    facts = own(path) | {"token": "0badcafe", "pids": "pid:[4026530000]", "pid": 1}
    written(path, **facts)
    assert taken_after(path) < EXPIRES_S / 2
    written(path, **(facts | {"device": -1}))  # which says nothing of another mount of the disk
    assert taken_after(path) > EXPIRES_S / 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"token": "../../etc", "expires_s": -1}', "[" * 5000])
def test_a_file_that_says_nothing_expires(tmp_path, monkeypatch, content):
    path = tmp_path / ".a.lock"
    path.write_text(content)
    assert EXPIRES_S / 2 < taken_after(path) < 4 * EXPIRES_S


def test_age_is_told_by_the_clock_of_the_disk(tmp_path, monkeypatch):
    path = tmp_path / ".a.lock"
    written(path, expires_s=30)
    ahead = path.stat().st_mtime_ns + 3600 * 10**9
    os.utime(path, ns=(ahead, ahead))
    monkeypatch.setattr(claims, "_clock", lambda folder: ahead + 10**9)  # of a server an hour ahead
    found = look(path)
    assert 1 <= found.silent_s() < 3
    assert isinstance(take(path), Found)


def test_long_silence_must_go_on_while_one_looks(tmp_path):
    path = tmp_path / ".a.lock"
    written(path, expires_s=3)
    os.utime(path, (1, 1))  # all seem dead after a disk that stood still for everybody
    assert isinstance(take(path), Found)
    os.utime(path)
    time.sleep(0.6)
    assert isinstance(take(path), Found)
    os.utime(path, (1, 1))
    assert isinstance(take(path), Found)
    assert 0.3 < taken_after(path) < 2.5


def test_of_two_that_find_a_process_dead_one_takes_its_place(tmp_path, monkeypatch):
    path, together, had = tmp_path / ".a.lock", threading.Barrier(6), []

    def breaker():
        together.wait()
        had.append(take(path))

    for _ in range(40):
        written(path, **(own(path) | {"token": "0badcafe", "pid": dead_pid()}))
        had.clear()
        threads = [threading.Thread(target=breaker) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        mine = [claim for claim in had if isinstance(claim, Claim)]
        assert len(mine) <= 1
        if not mine:  # those who lost the right to remove it were too early to see it gone
            mine = [take(path)]
        mine[0].check()
        mine[0].release()
        assert list(tmp_path.iterdir()) == []


def test_a_breaker_that_is_late_leaves_what_came_after(tmp_path):
    path = tmp_path / ".a.lock"
    written(path, pid=1)
    late = look(path)
    path.unlink()
    claim = take(path)
    assert not claims._remove(path, late.token, lambda now: now.token == late.token)
    claim.check()
    claim.release()


def test_a_breaker_that_was_killed_stops_nobody(tmp_path):
    path = tmp_path / ".a.lock"
    facts = own(path) | {"pid": dead_pid()}
    written(path, **(facts | {"token": "0badcafe"}))
    written(tmp_path / ".a.0badcafe.lock", **(facts | {"token": "deadbeef"}))
    assert taken_after(path) < EXPIRES_S / 2


def test_a_removed_file_is_noticed(tmp_path):
    path = tmp_path / ".a.lock"
    claim = take(path)
    path.unlink()
    with pytest.raises(ClaimLost, match="somebody removed the file"):
        claim.check()
    claim.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_given_back_late_removes_no_other(tmp_path):
    path = tmp_path / ".a.lock"
    claim = take(path)
    claim._last -= EXPIRES_S
    written(path, pid=1)
    claim.release()
    assert look(path).token == "0badcafe"
    path.unlink()
    assert list(tmp_path.iterdir()) == []


WORKS = """
folder, names = Path({folder!r}), {names!r}
while not all((folder / f"{{name}}.done").exists() for name in names):
    for name in names:
        if (folder / f"{{name}}.done").exists():
            continue
        claim = take(folder / f".{{name}}.lock")
        if not isinstance(claim, Claim):
            continue
        if not (folder / f"{{name}}.done").exists():
            (folder / f"{{name}}.at-work").write_text(claim.token)
            time.sleep(0.03)
            if (folder / f"{{name}}.at-work").read_text() != claim.token:
                (folder / f"{{name}}.twice").touch()
            claim.check()
            with open(folder / f"{{name}}.done", "a") as stream:
                stream.write(claim.token)
        claim.release()
    time.sleep(0.01)
"""


def test_many_processes_some_of_them_killed_lose_nothing_and_do_nothing_twice(tmp_path):
    names = [f"case{number}" for number in range(30)]
    code = OTHER.format(expires_s=EXPIRES_S, node=ANOTHER_NODE) + WORKS.format(folder=str(tmp_path), names=names)
    workers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(5)]
    try:
        for worker in workers[:2]:
            done = len(list(tmp_path.glob("*.done")))
            until = time.monotonic() + 30
            while not (len(list(tmp_path.glob("*.done"))) > done + 3 and list(tmp_path.glob(".*.lock"))):
                assert time.monotonic() < until
                time.sleep(0.005)
            worker.kill()
        assert [worker.wait(60) for worker in workers[2:]] == [0, 0, 0]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert not list(tmp_path.glob("*.twice"))
    assert all(len((tmp_path / f"{name}.done").read_text()) == 8 for name in names)
    assert not list(tmp_path.glob(".*"))
