"""Commands about scans: simulate, check and prepare a cohort. Each imports what it needs, so that `--help` is quick."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from mmccd.cli import completion
from mmccd.cli.options import (
    CORES,
    AllWorkers,
    Data,
    IdleWorkers,
    Layout,
    OnCluster,
    Quiet,
    Seed,
    Select,
    Series,
    Strip,
    Workers,
)
from mmccd.cli.output import finish, out, say
from mmccd.errors import ConfigError
from mmccd.system.complaints import warn
from mmccd.system.plain_text import in_one_line
from mmccd.system.progress import reported_progress

if TYPE_CHECKING:
    from mmccd.data.cohort import Cohort, Image, Subject
    from mmccd.data.problems import Problem

_LISTED = 50


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
    from mmccd.simulation.phantom import phantom as make_phantom

    with reported_progress("phantom", quiet=quiet) as progress:
        make_phantom(
            output, subjects=subjects, lesions=lesions, seed=seed, spacing_mm=spacing, workers=workers,
            progress=progress,
        )  # fmt: skip
    out.print(f"{subjects + lesions} subjects in {output}")


def preprocess(
    data: Data,
    output: Annotated[Path, typer.Argument(help="Folder for the new cohort, in the BraTS 2021 layout.")],
    reference: Annotated[
        str | None,
        typer.Option(
            help="Modality whose grid is kept, for example flair. Default: the first.",
            autocompletion=completion.modalities,
        ),
    ] = None,
    bias_field: Annotated[bool, typer.Option("--n4", help="Divide the bias field out (N4).")] = False,
    strip: Strip = "auto",
    series: Series = None,
    layout: Layout = "auto",
    select: Select = None,
    quiet: Quiet = False,
) -> None:
    """From raw scans to a cohort: DICOM converted, modalities registered, brains extracted. A killed run goes on."""
    from mmccd.data.layouts.entities import parse_selection
    from mmccd.data.layouts.names import modality_named
    from mmccd.raw.brain import check_strip
    from mmccd.raw.convert import any_cohort, chosen_series
    from mmccd.raw.preprocess import preprocess as preprocess_cohort

    selection = parse_selection(select or [])
    cohort = any_cohort(data, layout, selection, series=chosen_series(series or []), told=say)
    _mention_unused(cohort)
    first = modality_named(reference) if reference else None
    with reported_progress("preprocess", quiet=quiet) as progress:
        problems = preprocess_cohort(
            cohort, output, reference=first, strip=check_strip(strip), bias_field=bias_field, progress=progress
        )
    total = len(cohort.subjects) + len(cohort.problems)
    say(f"{total - len(problems)} subjects in {output}")
    finish(problems, total)


def validate(
    data: Data,
    layout: Layout = "auto",
    select: Select = None,
    strip: Strip = "auto",
    series: Series = None,
    workers: IdleWorkers = None,
    quiet: Quiet = False,
) -> None:
    """Read every file of a cohort to the end; say which file is what, and what would go wrong later."""
    from mmccd.data.layouts.entities import parse_selection
    from mmccd.data.validate import validate as validate_cohort
    from mmccd.raw.brain import check_strip
    from mmccd.raw.convert import any_cohort, chosen_series
    from mmccd.raw.ready import ready_subject

    how, selection = check_strip(strip), parse_selection(select or [])
    cohort = any_cohort(data, layout, selection, series=chosen_series(series or []), told=say)
    total = len(cohort.subjects) + len(cohort.problems)
    with reported_progress("validate", quiet=quiet) as progress:
        ready = partial(ready_subject, strip=how)
        reports = validate_cohort(cohort, ready=ready, workers=workers, progress=progress)
    _mention_unused(cohort)
    masks = {subject.id: _masks(subject) for subject in cohort.subjects}
    table = Table("subject", "modalities", "masks", "voxels", "spacing mm", "verdict")
    for report in reports:
        spacing = "x".join(f"{mm:g}" for mm in report.spacing_mm or ())
        shape = "x".join(map(str, report.shape or ()))
        wrong = Text(in_one_line(report.problem.what), style="red") if report.problem else None
        modalities, found = " ".join(report.modalities), masks.get(report.subject, "")
        verdict = wrong or "; ".join(report.warnings) or "fine"
        table.add_row(report.subject, modalities, found, shape, spacing, verdict)
    out.print(f"layout {cohort.layout}, {total} subjects")
    out.print(table)
    _print_files(cohort)
    finish({report.subject: report.problem for report in reports if report.problem}, total)


def prepare(
    data: Data,
    store: Annotated[Path, typer.Argument(help="Folder for the prepared slices.")],
    protocol: Annotated[
        str,
        typer.Option(help="volume: all brain slices. paper-slices: axial slices 70 to 89 of 240 x 240 mm."),
    ] = "volume",
    size: Annotated[int, typer.Option(help="Side of the slices in pixels, over 240 mm.")] = 128,
    modalities: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated, for example flair,t2. Default: all that every subject has.",
            autocompletion=completion.listed(completion.modalities),
        ),
    ] = None,
    layout: Layout = "auto",
    select: Select = None,
    strip: Strip = "auto",
    series: Series = None,
    split: Annotated[Path | None, typer.Option(help="CSV with columns subject,split.")] = None,
    train_list: Annotated[Path | None, typer.Option(help="Text file of training subjects, one a line.")] = None,
    validation_list: Annotated[Path | None, typer.Option(help="Text file of validation subjects.")] = None,
    test_list: Annotated[Path | None, typer.Option(help="Text file of test subjects.")] = None,
    fractions: Annotated[
        tuple[float, float, float], typer.Option(help="Training, validation and test shares of a seeded split.")
    ] = (0.7, 0.1, 0.2),
    seed: Seed = 0,
    workers: AllWorkers = None,
    cluster: OnCluster = None,
    quiet: Quiet = False,
) -> None:
    """Turn a cohort into memory-mapped, normalised slices. A killed run goes on where it stopped."""
    from mmccd.data.cohort import all_healthy, modalities_of
    from mmccd.data.grid import OLD_PROTOCOLS, protocol_named
    from mmccd.data.layouts.entities import parse_selection
    from mmccd.data.layouts.names import modality_named
    from mmccd.data.prepare import prepare as prepare_store
    from mmccd.data.slices import StoreSettings
    from mmccd.data.splits import find_split
    from mmccd.raw.brain import check_strip
    from mmccd.raw.convert import any_cohort, chosen_series
    from mmccd.raw.ready import ready_subject

    chosen_protocol = protocol_named(protocol)
    if protocol in OLD_PROTOCOLS:
        warn(f"the protocol {protocol} is called {OLD_PROTOCOLS[protocol]} now")
    how, selection = check_strip(strip), parse_selection(select or [])
    if cluster:  # processes there work in folders of their own
        data = data.absolute()
    cohort = any_cohort(data, layout, selection, series=chosen_series(series or []), told=say)
    named = {"train": train_list, "validation": validation_list, "test": test_list}
    lists = {part: path for part, path in named.items() if path}
    parts, origin = find_split(cohort, table=split, lists=lists, fractions=fractions, seed=seed)
    there = {name for subject in cohort.subjects for name in subject.modalities}
    asked = modalities.split(",") if modalities else []
    names = tuple(modality_named(name, there) for name in asked) or modalities_of(cohort)
    if absent := [name for name in names if name not in there]:
        raise ConfigError(
            f"no subject has {', '.join(absent)}; there are {', '.join(sorted(there))}", "choose among these"
        )
    out.print(
        f"layout {cohort.layout}; modalities {', '.join(names)}; split from {origin}: {len(parts.train)} training, "
        f"{len(parts.validation)} validation, {len(parts.test)} test subjects"
    )
    _mention_unused(cohort)
    wanted = {*parts.train, *parts.validation, *parts.test}
    chosen = [subject for subject in cohort.subjects if subject.id in wanted]
    if chosen and all_healthy(chosen):
        out.print(f"no lesion mask found: all slices of all {len(chosen)} subjects are taken as healthy")
    with reported_progress("prepare", quiet=quiet) as progress:
        done, failures = prepare_store(
            cohort,
            parts,
            store,
            StoreSettings(chosen_protocol, size, names),
            ready=partial(ready_subject, strip=how, modalities=names),
            workers=CORES if workers is None and cluster is None else workers,
            cluster=cluster,
            told=say,
            progress=progress,
        )
    table = Table("split", "subjects", "healthy slices", "lesion slices")
    for part, subjects in done.manifest.subjects.items():
        counts = [len(done.rows(part, healthy=healthy)) for healthy in (True, False)]
        table.add_row(part, str(len(subjects)), *map(str, counts))
    out.print(table)
    if done.manifest.subjects["test"]:
        out.print(f"later, score test subjects alone: mmccd predict MODEL {data} -o OUT --split {store}")
    chosen_by_somebody = split or lists or origin.startswith("split.csv")  # who may have left them out on purpose
    failed: dict[str, Problem | str] = {**failures, **({} if chosen_by_somebody else cohort.problems)}
    finish(failed, len(wanted | failed.keys()))


def _print_files(cohort: "Cohort") -> None:
    """Which file became what, a line per subject, and what was left."""
    for subject in cohort.subjects:
        roles = {**subject.images, "brain": subject.brain, "lesion": subject.lesion}
        found = ", ".join(f"{role} {_shown(image, cohort.root)}" for role, image in roles.items() if image)
        out.print(f"{subject.id}: {found}", soft_wrap=True)
    for path in cohort.unused[:_LISTED]:
        out.print(f"not used: {_within(path, cohort.root)}", soft_wrap=True)
    if len(cohort.unused) > _LISTED:
        out.print(f"not used: {len(cohort.unused) - _LISTED} more")


def _shown(image: "Image", root: Path) -> str:
    channel = "" if image.channel is None else f" channel {image.channel}"
    return _within(image.path, root) + channel


def _within(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _masks(subject: "Subject") -> str:
    found = {"brain": subject.brain, "lesion": subject.lesion}
    return " ".join(name for name, image in found.items() if image) or "none"


def _mention_unused(cohort: "Cohort") -> None:
    """A lesion mask whose name is not understood would make its subject healthy."""
    if not cohort.unused:
        return
    names = [_within(path, cohort.root) for path in cohort.unused]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    warn(
        f"{len(names)} NIfTI file{'s' if len(names) > 1 else ''} not used: {shown}; "
        "if a scan or a mask is among them, rename it or write a CSV manifest"
    )
