import errno
import os
import subprocess
import sys

import pytest

from mmccd.system.streams import STANDARD_OUTPUT, steady_streams


def run(code, **how):
    """What a process says in whose beginning the streams are made steady."""
    return subprocess.run(
        [sys.executable, "-c", f"from mmccd.system.streams import *; import sys, os\nsteady_streams()\n{code}"],
        stderr=subprocess.PIPE, text=True, check=False, timeout=60, **how,
    )  # fmt: skip


def test_output_that_is_full_is_named():
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = run(
            "try: print('x', flush=True)\n"
            "except OSError as error: print(error.errno, error.filename, file=sys.stderr); drop_output()",
            stdout=full,
        )
    assert (done.returncode, done.stderr) == (0, f"{errno.ENOSPC} {STANDARD_OUTPUT}\n")


def test_errors_that_nobody_can_hear_are_dropped():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", "from mmccd.system.streams import steady_streams; import sys; steady_streams()\n"
         "print('x' * 100000, file=sys.stderr, flush=True); print('on')"],
        stdout=subprocess.PIPE, stderr=writing, text=True, check=False, timeout=60,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stdout) == (0, "on\n")


def test_letters_and_their_encoding_stay():
    done = run("print('Zürich →')", stdout=subprocess.PIPE, env=os.environ | {"PYTHONIOENCODING": "utf-8"})
    assert (done.stdout, done.stderr) == ("Zürich →\n", "")


def test_streams_of_somebody_else_stay(monkeypatch):
    class Other:
        """As a notebook has it."""

    other = Other()
    monkeypatch.setattr(sys, "stdout", other)
    monkeypatch.setattr(sys, "stderr", other)
    steady_streams()
    assert sys.stdout is other
