"""Commands about results: demo, evaluation, benchmark. Each imports what it needs, so that `--help` is quick."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from mmccd.cli import completion
from mmccd.cli.options import (
    CORES,
    Anonymize,
    Data,
    Device,
    DryRun,
    IdleWorkers,
    Layout,
    OnCluster,
    OpenPage,
    Quiet,
    Seed,
    Select,
    Workers,
)
from mmccd.cli.output import finish, open_page, out, print_cost, print_evaluation, say
from mmccd.data.own_folders import SUMMARY, results_in
from mmccd.errors import ConfigError
from mmccd.system.progress import reported_progress


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything that is made.")] = Path("demo"),
    scan: Annotated[
        Path | None,
        typer.Option(help="A FLAIR scan of your own for the model that ships; else a simulated head."),
    ] = None,
    seed: Seed = 0,
    workers: Workers = CORES,
    show: OpenPage = False,
    quiet: Quiet = False,
) -> None:
    """A scan with skull in a minute, then the whole path on a synthetic cohort: no data needed, two CPU cores do."""
    from mmccd.overview.demo import demo as run_demo
    from mmccd.overview.demo import first_result

    progress_of = partial(reported_progress, quiet=quiet)
    first = first_result(output, seed=seed, scan=scan, progress_of=progress_of)
    out.print(
        "A model that ships has looked at a scan of yours:" if scan else "A model that ships has looked at a head:",
        f"page     {first.page}",
        f"picture  {first.picture}",
        "Now the whole path, in a few minutes: a cohort, two trainings, and what they find in scans they never saw.",
        sep="\n",
    )
    if show:
        open_page(first.page)
    result = run_demo(output, seed=seed, workers=workers, progress_of=progress_of)
    print_evaluation(result.table())
    out.print("These scans are simulated; for real ones see the README.")
    out.print(
        f"page     {result.page}",
        f"picture  {result.montage}",
        f"tables   {output / '*' / 'evaluation' / 'table.md'}",
        sep="\n",
    )
    if show:
        open_page(result.page)


def summarise(
    results: Annotated[Path, typer.Argument(help="Folder written by `mmccd predict`, by one job or by many.")],
) -> None:
    """Write the tables of a folder of results anew, once all jobs of an array have ended; and count what there is."""
    from mmccd.prediction.summary import summarise as summarise_results

    outcomes = summarise_results(results)
    failures = {outcome.case: outcome.problem for outcome in outcomes if outcome.problem}
    out.print(f"cases    {len(outcomes)}, failed {len(failures)}")
    out.print(f"summary  {results_in(results) / SUMMARY}")
    finish(failures, len(outcomes))


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder written by `mmccd predict`.")],
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for tables and the montage.")],
    layout: Layout = "auto",
    select: Select = None,
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap resamples over subjects.")] = 2000,
    seed: Seed = 0,
    anonymize: Anonymize = None,
    workers: IdleWorkers = None,
    cluster: OnCluster = None,
    quiet: Quiet = False,
) -> None:
    """Compare detections with expert masks, beside a plain intensity threshold, with 95 % intervals."""
    from mmccd.data.layouts.entities import parse_selection
    from mmccd.evaluation.evaluate import evaluate as evaluate_predictions

    selection = parse_selection(select or [])
    with reported_progress("evaluate", quiet=quiet) as progress:
        found = evaluate_predictions(
            predictions, data, output, layout=layout, select=selection, resamples=resamples, seed=seed,
            anonymize=anonymize, workers=workers, cluster=cluster, told=say, progress=progress,
        )  # fmt: skip
    print_evaluation(found.table())
    out.print(
        f"tables   {output / 'table.md'}", f"montage  {output / 'montage.png'}", sep="\n", highlight=False, markup=False
    )
    finish(found.failures, len(found.failures) + len({row["case"] for row in found.rows}))


def benchmark(
    store: Annotated[Path, typer.Argument(help="Folder written by `mmccd prepare`, with all three parts.")],
    output: Annotated[Path, typer.Argument(help="Folder for models, tables and pictures.")],
    size: Annotated[
        str,
        typer.Option(help="small: 64 px, small networks, for two CPU cores. full: 128 px, the paper's networks, GPU."),
    ] = "small",
    methods: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated; default: all. See `mmccd info`.",
            autocompletion=completion.listed(completion.methods),
        ),
    ] = None,
    sources: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated modalities; default: all of the store.",
            autocompletion=completion.listed(completion.modalities),
        ),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(help="NAME=STORE: test subjects of another disease for the same models. May be repeated."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Override one setting of every training. May be repeated.")
    ] = None,
    paper_sampler: Annotated[
        bool,
        typer.Option(
            "--paper-sampler/--no-paper-sampler", help="Also sample MMCCD as the paper does: most of the time."
        ),
    ] = True,
    dry_run: DryRun = False,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train and compare every method under one protocol: tables, curves, pictures, RESULTS.md. Resumable."""
    from mmccd.comparison.benchmark import benchmark as run_benchmark
    from mmccd.comparison.plan import Plan
    from mmccd.data.store import open_store
    from mmccd.model.config import parse_override

    opened = open_store(store)
    others = {}
    for text in also or []:
        name, separator, path = text.partition("=")
        if not (name and separator and path):
            raise ConfigError(f"--also {text!r} is not of the form NAME=STORE", "for example --also ms=stores/ms")
        others[name] = open_store(Path(path))
    plan = Plan(
        size=size,
        methods=_names(methods),
        sources=_names(sources) or opened.modalities,
        overrides=dict(parse_override(text) for text in settings or []),
        paper_sampler=paper_sampler,
        seed=seed,
        device=device,
    )
    if dry_run:
        from mmccd.comparison.dry_run import benchmark_cost, cost_table

        with reported_progress("dry run", quiet=quiet) as progress:
            costs = benchmark_cost(opened, output, plan, others=others, progress=progress)
        print_cost(cost_table(costs))
        out.print("Tables, metrics and pictures, and the rows of plain intensities, come on top.")
        return
    asked = [f"--also {name}=STORE" for name in others] + [f"--set {text}" for text in settings or []]
    asked += [f"--methods {methods}"] * bool(methods) + [f"--sources {sources}"] * bool(sources)
    asked += ["--no-paper-sampler"] * (not paper_sampler)
    command = " ".join(["mmccd benchmark STORE OUT", f"--size {size} --seed {seed}", *asked])
    with reported_progress("benchmark", quiet=quiet) as progress:
        result = run_benchmark(opened, output, plan, others=others, command=command, progress=progress)
    for source in plan.sources:
        header, *lines = result.table(source)
        table = Table(*header, title=f"{source} as input")
        for line in lines:
            table.add_row(*line)
        out.print(table)
    out.print("Mean over subjects [95 % interval]. Only oracle_dice chose its threshold with labels.")
    out.print(f"page  {result.page}")


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",")) if text else ()
