"""Whether a process lives, told from what it said of itself."""

import errno
import json
import os
import subprocess
import sys

import pytest

from mmccd.system import lives
from mmccd.system.lives import (
    has_ended,
    has_system_lock,
    is_numbered_here,
    is_under_this_kernel,
    own_life,
    take_system_lock,
)


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """A file and a descriptor of it, on a disk of which nothing is known yet."""
    monkeypatch.setattr(lives, "_EXCLUDES", {})
    path = tmp_path / "file"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    yield descriptor, path
    os.close(descriptor)


def test_this_process_lives_here():
    life = own_life()
    assert life["pid"] == os.getpid()
    assert is_under_this_kernel(life)
    assert is_numbered_here(life)
    assert not has_ended(life)


def test_another_process_lives_until_it_ends():
    code = "import json; from mmccd.system.lives import own_life; print(json.dumps(own_life()), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        life = json.loads(process.stdout.readline())
        assert is_numbered_here(life)
        assert not has_ended(life)
        assert has_ended(life | {"begun": life["begun"] - 1})  # a later one of the same number
        assert not has_ended(life | {"begun": None})
    assert has_ended(life)


@pytest.mark.parametrize("number", [None, "1", 0, -1, 2**70])
def test_what_is_no_number_of_a_process_has_not_ended(number):
    assert not has_ended({"pid": number, "begun": 1})


def test_numbers_mean_nothing_in_another_namespace_or_on_another_machine(monkeypatch):
    life = own_life()
    assert not is_numbered_here(life | {"pids": "pid:[1]"})
    assert is_under_this_kernel(life | {"pids": "pid:[1]"})
    assert not is_numbered_here(life | {"kernel": "another"})
    monkeypatch.setattr(lives, "_pids", lambda: None)  # a system that does not say
    assert not is_numbered_here(own_life())
    monkeypatch.setattr(lives, "_kernel", lambda: None)
    assert not is_under_this_kernel(own_life())


def test_the_lock_of_the_system_is_seen_and_ends_with_the_descriptor(opened):
    descriptor, path = opened
    assert has_system_lock(path) is False
    assert take_system_lock(descriptor, path)
    assert has_system_lock(path) is True
    assert has_system_lock(path.with_name("none")) is None


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_disk_without_locks_is_found_out_by_the_first_one(opened, monkeypatch, number):
    asked = []

    def refused(descriptor, *, blocking):
        asked.append(descriptor)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lives, "lock_descriptor", refused)
    assert not take_system_lock(*opened)
    assert not take_system_lock(*opened)
    assert len(asked) == 1
    assert has_system_lock(opened[1]) is None


def test_a_disk_whose_locks_keep_nobody_out_has_none(opened, monkeypatch):
    monkeypatch.setattr(lives, "lock_descriptor", lambda descriptor, blocking: True)
    assert not take_system_lock(*opened)
