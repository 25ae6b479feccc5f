"""Signals that ask a command to stop, as users, schedulers and lost connections send them."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

Handlers = dict[signal.Signals, Any]
STOPPING = tuple(
    number
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # SLURM: --signal=USR1@300 comes before SIGTERM
    if (number := getattr(signal, name, None)) is not None
)
ASK_AGAIN_S = 0.01
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
    former, unraisable = listen(_leave), sys.unraisablehook
    sys.unraisablehook = partial(_ask_again, unraisable)
    try:
        yield
    except Exception:
        leave_if_asked()
        raise
    else:
        leave_if_asked()
    finally:
        _ASKED.clear()
        sys.unraisablehook = unraisable
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


def _ask_again(otherwise: Callable[[Any], Any], raised: Any) -> None:
    """Where Python drops what a signal raised, as in the callback of a weak reference: raise it a moment later.

    From a thread, so that the callback is over by then; sent to the main thread, which may be asleep.
    """
    if raised.exc_value not in _ASKED:
        otherwise(raised)
        return
    number = signal.SIGINT if raised.exc_type is KeyboardInterrupt else raised.exc_value.code - 128
    main = threading.main_thread().ident

    def ask() -> None:
        if _ASKED and main is not None:
            signal.pthread_kill(main, number)

    again = threading.Timer(ASK_AGAIN_S, ask)
    again.daemon = True
    again.start()


def _leave(number: int, _frame: FrameType | None) -> None:
    _ASKED.append(KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number))
    raise _ASKED[-1]
