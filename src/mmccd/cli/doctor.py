"""The command that says whether an installation works; it imports what it needs, so that `--help` is quick."""

import json

import typer
from rich.table import Table
from rich.text import Text

from mmccd.cli.options import AsJson
from mmccd.cli.output import BROKEN, out

_COLOURS = {"ok": "green", "absent": "cyan", "warning": "yellow", "broken": "bold red"}


def doctor(as_json: AsJson = False) -> None:
    """Whether this installation works here: packages, extras, devices, folders, and a scan whose answer is known."""
    from mmccd.overview.doctor import doctor as look_at_everything

    found = look_at_everything()
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
    else:
        table = Table("area", "what", "state", "found", "what to do")
        for check in found.checks:
            state = Text(check.state, style=_COLOURS[check.state])
            table.add_row(check.area, check.what, state, check.found, check.remedy)
        out.print(table)
        out.print(Text(found.verdict, style=_COLOURS[found.state]), soft_wrap=True)
    if found.state == "broken":
        raise typer.Exit(BROKEN)
