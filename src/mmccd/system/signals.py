"""Signals that ask a command to stop, as users, schedulers and lost connections send them."""

import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

from mmccd.system.complaints import complain

Handlers = dict[signal.Signals, Any]
STOPPING = tuple(
    number
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # SLURM: --signal=USR1@300 comes before SIGTERM
    if (number := getattr(signal, name, None)) is not None
)
ASK_AGAIN_S = 0.01
MOMENT_S = 0.5
_HEARD: deque[float] = deque(maxlen=1)
"""When Python last heard a signal that asks to stop."""
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

    def heard(number: int, frame: FrameType | None) -> None:
        _HEARD.append(time.monotonic())
        handler(number, frame)

    for number in former:
        signal.signal(number, heard)
    return former


class Patience:
    """How long code that is not Python's may keep a signal from being heard.

    Attributes:
        seconds: May be changed meanwhile.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


@contextmanager
def leaving_though_blocked(patience: Patience, before: Callable[[], None]) -> Iterator[None]:
    """End this process when a signal asks and is not heard: code that waits for other machines may wait for hours.

    Args:
        patience: What is heard within it is answered by who listens.
        before: Done last.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    former = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    watching = threading.Thread(target=_watch, args=(receiver, patience, before), name="signals", daemon=True)
    watching.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(former)
        sender.close()
        watching.join()  # at once, or this process ends
        receiver.close()


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


def _watch(receiver: socket.socket, patience: Patience, before: Callable[[], None]) -> None:
    while number := receiver.recv(1):
        if number[0] not in STOPPING:
            continue
        came = time.monotonic()
        while not _HEARD or _HEARD[-1] < came - MOMENT_S:
            if time.monotonic() > came + patience.seconds:
                name = signal.Signals(number[0]).name
                complain(f"stopped by {name}, while waiting for another process", "look at what the others said")
                before()
                os._exit(128 + number[0])
            time.sleep(ASK_AGAIN_S)


def _leave(number: int, _frame: FrameType | None) -> None:
    _ASKED.append(KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number))
    raise _ASKED[-1]
