"""How the commands print, and the exit codes that they leave with."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmccd.data.own_folders import SUMMARY
from mmccd.system.complaints import say_failed, warn
from mmccd.system.plain_text import in_lines, in_one_line

if TYPE_CHECKING:
    from mmccd.data.problems import Problem
    from mmccd.prediction.summary import Outcome

FINE, BUG, USAGE, SOME_FAILED, NONE_WORKED, INTERRUPTED, CLOSED, TERMINATED = 0, 1, 2, 3, 4, 130, 141, 143
BROKEN = 1
"""Of `doctor`: the installation."""
FROM_SIGNALS = 128
"""An exit code above it is that of a signal."""


class _Terminal(Console):
    """Prints text as it stands, in tables too: no markup, no emoji, nothing that a terminal obeys."""

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(in_lines(text), **how)


out = _Terminal(
    width=None if sys.stdout is not None and sys.stdout.isatty() else 120,  # a log is no 80-column terminal
    markup=False,
    emoji=False,
    highlight=False,
)


def say(text: str) -> None:
    """A line of plain text, whatever stands in it."""
    out.print(in_one_line(text), soft_wrap=True)


def print_evaluation(lines: list[list[str]]) -> None:
    """Methods as columns: the table stays narrow enough for a terminal."""
    table = Table(*[line[0] for line in lines][:1], *[line[0] for line in lines[1:]])
    for i, metric in enumerate(lines[0][1:], start=1):
        table.add_row(metric, *(line[i] for line in lines[1:]))
    out.print(table)
    out.print("Mean over patients [95 % interval]. Only oracle_dice chose its threshold with these labels.")


def print_cost(lines: Sequence[Sequence[str]]) -> None:
    """A header and rows of what something will cost, which was not done."""
    header, *rows = lines
    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    out.print(table)
    out.print("Nothing was written. Times are those of this device, with what else it does at the moment.")


def open_page(page: Path) -> None:
    """Show a page to the user; where there is no browser, say so."""
    import webbrowser

    try:
        shown = webbrowser.open(page.resolve().as_uri())
    except (webbrowser.Error, OSError):
        shown = False
    if not shown:
        warn(f"no browser could be started: open {page} in one yourself")


def finish(failures: "Mapping[str, Problem | str]", total: int) -> None:
    """List what failed, and leave with the exit code that says whether anything worked."""
    for case, reason in failures.items():
        what, hint = (reason, "") if isinstance(reason, str) else (reason.what, reason.hint)
        say_failed(case, what, hint)
    if failures:
        raise typer.Exit(NONE_WORKED if len(failures) >= total else SOME_FAILED)


def finish_scored(outcomes: Sequence["Outcome"], folder: Path) -> None:
    """A row for each scan, where the summary lies, and the exit code that says whether anything worked."""
    table = Table("case", "status", "score", "p", "marked ml", "seconds", "remarks")
    for outcome in outcomes:
        numbers = (outcome.score, outcome.p_value, outcome.lesion_volume_ml, outcome.seconds)
        cells = ["" if number is None else f"{number:.2f}" for number in numbers]
        table.add_row(outcome.case, outcome.status, *cells, outcome.warnings or outcome.error)
    out.print(table)
    out.print(f"summary  {folder / SUMMARY}")
    failures = {outcome.case: outcome.problem for outcome in outcomes if outcome.problem}
    finish(failures, len(outcomes))
