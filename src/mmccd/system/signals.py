"""Signals that ask a command to stop, as users, schedulers and lost connections send them."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Handlers = dict[signal.Signals, Any]
STOPPING = tuple(
    number
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # SLURM: --signal=USR1@300 comes before SIGTERM
    if (number := getattr(signal, name, None)) is not None
)
_ASKED: list[BaseException] = []
"""What signals have raised; a library that closes its files badly may raise something else in its place."""


def listen(handler: Callable[[int, FrameType | None], None]) -> Handlers:
    """Have ``handler`` called when asked to stop; the former handlers are returned.

    A signal that is ignored stays so. A thread hears no signals: nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    former = {number: signal.getsignal(number) for number in STOPPING}
    former = {number: before for number, before in former.items() if before not in (signal.SIG_IGN, None)}
    for number in former:
        signal.signal(number, handler)
    return former


@contextmanager
def leaving_when_asked() -> Iterator[None]:
    """Turn signals into `KeyboardInterrupt` or `SystemExit`, with the exit code of a shell: what is open is closed."""
    former = listen(_leave)
    try:
        yield
    except Exception:
        leave_if_asked()
        raise
    else:
        leave_if_asked()
    finally:
        _ASKED.clear()
        for number, before in former.items():
            signal.signal(number, before)


def leave_if_asked() -> None:
    """Leave now, where a signal asked for it and something failed on the way out: that failure is no finding."""
    if _ASKED:
        raise _ASKED[0]


def ignore_in_worker(_worker: int) -> None:
    """In a data worker: a signal to the whole group is for the parent to answer, which still needs its data.

    Not so SIGTERM, by which the parent itself ends it.
    """
    for number in STOPPING:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)


def _leave(number: int, _frame: FrameType | None) -> None:
    _ASKED.append(KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number))
    raise _ASKED[-1]
