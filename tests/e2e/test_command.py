"""The installed command, in processes of its own."""

import subprocess
import sys
import time


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "mmccd", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_help_answers_at_once():
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        done = run("--help")
        seconds.append(time.perf_counter() - started)
    assert done.returncode == 0
    assert "mmccd demo" in done.stdout
    assert "Not a medical device" in done.stdout
    assert done.stderr == ""
    assert min(seconds) < 0.5, seconds


def test_a_usage_error_is_two_lines_and_exit_code_2():
    done = run("train")
    assert done.returncode == 2
    assert done.stdout == ""
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: Missing")
    assert hint == "hint: see `mmccd train --help`"
