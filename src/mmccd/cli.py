"""The command line: verbs only. Each imports what it needs, so that `--help` answers at once."""

import json
import os
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import mmccd
from mmccd.complaints import complain, warn, warnings_as_lines
from mmccd.errors import ConfigError, MmccdError, ModelError
from mmccd.progress import reported_progress

FINE, BUG, USAGE, SOME_FAILED, NONE_WORKED, INTERRUPTED = 0, 1, 2, 3, 4, 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Find what should not be there in a brain MRI, without a single annotation.\n\n"
    "Train on healthy-looking slices of two modalities; at test time one modality is enough.\n\n"
    "[bold]Start here:[/bold]  mmccd demo\n\n"
    "[bold]Your data:[/bold]  mmccd validate DATA  ·  prepare DATA STORE  ·  train STORE MODEL  ·  "
    "predict MODEL SCANS -o OUT  ·  evaluate OUT DATA -o RESULTS\n\n"
    "Research use only. Not a medical device.",
)
out = Console(width=None if sys.stdout.isatty() else 120)  # a log is no 80-column terminal


class ProtocolName(StrEnum):
    """Which slices a store holds."""

    volume = "volume"
    published = "published"


Data = Annotated[Path, typer.Argument(help="Cohort: BraTS, MSD Task01, BIDS or subject folders, or a CSV manifest.")]
Layout = Annotated[str, typer.Option(help="auto, brats, msd, bids, csv or folders.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
CORES = os.cpu_count() or 1


def _version(asked: bool) -> None:
    if asked:
        print(f"mmccd {mmccd.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


@app.command()
def info(
    path: Annotated[Path | None, typer.Argument(help="A model or a store to describe.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Versions, devices and presets of this installation; or what a MODEL or STORE holds."""
    from mmccd.description import describe

    values = describe(path)
    if as_json:
        print(json.dumps(values, indent=2))
        return
    table = Table(show_header=False, box=None)
    for key, value in values.items():
        table.add_row(f"[bold]{escape(key)}[/bold]", escape(value if isinstance(value, str) else json.dumps(value)))
    out.print(table)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything that is made.")] = Path("demo"),
    seed: Seed = 0,
    workers: Workers = CORES,
    quiet: Quiet = False,
) -> None:
    """The whole path on a synthetic cohort: no data needed, minutes on two CPU cores."""
    from mmccd.demo import run_demo

    result = run_demo(output, seed=seed, workers=workers, progress_of=partial(reported_progress, quiet=quiet))
    _print_evaluation(result.table())
    out.print("These scans are simulated; for real ones see the README.", highlight=False, markup=False)
    out.print(
        f"picture  {result.montage}",
        f"tables   {' and '.join(str(output / name / 'evaluation' / 'table.md') for name in result.evaluations)}",
        sep="\n",
        highlight=False,
        markup=False,
    )


@app.command()
def phantom(
    output: Annotated[Path, typer.Argument(help="Folder for the cohort, in the BraTS 2021 layout.")],
    subjects: Annotated[int, typer.Option(help="Healthy subjects, for training and validation.")] = 20,
    lesions: Annotated[int, typer.Option(help="Subjects with tumours, MS-like lesions or artefacts, for test.")] = 10,
    seed: Seed = 0,
    spacing: Annotated[float, typer.Option(help="Voxel size in mm.")] = 2.0,
    workers: Workers = CORES,
    quiet: Quiet = False,
) -> None:
    """Simulate a cohort: MNI anatomy, deformed per subject, with FLAIR, T1 and T2 from relaxation times."""
    from mmccd.phantom import make_phantom

    with reported_progress("phantom", quiet=quiet) as progress:
        make_phantom(
            output, subjects=subjects, lesions=lesions, seed=seed, spacing_mm=spacing, workers=workers,
            progress=progress,
        )  # fmt: skip
    out.print(f"{subjects + lesions} subjects in {output}", highlight=False, markup=False)


@app.command()
def validate(data: Data, layout: Layout = "auto", quiet: Quiet = False) -> None:
    """Read every file of a cohort to the end, and say what would go wrong later."""
    from mmccd.cohort import read_cohort
    from mmccd.validation import validate_cohort

    cohort = read_cohort(data, layout)
    total = len(cohort.subjects) + len(cohort.problems)
    with reported_progress("validate", quiet=quiet) as progress:
        reports = validate_cohort(cohort, progress=progress)
    table = Table("subject", "modalities", "voxels", "spacing mm", "verdict")
    for report in reports:
        spacing = "x".join(f"{mm:g}" for mm in report.spacing_mm or ())
        shape = "x".join(map(str, report.shape or ()))
        verdict = escape("; ".join(report.warnings)) or "fine"
        verdict = verdict if report.ok else f"[red]{escape(report.error)}[/red]"
        table.add_row(escape(report.subject), escape(" ".join(report.modalities)), shape, spacing, verdict)
    out.print(f"layout {cohort.layout}, {total} subjects", highlight=False, markup=False)
    out.print(table)
    _finish({report.subject: f"{report.error} ({report.hint})" for report in reports if not report.ok}, total)


@app.command()
def prepare(
    data: Data,
    store: Annotated[Path, typer.Argument(help="Folder for the prepared slices.")],
    protocol: Annotated[
        ProtocolName,
        typer.Option(help="volume: all brain slices. published: axial slices 70 to 89 of 240 x 240 mm, as the paper."),
    ] = ProtocolName.volume,
    size: Annotated[int, typer.Option(help="Side of the slices in pixels, over 240 mm.")] = 128,
    modalities: Annotated[
        str | None, typer.Option(help="Comma-separated, for example flair,t2. Default: all that every subject has.")
    ] = None,
    layout: Layout = "auto",
    split: Annotated[Path | None, typer.Option(help="CSV with columns subject,split.")] = None,
    train_list: Annotated[Path | None, typer.Option(help="Text file of training subjects, one a line.")] = None,
    validation_list: Annotated[Path | None, typer.Option(help="Text file of validation subjects.")] = None,
    test_list: Annotated[Path | None, typer.Option(help="Text file of test subjects.")] = None,
    fractions: Annotated[
        tuple[float, float, float], typer.Option(help="Training, validation and test shares of a seeded split.")
    ] = (0.7, 0.1, 0.2),
    seed: Seed = 0,
    workers: Workers = CORES,
    quiet: Quiet = False,
) -> None:
    """Turn a cohort into memory-mapped, normalised slices. A killed run goes on where it stopped."""
    from mmccd.cohort import modalities_of, read_cohort
    from mmccd.preparation import StoreSettings
    from mmccd.preparation import prepare as prepare_store
    from mmccd.splits import find_split, patients_in_two_parts

    cohort = read_cohort(data, layout)
    named = {"train": train_list, "validation": validation_list, "test": test_list}
    lists = {part: path for part, path in named.items() if path}
    parts, origin = find_split(cohort, table=split, lists=lists, fractions=fractions, seed=seed)
    names = tuple(name.strip() for name in modalities.split(",")) if modalities else modalities_of(cohort)
    out.print(
        f"layout {cohort.layout}; modalities {', '.join(names)}; split from {origin}: {len(parts.train)} training, "
        f"{len(parts.validation)} validation, {len(parts.test)} test subjects",
        highlight=False,
    )
    for patient in patients_in_two_parts(parts):
        warn(f"patient {patient} has sessions in two parts of the split")
    with reported_progress("prepare", quiet=quiet) as progress:
        done, failures = prepare_store(
            cohort, parts, store, StoreSettings(protocol.value, size, names), workers=workers, progress=progress
        )
    table = Table("split", "subjects", "healthy slices", "lesion slices")
    for part, subjects in done.manifest["subjects"].items():
        counts = [len(done.rows(part, healthy=healthy)) for healthy in (True, False)]
        table.add_row(part, str(len(subjects)), *map(str, counts))
    out.print(table)
    _finish(failures, len(parts.train) + len(parts.validation) + len(parts.test))


@app.command()
def train(
    store: Annotated[Path, typer.Argument(help="Folder written by `mmccd prepare`.")],
    model: Annotated[Path, typer.Argument(help="Folder for the model, its logs and pictures.")],
    config: Annotated[
        list[str] | None,
        typer.Option(
            help="Preset or YAML file; may be repeated, a later one goes over those before it. Sizes: published "
            "(default), small, tiny. How mmccd samples and scores: fast, best. For example --config small --config best"
        ),
    ] = None,
    source: Annotated[str | None, typer.Option(help="Modality to score, for example flair.")] = None,
    target: Annotated[
        str | None, typer.Option(help="Modality to translate to, for example t2; or several at once: t1,t2.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="mmccd or cyclic-unet.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Override one setting: training.steps=500. May be repeated.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same weights.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in MODEL.")] = False,
    device: Device = "auto",
    devices: Annotated[str, typer.Option(help="Number of devices (Lightning).")] = "auto",
    num_nodes: Annotated[int, typer.Option(min=1, help="Number of machines (Lightning).")] = 1,
    strategy: Annotated[str, typer.Option(help="auto, ddp, fsdp, ... (Lightning).")] = "auto",
    quiet: Quiet = False,
) -> None:
    """Train all networks of a model on healthy slices, then choose its threshold without labels."""
    from mmccd.config import load_config, parse_override
    from mmccd.devices import choose_device
    from mmccd.store import open_store
    from mmccd.training import Hardware
    from mmccd.training import train as train_model

    targets = [name.strip() for name in target.split(",")] if target else None
    named = {"source": source, "targets": targets, "method": method, "seed": seed}
    overrides = {key: value for key, value in named.items() if value is not None}
    overrides |= dict(parse_override(text) for text in settings or [])
    chosen = load_config(config or ["published"], overrides)
    hardware = Hardware(device, devices, num_nodes, strategy)
    if "published" in (config or ["published"]) and choose_device(device).type == "cpu":
        warn("the published networks take weeks to train on a CPU; --config small takes half an hour")
    with reported_progress("train", quiet=quiet) as progress:
        trained = train_model(open_store(store), model, chosen, resume=resume, hardware=hardware, progress=progress)
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return  # one of several processes speaks for all
    threshold = trained.card["threshold"]
    out.print(f"model      {model}", highlight=False, markup=False)
    out.print(f"threshold  {threshold['value']:.4f}: {threshold['criterion']}", highlight=False, markup=False)
    if (steps := trained.card["training"]["steps"]) < chosen.training.steps:
        out.print(f"stopped    early, at step {steps:,} of {chosen.training.steps:,}", highlight=False, markup=False)
    out.print(f"curves     {model / 'training' / 'curves.png'}", highlight=False, markup=False)
    out.print(f"pictures   {model / 'training' / 'pictures'}", highlight=False, markup=False)


@app.command()
def calibrate(
    model: Annotated[Path, typer.Argument(help="Folder written by `mmccd train`.")],
    store: Annotated[Path, typer.Argument(help="Its healthy validation slices say what is ordinary.")],
    output: Annotated[Path, typer.Argument(help="Folder for the new model.")],
    config: Annotated[
        list[str] | None, typer.Option(help="Preset or YAML file, for how to sample and score: best, fast, published.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Override one: scoring.smooth_mm=4. May be repeated.")
    ] = None,
    device: Device = "auto",
) -> None:
    """The same networks, sampled or scored in another way, or matched to the healthy scans of your own site."""
    from mmccd.config import parse_override
    from mmccd.recalibration import recalibrate
    from mmccd.store import open_store

    overrides = dict(parse_override(text) for text in settings or [])
    made = recalibrate(model, open_store(store), output, presets=config or [], overrides=overrides, device=device)
    threshold = made.card["threshold"]
    out.print(f"model      {output}", highlight=False, markup=False)
    out.print(f"threshold  {threshold['value']:.4f}: {threshold['criterion']}", highlight=False, markup=False)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="Folder written by `mmccd train`.")],
    inputs: Annotated[list[Path], typer.Argument(help="NIfTI files, folders of them, or cohorts.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    layout: Layout = "auto",
    brain: Annotated[Path | None, typer.Option(help="Brain mask, for one input file.")] = None,
    split: Annotated[Path | None, typer.Option(help="CSV with columns subject,split: score its test subjects.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Slices at a time.")] = 16,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Score again what is already there.")] = False,
    device: Device = "auto",
    runtime: Annotated[str, typer.Option(help="torch, or openvino (an extra, somewhat faster on CPUs).")] = "torch",
    quiet: Quiet = False,
) -> None:
    """Score scans: anomaly map, mask, picture and JSON per case, on the scan's own grid, and summary.csv."""
    from mmccd.detector import Detector
    from mmccd.prediction import SUMMARY
    from mmccd.prediction import predict as predict_scans
    from mmccd.splits import read_split_csv

    detector = Detector.load(model, device=device, batch_size=batch_size, runtime=runtime)
    subjects = read_split_csv(split).test if split else None
    with reported_progress(f"predict on {detector.device}", quiet=quiet) as progress:
        outcomes = predict_scans(
            detector, inputs, output, layout=layout, brain=brain, subjects=subjects, overwrite=overwrite,
            progress=progress,
        )  # fmt: skip
    table = Table("case", "status", "score", "marked ml", "seconds", "remarks")
    for outcome in outcomes:
        numbers = (outcome.score, outcome.lesion_volume_ml, outcome.seconds)
        cells = ["" if number is None else f"{number:.2f}" for number in numbers]
        table.add_row(escape(outcome.case), outcome.status, *cells, escape(outcome.warnings or outcome.error))
    out.print(table)
    out.print(f"summary  {output / SUMMARY}", highlight=False, markup=False)
    failures = {o.case: f"{o.error} ({o.hint})" if o.hint else o.error for o in outcomes if o.status == "failed"}
    _finish(failures, len(outcomes))


@app.command()
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder written by `mmccd predict`.")],
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for tables and the montage.")],
    layout: Layout = "auto",
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap resamples over subjects.")] = 2000,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Compare detections with expert masks, beside a plain intensity threshold, with 95 % intervals."""
    from mmccd.evaluation import evaluate as evaluate_predictions

    with reported_progress("evaluate", quiet=quiet) as progress:
        found = evaluate_predictions(
            predictions, data, output, layout=layout, resamples=resamples, seed=seed, progress=progress
        )
    _print_evaluation(found.table())
    out.print(
        f"tables   {output / 'table.md'}", f"montage  {output / 'montage.png'}", sep="\n", highlight=False, markup=False
    )
    _finish(found.failures, len(found.failures) + len({row["case"] for row in found.rows}))


def _print_evaluation(lines: list[list[str]]) -> None:
    """Methods as columns: the table stays narrow enough for a terminal."""
    table = Table(*[line[0] for line in lines][:1], *[line[0] for line in lines[1:]])
    for i, metric in enumerate(lines[0][1:], start=1):
        table.add_row(metric, *(line[i] for line in lines[1:]))
    out.print(table)
    out.print(
        "Mean over cases [95 % interval]. Only oracle_dice chose its threshold with these labels.", highlight=False
    )


def _finish(failures: dict[str, str], total: int) -> None:
    """List what failed, and leave with the exit code that says whether anything worked."""
    for case, reason in failures.items():
        print(f"failed: {case}: {reason}", file=sys.stderr)
    if failures:
        raise typer.Exit(NONE_WORKED if len(failures) >= total else SOME_FAILED)


def _fail(message: str, hint: str, code: int) -> int:
    complain(message, hint)
    return code


def main(arguments: list[str] | None = None) -> int:
    """Run one command; every failure is one line `error:` and one line `hint:`, and an exit code."""
    try:
        with warnings_as_lines():
            result: Any = typer.main.get_command(app)(args=arguments, prog_name="mmccd", standalone_mode=False)
        if result == INTERRUPTED:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt
        return result if isinstance(result, int) else FINE
    except typer.Exit as leave:
        return leave.exit_code
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "mmccd"
        return _fail(str(error), f"see `{command} --help`", USAGE)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", "prepare and predict go on where they stopped; train with --resume", INTERRUPTED)
    except MmccdError as error:
        return _fail(error.message, error.hint, USAGE if isinstance(error, ConfigError | ModelError) else NONE_WORKED)
    except Exception as error:
        if os.environ.get("MMCCD_DEBUG"):
            raise
        kind = type(error).__name__
        return _fail(f"{kind}: {error}", "this is a bug: run again with MMCCD_DEBUG=1 and report the traceback", BUG)


def entry() -> None:
    """The installed command."""
    sys.exit(main())
