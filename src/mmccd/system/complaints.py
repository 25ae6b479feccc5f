"""What is said on standard error: lines that begin with `error:`, `hint:` or `warning:`, and nothing of Python."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmccd.errors import MmccdWarning, printable


def complain(message: str, hint: str) -> None:
    """What is wrong in one line, and what to do about it in another."""
    print(f"error: {in_one_line(message)}", file=sys.stderr)
    if hint:
        print(f"hint: {in_one_line(hint)}", file=sys.stderr)


def warn(text: str) -> None:
    """Something that a user should know, and that stops nothing."""
    print(f"warning: {in_one_line(text)}", file=sys.stderr)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Let `MmccdWarning` be printed by `warn`; warnings of others stay as they are."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, MmccdWarning):
            warn(str(message))
        else:
            usual(message, category, *place, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


def in_one_line(text: str) -> str:
    """A message without line breaks and without anything that a terminal would obey."""
    return printable(" ".join(text.split()))
