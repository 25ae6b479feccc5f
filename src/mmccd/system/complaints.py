"""What is said on standard error: lines that begin with `error:`, `hint:` or `warning:`, and nothing of Python.

Or the same as lines of JSON, where that is asked for.
"""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmccd.errors import MmccdWarning
from mmccd.system.json_lines import line_of, say_event, speaks_json
from mmccd.system.plain_text import in_one_line


def complain(message: str, hint: str) -> None:
    """What is wrong in one line, and what to do about it in another."""
    if speaks_json():
        say_event("error", level="error", message=message, hint=hint)
        return
    print(f"error: {in_one_line(message)}", file=sys.stderr)
    if hint:
        print(f"hint: {in_one_line(hint)}", file=sys.stderr)


def warn(text: str) -> None:
    """Something that a user should know, and that stops nothing."""
    if speaks_json():
        say_event("warning", level="warning", message=text, hint="")
        return
    print(f"warning: {in_one_line(text)}", file=sys.stderr)


def say_failed(case: str, message: str, hint: str = "") -> None:
    """A case that failed, which stops no other."""
    if speaks_json():
        say_event("failed", level="error", case=case, message=message, hint=hint)
        return
    remedy = f" ({hint})" if hint else ""
    print(in_one_line(f"failed: {case}: {message}{remedy}"), file=sys.stderr)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Let `MmccdWarning` be printed by `warn`; those of others, and their logs, stay as they are, in one line."""
    usual = warnings.showwarning
    if logging.lastResort is not None:  # what libraries log where nobody asked them to: it may hold names of files
        logging.lastResort.setFormatter(_OneLine())

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, MmccdWarning):
            warn(str(message))
        elif speaks_json():
            warn(f"{category.__name__}: {message}")
        else:
            usual(in_one_line(str(message)), category, *place, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if speaks_json():
            return line_of("log", level=record.levelname.lower(), message=text, hint="")
        return in_one_line(text)
