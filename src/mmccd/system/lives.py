"""Whether the process that wrote a lock file lives, where this machine can tell; and the system's own locks."""

import os
import socket
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from filelock import lock_descriptor

_EXCLUDES: dict[int, bool] = {}
"""Whether the system's locks keep others out, by disk: found out by the first lock there."""


def own_life() -> dict[str, Any]:
    """What others need to know of this process: who it is, and where its number means it."""
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": f"{datetime.now():%Y-%m-%d %H:%M}",
        "kernel": _kernel(),
        "pids": _pids(),
        "begun": _begun(os.getpid()),
    }


def is_under_this_kernel(life: dict[str, Any]) -> bool:
    """Whether a process runs, or ran, on this machine since it was started; in whichever container."""
    return _kernel() is not None and life.get("kernel") == _kernel()


def is_numbered_here(life: dict[str, Any]) -> bool:
    """Whether its number means it here: containers count their processes for themselves."""
    return is_under_this_kernel(life) and _pids() is not None and life.get("pids") == _pids()


def has_ended(life: dict[str, Any]) -> bool:
    """Whether a process that is numbered here has ended; one of the same number that began later is another."""
    number, begun = life.get("pid"), life.get("begun")
    if not isinstance(number, int) or number < 1:
        return False
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    now = _begun(number)
    return None not in (now, begun) and now != begun


def take_system_lock(descriptor: int, path: Path) -> bool:
    """Have the system's lock of a file that this process has just made, which ends with it.

    Returns:
        False where the disk has no such locks, or some that keep nobody out.
    """
    device = os.fstat(descriptor).st_dev
    if device not in _EXCLUDES:
        _EXCLUDES[device] = _locked(descriptor) and has_system_lock(path) is True
    return _EXCLUDES[device] and _locked(descriptor)


def has_system_lock(path: Path) -> bool | None:
    """Whether a process has the system's lock of a file; None where the system does not say."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return not lock_descriptor(descriptor, blocking=False)
        finally:
            os.close(descriptor)
    return None


def _locked(descriptor: int) -> bool:
    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError:  # NFS without its lock service, Lustre without -o flock, some of FUSE
        return False


@cache
def _kernel() -> str | None:
    """Drawn anew whenever a machine is started."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None


def _pids() -> str | None:
    """The namespace that numbers processes for this one."""
    with suppress(OSError):
        if Path("/proc/self").readlink().name == str(os.getpid()):  # else /proc is that of another namespace
            return str(Path("/proc/self/ns/pid").readlink())
    return None


def _begun(number: int) -> int | None:
    """When a process began, in ticks since the machine was started."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{number}/stat").read_bytes().rpartition(b")")[2].split()[19])
    return None
