"""Signals that ask to stop."""

import signal
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress

import pytest

from mmccd.system.signals import STOPPING, ignore_in_worker, leave_if_asked, leaving_when_asked, listen


@pytest.fixture(autouse=True)
def as_in_a_terminal():
    """Under `nohup` and in the background of a script these are ignored, and what is ignored stays so."""
    ordinary = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    former = {number: signal.signal(number, handler) for number, handler in ordinary.items()}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGUSR1, 138)])
def test_a_signal_is_an_exit_that_closes_what_is_open(number, code):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as caught, leaving_when_asked():
        signal.raise_signal(number)
    assert caught.value.code == code
    assert signal.getsignal(number) == before


def closed_badly():
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        raise OSError("Bad file descriptor")


def test_what_fails_on_the_way_out_hides_no_signal():
    with pytest.raises(SystemExit) as caught, leaving_when_asked():
        closed_badly()
    assert caught.value.code == 143


def test_a_failure_is_told_from_a_way_out():
    with leaving_when_asked():
        leave_if_asked()  # nobody asked
    with pytest.raises(SystemExit), leaving_when_asked(), suppress(OSError):
        closed_badly()
    leave_if_asked()  # that was another command
    with pytest.raises(OSError, match="of its own"), leaving_when_asked():
        raise OSError("of its own")


def test_an_interrupt_stays_one():
    with pytest.raises(KeyboardInterrupt), leaving_when_asked():
        signal.raise_signal(signal.SIGINT)


def test_what_is_ignored_stays_ignored():
    """As `nohup` does with SIGHUP."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with leaving_when_asked():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_thread_hears_nothing():
    found = []
    thread = threading.Thread(target=lambda: found.append(listen(lambda *_: None)))
    thread.start()
    thread.join()
    assert found == [{}]


def test_data_workers_leave_signals_to_their_parent():
    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        ignore_in_worker(0)
        for number in set(STOPPING) - {signal.SIGTERM}:
            signal.raise_signal(number)
        assert signal.getsignal(signal.SIGTERM) == before[signal.SIGTERM]  # else its parent waits for it for ever
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def test_a_signal_during_a_callback_whose_exceptions_python_drops_is_raised_a_moment_later(capsys):
    class Collected:
        """Something whose end calls back."""

    one = Collected()
    dropped = weakref.ref(one, lambda _: signal.raise_signal(signal.SIGTERM))
    held = [one]
    del one
    began = time.monotonic()
    with pytest.raises(SystemExit) as caught, leaving_when_asked():
        held.clear() or time.sleep(60)
    assert time.monotonic() - began < 30
    assert dropped() is None
    assert caught.value.code == 128 + signal.SIGTERM
    assert capsys.readouterr().err == ""


BLOCKED = """
import ctypes, sys, threading
from mmccd.system.signals import Patience, leaving_though_blocked, leaving_when_asked
mutex = ctypes.create_string_buffer(64)
library = ctypes.CDLL(None)
with leaving_when_asked(), leaving_though_blocked(Patience(0.3), lambda: print("given back", flush=True)):
    print("began", flush=True)
    {wait}
"""


@pytest.mark.parametrize(
    ("wait", "said", "code"),
    [
        ("[library.pthread_mutex_lock(mutex) for _ in range(2)]", "given back\n", 143),  # which hears no signals
        ("__import__('time').sleep(60)", "", 143),
        ("pass", "", 0),
    ],
)
def test_a_process_that_is_blocked_leaves_when_asked(wait, said, code):
    command = [sys.executable, "-c", BLOCKED.format(wait=wait)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "began\n"
        time.sleep(0.1)
        if code:
            process.terminate()
        rest, errors = process.communicate(timeout=20)
        assert (rest, process.returncode) == (said, code)
        assert ("stopped by SIGTERM, while waiting for another process" in errors) == bool(said)
