import errno
import resource
import sys

import numpy as np
import pytest
import torch

from mmccd.data.problems import Problem
from mmccd.errors import ConfigError
from mmccd.system import memory
from mmccd.system.memory import check_limit, is_lack_of_memory, lacking


def test_libraries_say_it_each_in_its_way():
    for take in (
        lambda: np.empty(2**60, np.uint8),
        lambda: torch.empty(2**60, dtype=torch.uint8),
        lambda: b"x" * 2**62,
    ):
        with pytest.raises((MemoryError, RuntimeError)) as caught:
            take()
        assert is_lack_of_memory(caught.value)
    assert is_lack_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_lack_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert is_lack_of_memory(ImportError("libtorch.so: failed to map segment from shared object"))
    assert is_lack_of_memory(RuntimeError("can't start new thread"))


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left"), RuntimeError("shapes"), ValueError("memory")]
)
def test_other_errors_are_none(error):
    assert not is_lack_of_memory(error)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_the_remedy_names_the_limit(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert lacking(MemoryError("2 GB"))[0] == "too little memory: 2 GB"
    assert "ulimit" not in lacking(MemoryError())[1]
    check_limit(10**6)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (512 * 2**20, resource.RLIM_INFINITY))
    assert lacking(MemoryError())[1].endswith("`ulimit -v` allows 512 MB here")
    check_limit(512)
    with pytest.raises(ConfigError, match="allows 512 MB, and this command needs 1000 MB at least") as caught:
        check_limit(1000)
    assert "ulimit -v unlimited" in caught.value.hint


def test_a_subject_fails_for_it_by_name():
    problem = Problem.of("P1", MemoryError())
    assert problem.what == "too little memory: MemoryError"
    assert "--workers" in problem.hint


def test_how_much_is_available(monkeypatch):
    files = {"/proc/meminfo": "MemTotal: 9 kB\nMemAvailable: 8388608 kB\n", "/sys/fs/cgroup/memory.max": "max\n"}

    def read(path):
        if str(path) not in files:
            raise FileNotFoundError(path)
        return files[str(path)]

    monkeypatch.setattr(memory.Path, "read_text", read)
    assert memory.available_mb() == 8192
    files["/sys/fs/cgroup/memory.max"] = f"{2**30}\n"
    assert memory.available_mb() == 1024
    files.clear()
    assert memory.available_mb() is None
