"""Who works in a folder: locks of the operating system, which end with their process, however it ends."""

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from mmccd.errors import ConfigError, WriteError
from mmccd.system.files import remove_partial, remove_sole_stage

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP)
LOCK = ".mmccd.lock"
"""Lies in a folder while a command writes to it. One that a killed command left behind locks nothing."""


@contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Keep other processes out of ``folder``, which is created where needed and cleared of what a killed one left.

    Raises:
        ConfigError: another process works there; or the disk gives no locks.
        WriteError: the folder cannot be written.
    """
    new = not folder.exists()
    try:
        with _lock(folder / LOCK, wait=False) as mine:
            if not mine:
                raise ConfigError(
                    f"another mmccd process{_holder(folder / LOCK)} works in {folder}",
                    "wait until it has ended, or choose another output folder",
                )
            with suppress(OSError):  # who it is helps the other one, and no more
                since = f"{datetime.now():%Y-%m-%d %H:%M}"
                facts = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
                (folder / LOCK).write_text(json.dumps(facts))
            remove_partial(folder)
            yield
    finally:
        if new:
            with suppress(OSError):  # holds something, as a rule; nothing where the command was refused
                folder.rmdir()


@contextmanager
def one_at_a_time(folder: Path, name: str, *, wait: bool) -> Iterator[bool]:
    """Let one process at a time write the files of ``name`` in a folder that several share.

    Args:
        folder: Created where needed.
        name: Of a case, or of a file.
        wait: Until it is this process's turn; otherwise the value is False where it is another's.

    Raises:
        ConfigError: the disk gives no locks.
        WriteError: the folder cannot be written.
    """
    with _lock(folder / f".{name}.lock", wait=wait) as mine:
        try:
            yield mine
        finally:
            if mine:  # a signal may have broken off the cleaning up
                remove_sole_stage(folder, name)


@contextmanager
def _lock(path: Path, *, wait: bool) -> Iterator[bool]:
    lock = FileLock(path, blocking=wait)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        yield False
        return
    except OSError as error:
        if error.errno in NO_LOCKS:
            raise ConfigError(
                f"the disk of {path.parent} gives no locks, by which processes keep out of each other's way: "
                f"{error.strerror or error}",
                "choose a folder on another disk; on NFS, its lock service may not be running",
            ) from error
        raise WriteError(path.parent, error) from error
    try:
        yield True
    finally:
        with suppress(OSError):  # held still, so that whoever waits for it sees that it is gone, and makes a new one
            path.unlink()
        lock.release()


def _holder(path: Path) -> str:
    try:
        facts = json.loads(path.read_text())
        return f" (pid {facts['pid']} on {facts['host']} since {facts['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
