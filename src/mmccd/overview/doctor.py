"""`mmccd doctor`: whether this installation works, on this machine, and what to do where it does not."""

import re
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from getpass import getuser
from pathlib import Path
from typing import Any

from mmccd.overview.check import Check, State
from mmccd.overview.machine import DEVICES, TERMINAL, device_checks, terminal_check
from mmccd.overview.self_test import SELF_TEST, self_test

_ANEW = "install mmccd anew, in an environment of its own"
_REST_FIRST = f"mend what is broken above; if nothing is, {_ANEW}"


@dataclass(frozen=True)
class Diagnosis:
    """All that was looked at. No text in it holds a user name, a host name or the path of the home folder.

    Attributes:
        checks: In the order of a page.
    """

    checks: tuple[Check, ...]

    @property
    def state(self) -> State:
        """The worst there is; an extra that is absent is fine."""
        states = {check.state for check in self.checks}
        return "broken" if "broken" in states else "warning" if "warning" in states else "ok"

    @property
    def verdict(self) -> str:
        """One line: how it stands, and what to do."""
        worst = [check for check in self.checks if check.state == self.state]
        if self.state == "ok":
            return "all is well"
        names = ", ".join(f"{check.area} {check.what}" for check in worst)
        first = f"begin with {worst[0].what}: {worst[0].remedy}"
        if self.state == "warning":
            return f"works, with {len(worst)} warning{'s' * (len(worst) > 1)} ({names}); {first}"
        return f"broken: {names}; {first}"

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {"state": self.state, "verdict": self.verdict, "checks": [asdict(check) for check in self.checks]}


def doctor() -> Diagnosis:
    """Look at packages, devices, folders and the terminal, and score a scan whose answer is known.

    What cannot even be looked at is broken, and says why; nothing is raised. Writes nothing that stays.
    """
    checks = [
        *_looked_at("packages", "metadata", _packages),
        *_looked_at(DEVICES, "PyTorch", device_checks),
        *_looked_at("folders", "all", _folders),
        *_looked_at(TERMINAL, "encoding", lambda: [terminal_check()]),
        *_looked_at(SELF_TEST, "known answer", lambda: [self_test()], _REST_FIRST),
    ]
    return Diagnosis(tuple(map(_without_names, checks)))


def _packages() -> list[Check]:
    # Imported here, as below: a library that is missing should be a line of the table.
    from mmccd.overview.packages import extra_checks, package_checks

    return [*package_checks(), *extra_checks()]


def _folders() -> list[Check]:
    from mmccd.overview.places import folder_checks

    return folder_checks()


def _looked_at(area: str, what: str, look: Callable[[], list[Check]], remedy: str = _ANEW) -> list[Check]:
    try:
        return look()
    except Exception as error:
        return [Check(area, what, "broken", f"{type(error).__name__}: {error}", remedy)]


def _without_names(check: Check) -> Check:
    return replace(check, found=without_names(check.found), remedy=without_names(check.remedy))


def without_names(text: str) -> str:
    """The text with ``~`` for the home folder, and USER and HOST for the names of this user and machine."""
    for home in {str(Path.home()), str(Path.home().resolve())} - {"/"}:
        text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
    host = socket.gethostname()
    for name, word in ((getuser(), "USER"), (host, "HOST"), (host.partition(".")[0], "HOST")):
        if name:
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", word, text)
    return text
