"""What is said on standard error as JSON, one object a line, for programs that look after a command.

Whether it is, stands in the environment, so that worker processes speak as the process that started them.
"""

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from mmccd.system.plain_text import in_one_line

VARIABLE = "MMCCD_LOG_JSON"
"""Holds the name of the command, which stands in every line."""


@contextmanager
def json_lines(command: str) -> Iterator[None]:
    """Let this process, and those that it starts, speak in lines of JSON."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = command
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def speaks_json() -> bool:
    """Whether what is said should be JSON."""
    return VARIABLE in os.environ


def line_of(event: str, **facts: Any) -> str:
    """One object, with the time and the command; a number that is not finite becomes null.

    Args:
        event: What happened: ``progress``, ``warning``, ``error``, ``failed`` or ``ended``.
        facts: What JSON can hold.
    """
    head = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "command": os.environ.get(VARIABLE, "")}
    return json.dumps({**head, "event": event, **_plain(facts)}, allow_nan=False)


def say_event(event: str, **facts: Any) -> None:
    """Print `line_of` these as a whole: several processes may share one standard error."""
    sys.stderr.write(f"{line_of(event, **facts)}\n")
    sys.stderr.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {in_one_line(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return in_one_line(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
