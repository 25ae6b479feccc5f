"""Progress of long work: a bar with the time left in a terminal, a line now and then in a log, or lines of JSON."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mmccd.system.json_lines import say_event, speaks_json
from mmccd.system.plain_text import in_one_line

ProgressCallback = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

LINE_EVERY_S = 10.0
EVENT_EVERY_S = 1.0


class Doing(str):
    """What is being done, in words, with what programs read of it.

    Args:
        text: In words.
        facts: ``case``, its name; ``losses``, by name; or what else JSON can hold.
    """

    facts: Mapping[str, Any]

    def __new__(cls, text: str, **facts: Any) -> "Doing":
        """The words, with the facts as an attribute."""
        made = super().__new__(cls, text)
        made.facts = facts
        return made


def of_case(name: str) -> Doing:
    """A case is being worked on: its name says all."""
    return Doing(name, case=name)


def facts_of(what: str) -> Mapping[str, Any]:
    """What programs read of a description; of plain words nothing."""
    return what.facts if isinstance(what, Doing) else {}


def no_progress(_what: str, _done: int, _total: int) -> None:
    """Report nothing."""


@contextmanager
def reported_progress(verb: str, *, quiet: bool = False) -> Iterator[ProgressCallback]:
    """A callback that shows progress on standard error."""
    console = Console(stderr=True)
    if quiet:
        yield no_progress
    elif speaks_json():
        yield _Events(verb)
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


class _Pace:
    """The time left, from what was done since the count began.

    A resumed training begins in the middle, and where the total changes, other things are counted.
    """

    def __init__(self) -> None:
        self.total, self.first, self.since = -1, 0, 0.0

    def begins(self, done: int, total: int) -> bool:
        """Take note of how much is done; whether that is the first of a new count."""
        new = total != self.total
        if new or done < self.first:
            self.total, self.first, self.since = total, done, time.monotonic()
        return new

    def left_s(self, done: int) -> float | None:
        """Seconds until all is done; None where nobody knows."""
        if done >= self.total:
            return 0.0
        if done <= self.first:
            return None
        return (time.monotonic() - self.since) / (done - self.first) * (self.total - done)


class _Lines:
    """One line at the start and the end of a count, and in between not more often than `LINE_EVERY_S`."""

    def __init__(self, verb: str) -> None:
        self.verb, self.started, self.last, self.pace = verb, time.monotonic(), -LINE_EVERY_S, _Pace()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        new = self.pace.begins(done, total)
        if now - self.last < LINE_EVERY_S and done < total and not new:
            return
        self.last = now
        left_s = self.pace.left_s(done)
        left = f", about {duration(left_s)} left" if left_s else ""
        elapsed = duration(now - self.started)
        print(f"{self.verb}: {done}/{total} {in_one_line(what)} ({elapsed}{left})", file=sys.stderr, flush=True)


class _Events:
    """An object for each case and for the start and the end of a count; of other steps one every `EVENT_EVERY_S`."""

    def __init__(self, verb: str) -> None:
        self.verb, self.last, self.pace = verb, -EVENT_EVERY_S, _Pace()

    def __call__(self, what: str, done: int, total: int) -> None:
        now, facts = time.monotonic(), facts_of(what)
        new = self.pace.begins(done, total)
        if now - self.last < EVENT_EVERY_S and done < total and not new and "case" not in facts:
            return
        self.last = now
        left_s = self.pace.left_s(done)
        eta_s = None if left_s is None else round(left_s, 1)
        say_event("progress", stage=self.verb, what=what, step=done, total=total, eta_s=eta_s, **facts)


def duration(seconds: float) -> str:
    """Seconds in words: `40 s`, `12 min`, `3.5 h`."""
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
