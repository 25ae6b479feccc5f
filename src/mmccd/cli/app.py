"""The command line: verbs only, gathered from the modules beside this one; every failure ends here."""

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from signal import Signals
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from mmccd.cli import data as cli_data
from mmccd.cli import doctor as cli_doctor
from mmccd.cli import models as cli_models
from mmccd.cli import report as cli_report
from mmccd.cli import results as cli_results
from mmccd.cli.completion import join_at_colon, models
from mmccd.cli.examples import epilog_of
from mmccd.cli.log import said_as_asked, with_log_json
from mmccd.cli.options import AsJson
from mmccd.cli.output import (
    BUG,
    CLOSED,
    FINE,
    FROM_SIGNALS,
    INTERRUPTED,
    NONE_WORKED,
    TERMINATED,
    USAGE,
    out,
)
from mmccd.errors import ConfigError, MmccdError, ModelError
from mmccd.system.complaints import complain, warnings_as_lines
from mmccd.system.memory import check_limit, is_lack_of_memory, lacking
from mmccd.system.own_process import settle
from mmccd.system.signals import leaving_when_asked
from mmccd.system.streams import STANDARD_OUTPUT, drop_output, steady_streams
from mmccd.version import __version__

RARE_COLLECTIONS = (50_000, 20, 50)
"""Of garbage: imports make hundreds of thousands of objects, all of which stay."""
LEAST_MB, LEAST_MB_TO_COMPUTE = 500, 1000
"""Of address space: below, NumPy or PyTorch cannot start, and some of their parts then wait for ever."""
_WITHOUT_NETWORKS = ("phantom", "validate", "prepare", "summarise")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Find what should not be there in a brain MRI, without outlining a single lesion.\n\n"
    "Train on healthy-looking slices of two modalities; at test time one modality is enough.\n\n"
    "[bold]Start here:[/bold]  mmccd demo\n\n"
    "[bold]Your data:[/bold]  mmccd validate DATA  ·  prepare DATA STORE  ·  train STORE MODEL  ·  "
    "predict MODEL SCANS -o OUT  ·  evaluate OUT DATA -o RESULTS  ·  report OUT -o report.html  ·  "
    "benchmark STORE OUT\n\n"
    "Research use only. Not a medical device.",
)


def _version(asked: bool) -> None:
    if asked:
        print(f"mmccd {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback answers
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    check_limit(LEAST_MB if context.invoked_subcommand in _WITHOUT_NETWORKS else LEAST_MB_TO_COMPUTE)


@app.command(epilog=epilog_of("info"))
def info(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A model (a folder, a .zip, or builtin:flair) or a store to describe.", autocompletion=models
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Versions, devices and presets of this installation; or what a MODEL or STORE holds."""
    from mmccd.overview.info import info as facts

    values = facts(path)
    if as_json:
        print(json.dumps(values, indent=2))
        return
    table = Table(Column(style="bold"), Column(), show_header=False, box=None)
    for key, value in values.items():
        table.add_row(key, value if isinstance(value, str) else json.dumps(value))
    out.print(table)


for _command in (
    cli_doctor.doctor,
    cli_results.demo,
    cli_data.phantom,
    cli_data.preprocess,
    cli_data.validate,
    cli_data.prepare,
    cli_models.train,
    cli_models.calibrate,
    cli_models.fuse,
    cli_models.export,
    cli_models.predict,
    cli_results.summarise,
    cli_results.evaluate,
    cli_results.benchmark,
    cli_report.report,
):
    app.command(epilog=epilog_of(_command.__name__))(with_log_json(_command))


GO_ON = "the same command goes on where it stopped; train with --resume"
REPORT = "this is a bug: run again with MMCCD_DEBUG=1 and report the traceback, with what `mmccd doctor` says"
SPACE = "make space, and check who may read and write there"


def _fail(message: str, hint: str, code: int) -> int:
    complain(message, hint)
    return code


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    join_at_colon()
    given = sys.argv[1:] if arguments is None else arguments
    name = next((text for text in given if not text.startswith("-")), "mmccd")
    with said_as_asked(given, name) as end:
        command = typer.main.get_command(app)
        return end(ended(lambda: command(args=given, prog_name="mmccd", standalone_mode=False), name="mmccd"))


def ended(command: Callable[[], Any], *, name: str) -> int:
    """Run what one program does; every failure is one line `error:` and one line `hint:`, and an exit code."""
    try:
        with warnings_as_lines(), leaving_when_asked():
            result = command()
        if result == INTERRUPTED:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt
        return result if isinstance(result, int) else FINE
    except typer.Exit as leave:
        return leave.exit_code
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        asked = context.command_path if context else name
        return _fail(str(error), f"see `{asked} --help`", USAGE) if str(error) else USAGE  # without arguments: help
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", GO_ON, INTERRUPTED)
    except SystemExit as leaving:  # a signal
        code = leaving.code if isinstance(leaving.code, int) else TERMINATED  # Lightning's own has none
        if code == FINE:  # typer has answered a shell that completes
            return FINE
        if code < FROM_SIGNALS:  # typer's answer to a pipe that nobody reads any more, such as `| head`
            return CLOSED
        return _fail(f"stopped by {Signals(code - FROM_SIGNALS).name}", GO_ON, code)
    except MmccdError as error:
        return _fail(error.message, error.hint, USAGE if isinstance(error, ConfigError | ModelError) else NONE_WORKED)
    except OSError as error:
        if is_lack_of_memory(error):
            return _fail(*lacking(error), NONE_WORKED)
        if error.filename == STANDARD_OUTPUT:  # else Python tries again as it ends
            drop_output()
        return _fail(f"{error.filename or 'a file'}: {error.strerror or error}", SPACE, NONE_WORKED)
    except Exception as error:
        if is_lack_of_memory(error):
            return _fail(*lacking(error), NONE_WORKED)
        if os.environ.get("MMCCD_DEBUG"):
            raise
        kind = type(error).__name__
        return _fail(f"{kind}: {error}", REPORT, BUG)


def entry() -> None:
    """The installed command."""
    leave(main)


def leave(program: Callable[[], int]) -> None:
    """Run an installed program, and leave with its exit code."""
    steady_streams()
    settle()
    gc.set_threshold(*RARE_COLLECTIONS)
    code = program()
    gc.freeze()  # else all that was imported is searched for rubbish on the way out, which takes a second
    if code == CLOSED:
        drop_output()  # what is left in it has no reader
        sys.exit(code)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
        sys.exit(CLOSED)
    except OSError as error:
        drop_output()
        sys.exit(_fail(f"{STANDARD_OUTPUT}: {error.strerror}", SPACE, NONE_WORKED))
    sys.exit(code)
