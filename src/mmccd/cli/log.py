"""`--log-json`, which every command with progress has: obeyed before the other options are even read."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Annotated, Any

import typer

from mmccd.system.json_lines import json_lines, say_event

LOG_JSON = "--log-json"
HELP = "Say progress, warnings and errors as JSON, one object a line, on standard error."
_NAME = "log_json"
_OPTION = Annotated[bool, typer.Option(LOG_JSON, help=HELP)]


def with_log_json(command: Callable[..., None]) -> Callable[..., None]:
    """The command with that option after ``--quiet``, where it has progress that could be quiet; else as it is."""
    parameters = inspect.signature(command, eval_str=True).parameters
    if "quiet" not in parameters:
        return command

    @wraps(command)
    def run(**options: Any) -> None:
        del options[_NAME]
        command(**options)

    added = inspect.Parameter(_NAME, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_OPTION)
    run.__signature__ = inspect.Signature([*parameters.values(), added])  # type: ignore[attr-defined]
    run.__annotations__ = {**command.__annotations__, _NAME: bool}
    return run


@contextmanager
def said_as_asked(arguments: Sequence[str], name: str) -> Iterator[Callable[[int], int]]:
    """Speak JSON where the arguments ask for it, also of arguments that are wrong.

    Args:
        arguments: Of the program.
        name: Of the command, in every line.

    Yields:
        A function of the exit code, which says it last, and returns it.
    """
    if LOG_JSON not in arguments:
        yield lambda code: code
        return

    def end(code: int) -> int:
        say_event("ended", exit_code=code)
        return code

    with json_lines(name):
        yield end
