"""One thing that `mmccd doctor` looked at, and how it stands with it."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "absent", "warning", "broken"]
"""From best to worst; what is absent is an extra that not everyone needs."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        area: What it belongs to: packages, extras, devices, folders, terminal or self-test.
        what: Its name.
        state: How it stands with it.
        found: What was found, and what was expected where that differs.
        remedy: What to do, where something should be done.
    """

    area: str
    what: str
    state: State
    found: str
    remedy: str = ""
