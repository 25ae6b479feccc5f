"""The installed command, in processes of its own."""

import os
import resource
import shlex
import subprocess
import sys

import pytest
import typer

from mmccd.cli.app import app
from mmccd.version import __version__


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "mmccd", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_help_answers_at_once():
    """Best of five, in CPU time of the process: what else this machine does is not counted."""
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert done.returncode == 0
    assert "mmccd demo" in done.stdout
    assert "Not a medical device" in done.stdout
    assert done.stderr == ""
    assert min(seconds) < 0.5, seconds


def test_no_help_imports_what_computes():
    """The time above is that of the imports."""
    commands = sorted(typer.main.get_command(app).commands)
    code = (
        "import sys; from mmccd.cli.app import main\n"
        "assert [main([name, '--help']) for name in sys.argv[1:]] == [0] * (len(sys.argv) - 1)\n"
        "heavy = {'torch', 'numpy', 'pandas', 'nibabel', 'matplotlib', 'lightning', 'monai', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, *commands], capture_output=True, text=True, check=True)
    assert [name for name in commands if f"mmccd {name}" not in done.stdout] == []
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_usage_error_is_two_lines_and_exit_code_2():
    done = run("train")
    assert done.returncode == 2
    assert done.stdout == ""
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: Missing")
    assert hint == "hint: see `mmccd train --help`"


def test_output_that_is_read_no_further_ends_the_command_without_a_word():
    """As in `mmccd --help | head -2`: the exit code is that of SIGPIPE, as of any other command."""
    code = (
        "import os, sys; reading, writing = os.pipe(); os.dup2(writing, 1); os.close(reading)\n"
        "from mmccd.cli.app import entry; sys.argv = ['mmccd', '--help']; entry()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (141, "")


def shell(command):
    """A line of a shell in which `mmccd` is the command."""
    mmccd = f"{shlex.quote(sys.executable)} -m mmccd"
    return subprocess.run(
        ["bash", "-c", command.replace("mmccd", mmccd, 1)], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("command", ["--help", "--version", "info --json"])
def test_a_full_standard_output_is_named_in_two_lines(command):
    done = shell(f"mmccd {command} > /dev/full")
    assert done.returncode == 4
    error, hint = done.stderr.splitlines()
    assert error == "error: standard output: No space left on device"
    assert hint.startswith("hint: make space")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-"])
def test_closed_streams_are_no_reason_to_fail(closed):
    done = shell(f"mmccd --version {closed}")
    assert done.returncode == 0
    assert done.stdout == ("" if ">&-" in closed.split() else f"mmccd {__version__}\n")
    assert done.stderr == ""


def test_what_is_written_never_lands_in_a_closed_stream(tmp_path):
    """The next file that is opened would take its place, and get all that is printed."""
    code = (
        "from mmccd.cli.app import leave\n"
        "def program():\n"
        f"    file = open({str(tmp_path / 'data')!r}, 'w'); print('printed', flush=True); file.close(); return 0\n"
        "leave(program)"
    )
    done = subprocess.run(["bash", "-c", 'exec "$0" -c "$1" >&-', sys.executable, code], check=False, timeout=60)
    assert done.returncode == 0
    assert (tmp_path / "data").read_text() == ""


@pytest.mark.parametrize("lost", ["2>&-", "2>/dev/full"])
def test_an_error_that_nobody_hears_leaves_its_exit_code_alone(lost):
    done = shell(f"mmccd info nothing {lost}")
    assert (done.returncode, done.stdout, done.stderr) == (4, "", "")


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
@pytest.mark.parametrize("command", ["validate nothing", "info"])
def test_a_limit_that_nothing_can_start_under_is_refused_at_once(command):
    done = shell(f"ulimit -v 200000; mmccd {command}")
    assert done.returncode == 2
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: too little memory: `ulimit -v` allows 195 MB, and this command needs ")
    assert hint.startswith("hint: raise the limit")


def test_a_terminal_of_ascii_gets_ascii():
    """Also where Python takes the locale at its word, which it does not by itself."""
    for settings in ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        done = subprocess.run(
            [sys.executable, "-m", "mmccd", "--help"], env=os.environ | settings, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"mmccd validate DATA  -  prepare" in done.stdout
        assert b"\\" not in done.stdout
