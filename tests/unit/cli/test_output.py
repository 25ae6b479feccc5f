"""What is printed where a terminal knows few characters."""

import io

from rich.console import Console
from rich.table import Table

from mmccd.cli.output import speak_plainly


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
