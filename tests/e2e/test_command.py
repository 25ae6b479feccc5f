"""The installed command, in processes of its own."""

import os
import resource
import subprocess
import sys

import typer

from mmccd.cli.app import app


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


def test_a_terminal_of_ascii_gets_ascii():
    """Also where Python takes the locale at its word, which it does not by itself."""
    for settings in ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        done = subprocess.run(
            [sys.executable, "-m", "mmccd", "--help"], env=os.environ | settings, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"mmccd validate DATA  -  prepare" in done.stdout
        assert b"\\" not in done.stdout
