"""The command that writes a page; it imports what it needs, so that `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from mmccd.cli.completion import models
from mmccd.cli.options import IdleWorkers, Layout, OpenPage, Quiet, Select
from mmccd.cli.output import finish, open_page, out
from mmccd.system.progress import reported_progress


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder written by `mmccd predict`, `train` or `benchmark`; or builtin:flair.", autocompletion=models
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page.")] = Path("report.html"),
    scans: Annotated[
        list[Path] | None,
        typer.Option(help="The scans that were predicted: files, a folder or a cohort. May be repeated."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Cohort with the scans and expert masks, which are drawn beside.")
    ] = None,
    layout: Layout = "auto",
    select: Select = None,
    brain: Annotated[Path | None, typer.Option(help="Brain mask of a single scan, as given to `predict`.")] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="The model that predicted: for its healthy scores and its training.", autocompletion=models),
    ] = None,
    anonymize: Annotated[bool, typer.Option("--anonymize", help="Number the cases instead of naming them.")] = False,
    viewer: Annotated[bool, typer.Option("--viewer/--no-viewer", help="With an interactive viewer.")] = True,
    max_mb: Annotated[
        float, typer.Option(min=1, help="What a page may weigh; viewers get coarser, then fewer, then cases on a page.")
    ] = 30.0,
    cases_per_page: Annotated[
        int, typer.Option(min=1, help="Cases in full on a page, the most unusual first; the rest on pages beside it.")
    ] = 50,
    workers: IdleWorkers = None,
    show: OpenPage = False,
    quiet: Quiet = False,
) -> None:
    """One offline page of predictions, of a model or of a benchmark: pictures, figures, tables, a viewer."""
    from mmccd.data.layouts.entities import parse_selection
    from mmccd.reporting.beside import pages_of
    from mmccd.reporting.predictions import Settings
    from mmccd.reporting.report import report as write_report

    settings = Settings(
        scans=(*(scans or ()), *([data] if data else ())),
        layout=layout,
        select=parse_selection(select or []),
        brain=brain,
        model=model,
        anonymize=anonymize,
        viewer=viewer,
        max_mb=max_mb,
        cases_per_page=cases_per_page,
        workers=workers,
    )
    with reported_progress("report", quiet=quiet) as progress:
        written = write_report(folder, output, settings, progress=progress)
    out.print(f"page  {written.path} ({written.size / 1e6:.1f} MB)")
    if written.pages:
        out.print(f"      {written.pages} page{'s' * (written.pages > 1)} of further cases in {pages_of(written.path)}")
    if show:
        open_page(written.path)
    finish(written.problems, len(set(written.problems)) + written.cases)
