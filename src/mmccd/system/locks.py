"""Who works in a folder: one process at a time where two would spoil each other's work, on any number of machines."""

import errno
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from mmccd.errors import ClaimLost, ConfigError, LockError, MmccdError, MmccdWarning, WriteError
from mmccd.system.claims import LOCK_END, Claim, Found, take
from mmccd.system.files import remove_partial, remove_sole_stage

LOCK = f".mmccd{LOCK_END}"
"""Lies in a folder while a command writes to it. One that a killed command left behind is taken over."""
SAID_AFTER_S = 3.0
LONGEST_PAUSE_S = 1.0
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST)
"""Of a folder in which nothing can be written, a lock or anything else."""
Patience = Literal["none", "until it is known to live", "for its turn"]


@contextmanager
def sole_use(folder: Path) -> Iterator[Claim]:
    """Keep other processes out of ``folder``, which is created where needed and cleared of what a killed one left.

    Before results are put in place, `Claim.check` says whether the folder still is this process's.

    Raises:
        ConfigError: another process works there.
        ClaimLost: at the end, another has taken the folder over, because this one stood still.
        LockError: the disk cannot lock it.
        WriteError: it cannot be written.
    """
    new = not folder.exists()
    try:
        claim = _claim(folder, LOCK, f"{folder}", "until it is known to live")
        if not isinstance(claim, Claim):
            since = f" since {claim.facts['since']}" if "since" in claim.facts else ""
            raise ConfigError(
                f"another mmccd process ({claim.who}{since}) works in {folder}",
                "wait until it has ended, or choose another output folder",
            )
        with _held(claim):
            remove_partial(folder)
            yield claim
            claim.check()
    finally:
        if new:
            with suppress(OSError):  # holds something, as a rule; nothing where the command was refused
                folder.rmdir()


@contextmanager
def one_at_a_time(folder: Path, name: str, *, wait: bool) -> Iterator[Claim | None]:
    """Let one process at a time write the files of ``name`` in a folder that several share.

    Before they are put in place, `Claim.check` says whether it still is this process's turn.

    Args:
        folder: Created where needed.
        name: Of a case, or of a file.
        wait: Until it is this process's turn, with a warning that says for whom; otherwise the value is None where it
            is another's.

    Raises:
        ClaimLost: something failed, and meanwhile another process has taken over, because this one stood still.
        LockError: the disk cannot lock it.
        WriteError: the folder cannot be written.
    """
    claim = _claim(folder, f".{name}{LOCK_END}", name, "for its turn" if wait else "none")
    if not isinstance(claim, Claim):
        yield None
        return
    with _held(claim):
        try:
            yield claim
        finally:  # a signal may have broken off the cleaning up
            remove_sole_stage(folder, name, claim.token)


@contextmanager
def _held(claim: Claim) -> Iterator[None]:
    try:
        yield
    except ClaimLost:
        raise
    except (MmccdError, OSError):
        claim.check()  # who has lost it meets missing files, which are no finding
        raise
    finally:
        claim.release()


def _claim(folder: Path, file: str, name: str, patience: Patience) -> Claim | Found:
    """Have a lock file, or who has it where there is no more patience."""
    begun, said, first = time.monotonic(), False, None
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = take(folder.absolute() / file)  # wherever this process goes meanwhile
        except FileNotFoundError:  # another process has removed the folder that it had made
            found = None
        except OSError as error:
            raise (WriteError if error.errno in UNWRITABLE else LockError)(folder, error) from error
        if isinstance(found, Claim):
            return found
        waited = time.monotonic() - begun
        if found is not None:
            first = first or found
            lives = found.is_near or (found.token, found.sign) != (first.token, first.sign)
            if patience == "none" or (lives and patience == "until it is known to live"):
                return found
            if not said and waited > SAID_AFTER_S:
                said = True
                warnings.warn(_waiting(name, found), MmccdWarning, stacklevel=4)
        time.sleep(min(LONGEST_PAUSE_S, 0.02 + waited / 10))


def _waiting(name: str, found: Found) -> str:
    since = f" works on since {found.facts['since']}" if "since" in found.facts else " works on"
    text = f"waits for {name}, which {found.who}{since}"
    if not found.is_near and (silent_s := found.silent_s()) > found.expires_s / 6:
        text += f"; no sign of life for {silent_s:.0f} s, and after {found.expires_s:.0f} s it counts as dead"
    return text
