"""Lock files: one process has a name in a folder, all that share the folder can see who, and a dead one loses it.

The file is the lock: it is made as one that was not there before, which every disk does for one process alone. What it
says, and how long ago it was touched, tells others whether its process lives. Decision 0033 says why.
"""

import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmccd.errors import ClaimLost
from mmccd.system.files import PARTIAL, remove_sole_stage
from mmccd.system.lives import (
    has_ended,
    has_system_lock,
    is_numbered_here,
    is_under_this_kernel,
    own_life,
    take_system_lock,
)

LOCK_END = ".lock"
EXPIRES_S = 60.0
"""A process that gave no sign of life for so long counts as dead, where nothing better is known of it."""
LONGEST_S = 3600.0
BEATS = 12
"""Signs of life in that time."""
MISSED = 2
"""Signs of life that must fail to come while one looks, too: after a disk that stood still, all seem long dead."""
_TOKEN = re.compile(r"[0-9a-f]{8}")


class Claim:
    """What this process has until `release`; a thread gives its signs of life.

    Attributes:
        path: The lock file.
        token: 8 hexadecimal digits that no other claim has.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self.token, self.expires_s = path, secrets.token_hex(4), EXPIRES_S
        self._descriptor, self._process, self._last = descriptor, os.getpid(), time.monotonic()
        self._guard = threading.Lock()
        self._write()
        _SIGNS.begin(self)

    def check(self) -> None:
        """To be asked before results are put in place: a process that stood still may have been taken for dead.

        Raises:
            ClaimLost: another process has it, or the disk does not say who.
        """
        try:
            if self._touch():
                return
            why = f"another took it after {self.expires_s:.0f} s without a sign of life, or somebody removed the file"
        except OSError as error:
            why = f"the disk does not say whose it is: {error.strerror or error}"
        raise ClaimLost(
            f"{self.path.name} in {self.path.parent} is no longer this process's: {why}",
            "nothing was put in place since; wait until no other works there, then give the same command again",
        )

    def release(self) -> None:
        """Let others have it; nothing where another has it already."""
        if self._process != os.getpid():  # a fork of the process that has it
            return
        _SIGNS.end(self)
        late = time.monotonic() - self._last > self.expires_s / 2
        with suppress(OSError):  # it expires
            if late:
                _remove(self.path, self.token, lambda found: found.token == self.token)
            elif self._touch():
                self.path.unlink()
        with self._guard:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1

    def _write(self) -> None:
        device = os.fstat(self._descriptor).st_dev
        facts = {"token": self.token, "expires_s": self.expires_s, "device": device, **own_life()}
        facts["flock"] = take_system_lock(self._descriptor, self.path)
        os.write(self._descriptor, json.dumps(facts).encode())
        os.close(os.dup(self._descriptor))  # NFS shows others what was written when a descriptor is closed

    def live(self) -> None:
        """Give a sign of life, where it is time for one."""
        if time.monotonic() - self._last >= self.expires_s / BEATS / 2:
            with suppress(OSError):  # of a disk that may be back the next time
                self._touch()

    def _touch(self) -> bool:
        """Give a sign of life; False where the file is another's, or gone."""
        with self._guard:
            found = look(self.path) if self._descriptor >= 0 else None
            if found is None or found.token != self.token:
                return False
            os.utime(self._descriptor)  # without a time: on NFS that of the server
            self._last = time.monotonic()
            return True


class _Signs:
    """The thread that gives signs of life for all that this process has; to start one for each would take longer."""

    def __init__(self) -> None:
        self._claims: set[Claim] = set()
        self._pause_s, self._changed = LONGEST_S, threading.Condition()
        self._thread: threading.Thread | None = None

    def begin(self, claim: Claim) -> None:
        with self._changed:
            self._claims.add(claim)
            if claim.expires_s / BEATS / 2 < self._pause_s:
                self._pause_s = claim.expires_s / BEATS / 2
                self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._give, name="signs of life", daemon=True)
                self._thread.start()

    def end(self, claim: Claim) -> None:
        with self._changed:
            self._claims.discard(claim)

    def _give(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(self._pause_s)
                claims = list(self._claims)
            for claim in claims:
                claim.live()


_SIGNS = _Signs()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_SIGNS.__init__)  # type: ignore[misc]  # a fork has no threads, and no claims


@dataclass(frozen=True)
class Found:
    """A lock file as it was seen.

    Attributes:
        path: Where.
        facts: What its process wrote; nothing where it was killed before that, or is about to.
        sign: Its last sign of life: when the file was touched, in ns of the disk's clock.
        file: Number of the file.
        device: Number of its disk, as this process sees it.
    """

    path: Path
    facts: dict[str, Any]
    sign: int
    file: int
    device: int

    @property
    def token(self) -> str:
        """As of the claim, or else the number of the file."""
        token = self.facts.get("token")
        return token if isinstance(token, str) and _TOKEN.fullmatch(token) else f"{self.file:08x}"

    @property
    def expires_s(self) -> float:
        """As its process said."""
        value = self.facts.get("expires_s")
        return float(value) if isinstance(value, int | float) and 0 < value <= LONGEST_S else EXPIRES_S

    @property
    def is_locked(self) -> bool:
        """Whether its process has the system's lock, too, on this machine and the same mount of the disk."""
        here = is_under_this_kernel(self.facts) and self.facts.get("device") == self.device
        return here and self.facts.get("flock") is True

    @property
    def is_near(self) -> bool:
        """Whether this machine sees when its process ends."""
        return is_numbered_here(self.facts) or self.is_locked

    @property
    def who(self) -> str:
        """Its process in words."""
        if not self.facts.keys() >= {"pid", "host"}:
            return "a process that has not said who it is"
        return f"pid {self.facts['pid']} on {self.facts['host']}"

    def silent_s(self) -> float:
        """Seconds without a sign of life, by the disk's own clock: those of machines may differ."""
        watch = _watched(self)
        return watch.before_s + time.monotonic() - watch.begun


def take(path: Path) -> Claim | Found | None:
    """Have ``path``, whose folder is there, unless a process that lives has it.

    Returns:
        The claim; or who has it; or None where that has just changed, so that it may be tried again at once.

    Raises:
        OSError: the file can be neither made nor read.
    """
    if (claim := _made(path)) is not None:
        return claim
    found = look(path)
    if found is None or not _is_over(found):
        return found

    def is_still_so(now: Found) -> bool:
        return (now.token, now.sign) == (found.token, found.sign)

    if not _remove(path, found.token, is_still_so):
        return look(path)
    name = path.name.removeprefix(".").removesuffix(LOCK_END)
    remove_sole_stage(path.parent, name, found.token)  # of the dead process
    return _made(path)


def look(path: Path) -> Found | None:
    """What a lock file says; None where there is none.

    Raises:
        OSError: it cannot be read.
    """
    try:  # opened rather than asked for: NFS then asks the server
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        state, content = os.fstat(descriptor), stream.read(4096)
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError):
        facts = {}
    return Found(path, facts if isinstance(facts, dict) else {}, state.st_mtime_ns, state.st_ino, state.st_dev)


def _made(path: Path) -> Claim | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return None
    try:
        claim = Claim(path, descriptor)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)
        raise
    _WATCHED.pop(path, None)
    return claim


def _remove(path: Path, token: str, is_it: Callable[[Found], bool]) -> bool:
    """Remove a lock file of this token; False where it is no longer what it should be, or another process does so.

    Who removes a file that is not certainly its own needs a claim to do so, named after the token. Of several that find
    a process dead one removes its file, and nobody removes the file that comes after it.
    """
    right = take(path.with_name(f"{path.name.removesuffix(LOCK_END)}.{token}{LOCK_END}"))
    if not isinstance(right, Claim):
        return False
    try:
        now = look(path)
        if now is None or not is_it(now):
            return False
        path.unlink()
        return True
    finally:
        right.release()


def _is_over(found: Found) -> bool:
    """Whether its process is dead, or counts as dead."""
    numbered = is_numbered_here(found.facts)
    if numbered and has_ended(found.facts):
        return True
    locked = has_system_lock(found.path) if found.is_locked else None
    if locked:  # alive, be it suspended
        return False
    if locked is False and not numbered:  # else it lives, and the disk has lost its lock
        return True
    watched_s = time.monotonic() - _watched(found).begun
    silent = abs(found.silent_s()) >= found.expires_s and watched_s >= MISSED / BEATS * found.expires_s
    return silent or watched_s >= found.expires_s  # the latter where the clock of the disk was put back


@dataclass(frozen=True)
class _Watch:
    """Since when this process sees a lock file unchanged, by its own clock, and how long it had been so before."""

    key: tuple[str, int]
    begun: float
    before_s: float


_WATCHED: dict[Path, _Watch] = {}


def _watched(found: Found) -> _Watch:
    key = (found.token, found.sign)
    watch = _WATCHED.get(found.path)
    if watch is None or watch.key != key:
        before_s = (_clock(found.path.parent) - found.sign) / 1e9
        watch = _WATCHED[found.path] = _Watch(key, time.monotonic(), before_s)
    return watch


def _clock(folder: Path) -> int:
    """The time, in ns, by the clock that dates the files of a folder, which may be another machine's."""
    probe = folder / f".clock.{secrets.token_hex(4)}{PARTIAL}"
    descriptor = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        os.utime(descriptor)
        return os.fstat(descriptor).st_mtime_ns
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)
