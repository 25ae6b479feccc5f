"""What is printed where a terminal knows few characters."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from mmccd.cli.output import finish_scored, say
from mmccd.prediction.summary import Outcome
from mmccd.system.progress import reported_progress
from mmccd.system.streams import speak_plainly


def ascii_out(monkeypatch):
    """Standard output of a terminal that knows no more; not a fixture, after which pytest takes its own again."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    speak_plainly()
    return stream


def test_what_ascii_lacks_is_written_otherwise(monkeypatch):
    stream = ascii_out(monkeypatch)

    print("flair → t1, 2 × 3, Zürich, \udcff", flush=True)

    assert stream.buffer.getvalue() == b"flair -> t1, 2 x 3, Z\\xfcrich, \\udcff\n"


def test_tables_are_drawn_in_ascii(monkeypatch):
    stream = ascii_out(monkeypatch)
    table = Table("case", width=12)
    table.add_row("a name without an end", style="bold")

    Console(no_color=True).print(table)
    stream.flush()

    assert b"+----------+" in stream.buffer.getvalue()
    assert b"\\u" not in stream.buffer.getvalue()


def test_names_are_printed_as_they_stand(capsys):
    """No markup, no picture for a word between colons, and nothing that a terminal obeys; in tables as in lines."""
    names = ["[red]x", "[/b]", ":smile:", "a\x1b[2Jb", "\u202egpj"]
    shown = ["[red]x", "[/b]", ":smile:", "a\\x1b[2Jb", "\\u202egpj"]
    finish_scored([Outcome(name, "done", warnings=name) for name in names], Path("[bold]out"))
    printed = capsys.readouterr().out
    assert all(printed.count(name) == 2 for name in shown), printed
    assert "summary  [bold]out/summary.csv" in printed
    for name, expected in zip(names, shown, strict=True):
        say(name)
        assert capsys.readouterr().out == f"{expected}\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_names_are_plain_too(capsys, monkeypatch, terminal):
    monkeypatch.setattr(Console, "is_terminal", terminal)
    with reported_progress("predict") as progress:
        progress("[/b]\x1b[2J\u202e", 1, 1)
    printed = capsys.readouterr().err
    assert "[/b]\\x1b[2J\\u202e" in printed
