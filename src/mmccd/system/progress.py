"""Progress of long work: a bar with the time left in a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mmccd.system.plain_text import in_one_line

ProgressCallback = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

LINE_EVERY_S = 10.0


def no_progress(_what: str, _done: int, _total: int) -> None:
    """Report nothing."""


@contextmanager
def reported_progress(verb: str, *, quiet: bool = False) -> Iterator[ProgressCallback]:
    """A callback that shows progress on standard error."""
    console = Console(stderr=True)
    if quiet:
        yield no_progress
    elif console.is_terminal:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(verb, total=None)
            yield lambda what, done, total: bar.update(
                task, description=f"{verb}  {in_one_line(what)}", completed=done, total=total
            )
    else:
        yield _Lines(verb)


class _Lines:
    """One line at the start and the end of a count, and in between not more often than `LINE_EVERY_S`.

    The time left follows from what was done since the count began: a resumed training begins in the middle, and where
    the total changes, other things are counted.
    """

    def __init__(self, verb: str) -> None:
        self.verb, self.started, self.last = verb, time.monotonic(), -LINE_EVERY_S
        self.total, self.first, self.since = -1, 0, self.started

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        new = total != self.total
        if new or done < self.first:
            self.total, self.first, self.since = total, done, now
        if now - self.last < LINE_EVERY_S and done < total and not new:
            return
        self.last = now
        left = ""
        if self.first < done < total:
            left = f", about {duration((now - self.since) / (done - self.first) * (total - done))} left"
        elapsed = duration(now - self.started)
        print(f"{self.verb}: {done}/{total} {in_one_line(what)} ({elapsed}{left})", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds in words: `40 s`, `12 min`, `3.5 h`."""
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
