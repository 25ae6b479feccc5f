"""The examples that `--help` ends with: that there are some, that each is understood, and can be copied."""

import shlex

import pytest
import typer

from mmccd.cli.app import app
from mmccd.cli.examples import EXAMPLES

COMMANDS = typer.main.get_command(app).commands


def test_every_command_has_two_or_three():
    assert sorted(EXAMPLES) == sorted(COMMANDS)
    assert {len(lines) for lines in EXAMPLES.values()} <= {2, 3}


@pytest.mark.parametrize(("command", "line"), [(name, line) for name, lines in EXAMPLES.items() for line in lines])
def test_an_example_is_understood(command, line):
    """Every option and argument exists, none is missing, and values are of their type."""
    program, name, *words = shlex.split(line.partition(" > ")[0])
    assert (program, name) == ("mmccd", command)
    COMMANDS[command].make_context(command, words)


def test_an_example_that_is_wrong_would_be_found():
    for wrong in (["results", "--nonsense"], [], ["results", "--max-mb", "many"]):
        with pytest.raises(typer.TyperException):
            COMMANDS["report"].make_context("report", wrong)


@pytest.mark.parametrize("command", sorted(EXAMPLES))
def test_examples_stand_whole_in_the_help_of_a_narrow_terminal(run, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run(command, "--help")
    assert code == 0
    lines = [line.strip() for line in out.splitlines()]
    assert lines.index("Examples:") < lines.index(EXAMPLES[command][0])
    assert [line for line in EXAMPLES[command] if line not in lines] == []
