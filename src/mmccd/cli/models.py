"""Commands about models: train, calibrate, fuse, export, predict. Each imports what it needs: `--help` is quick."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmccd.cli import completion
from mmccd.cli.options import Anonymize, Device, DryRun, IdleWorkers, Layout, OnCluster, Quiet, Select, Series, Strip
from mmccd.cli.output import finish_scored, out, print_cost, say
from mmccd.errors import ConfigError
from mmccd.system.complaints import warn
from mmccd.system.progress import reported_progress

if TYPE_CHECKING:
    from mmccd.model.card import Card


def train(
    store: Annotated[Path, typer.Argument(help="Folder written by `mmccd prepare`.")],
    model: Annotated[Path, typer.Argument(help="Folder for the model, its logs and pictures.")],
    config: Annotated[
        list[str] | None,
        typer.Option(
            help="Preset or YAML file; may be repeated, a later one goes over those before it. Sizes: paper "
            "(default), small, tiny. Method and score: best, or fast, the paper's diffusion with few evaluations. For "
            "example --config small --config best",
            autocompletion=completion.presets,
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Modality to score, for example flair.", autocompletion=completion.modalities)
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Modality to translate to, for example t2; or several at once: t1,t2.",
            autocompletion=completion.listed(completion.modalities),
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="mmccd, cyclic-unet, veiled-cycle, or a baseline such as dae; `mmccd info` lists all.",
            autocompletion=completion.methods,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Override one setting: training.steps=500. May be repeated.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed gives the same weights.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in MODEL.")] = False,
    dry_run: DryRun = False,
    device: Device = "auto",
    devices: Annotated[str, typer.Option(help="Number of devices (Lightning).")] = "auto",
    num_nodes: Annotated[int, typer.Option(min=1, help="Number of machines (Lightning).")] = 1,
    strategy: Annotated[str, typer.Option(help="auto, ddp, fsdp, ... (Lightning).")] = "auto",
    quiet: Quiet = False,
) -> None:
    """Train all networks of a model on healthy slices, then choose its threshold without labels."""
    from mmccd.data.layouts.names import modality_named
    from mmccd.data.store import open_store
    from mmccd.model.config import described, load_config, parse_override
    from mmccd.model.old_settings import PRESETS as OLD_PRESETS
    from mmccd.system.devices import choose_device
    from mmccd.training.fitting import Hardware
    from mmccd.training.processes import is_first
    from mmccd.training.train import train as train_model

    opened = open_store(store)
    targets = [modality_named(name, opened.modalities) for name in target.split(",")] if target else None
    scored = modality_named(source, opened.modalities) if source else None
    named = {"source": scored, "targets": targets, "method": method, "seed": seed}
    overrides = {key: value for key, value in named.items() if value is not None}
    overrides |= dict(parse_override(text) for text in settings or [])
    presets = config or ["paper"]
    chosen = load_config(presets, overrides)
    hardware = Hardware(device, devices, num_nodes, strategy)
    if "paper" in {OLD_PRESETS.get(name, name) for name in presets} and choose_device(device).type == "cpu":
        warn("the paper's networks take weeks to train on a CPU; --config small takes half an hour")
    speaks = is_first()
    out.print(f"method     {described(chosen)}")
    if dry_run:
        from mmccd.training.dry_run import dry_run as measure_training

        with reported_progress("dry run", quiet=quiet) as progress:
            cost = measure_training(opened, model, chosen, resume=resume, hardware=hardware, progress=progress)
        print_cost(cost.table())
        return
    with reported_progress("train", quiet=quiet) as progress:
        trained = train_model(opened, model, chosen, resume=resume, hardware=hardware, progress=progress)
    if not speaks:
        return
    _print_model(f"{model}", trained.card)
    if trained.card.training and (steps := trained.card.training.steps) < chosen.training.steps:
        out.print(f"stopped    early, at step {steps:,} of {chosen.training.steps:,}")
    out.print(f"curves     {model / 'training' / 'curves.png'}")
    out.print(f"pictures   {model / 'training' / 'pictures'}")


def calibrate(
    model: Annotated[
        Path,
        typer.Argument(help="Folder written by `mmccd train`, or builtin:flair.", autocompletion=completion.models),
    ],
    store: Annotated[Path, typer.Argument(help="Its healthy validation slices say what is ordinary.")],
    output: Annotated[Path, typer.Argument(help="Folder for the new model.")],
    config: Annotated[
        list[str] | None,
        typer.Option(
            help="Preset or YAML file: how to score (best), or how mmccd samples (fast, paper).",
            autocompletion=completion.presets,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Override one: scoring.false_positive_rate=0.05. May be repeated.")
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """The same networks, sampled or scored in another way, or matched to the healthy scans of your own site."""
    from mmccd.data.store import open_store
    from mmccd.model.config import parse_override
    from mmccd.training.calibrate import calibrate as calibrate_model

    overrides = dict(parse_override(text) for text in settings or [])
    with reported_progress("calibrate", quiet=quiet) as progress:
        made = calibrate_model(
            model, open_store(store), output, presets=config or [], overrides=overrides, device=device,
            progress=progress,
        )  # fmt: skip
    _print_model(f"{output}", made.card)


def fuse(
    store: Annotated[Path, typer.Argument(help="Its healthy validation slices give the whole its thresholds.")],
    output: Annotated[Path, typer.Argument(help="Folder for the fused model.")],
    models: Annotated[
        list[Path],
        typer.Argument(
            help="Models that score by evidence: of several modalities, or trainings of one.",
            autocompletion=completion.models,
        ),
    ],
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Join models into one: of several modalities, for subjects that have them all; or several trainings of one."""
    from mmccd.data.store import open_store
    from mmccd.training.fuse import fuse as fuse_models

    with reported_progress("fuse", quiet=quiet) as progress:
        made = fuse_models(models, open_store(store), output, device=device, progress=progress)
    _print_model(f"{output}: {', '.join(made.card.members)}", made.card)


def export(
    model: Annotated[
        Path,
        typer.Argument(
            help="Folder written by `mmccd train`, `calibrate` or `fuse`.", autocompletion=completion.models
        ),
    ],
    package: Annotated[Path, typer.Argument(help="File to write, for example model.zip.")],
) -> None:
    """A model as one file to hand on: its weights and its card, and nothing else."""
    from mmccd.model.export import export as export_model

    digest = export_model(model, package)
    out.print(f"package    {package}")
    out.print(f"sha256     {digest}")


def predict(
    model: Annotated[
        Path,
        typer.Argument(
            help="Folder or .zip of a model; or builtin:flair, builtin:t1, builtin:t2.",
            autocompletion=completion.models,
        ),
    ],
    inputs: Annotated[
        list[Path], typer.Argument(help="Scans (NIfTI, DICOM, MGH, NRRD, MetaImage), folders of them, or cohorts.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    layout: Layout = "auto",
    select: Select = None,
    brain: Annotated[Path | None, typer.Option(help="Brain mask, for one input file.")] = None,
    strip: Strip = "auto",
    series: Series = None,
    split: Annotated[
        Path | None, typer.Option(help="A store, or a CSV with columns subject,split: score its test subjects.")
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(help="K/N: score share K of N, told by the ids of the cases. For job arrays; see `summarise`."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Slices at a time.")] = 16,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Score again what is already there.")] = False,
    device: Device = "auto",
    runtime: Annotated[str, typer.Option(help="torch, or openvino (an extra, somewhat faster on CPUs).")] = "torch",
    threshold: Annotated[
        str,
        typer.Option(
            help="voxel: marks a known share of a healthy brain. relative: the same above each scan's own level, for "
            "other scanners. scan: marks nothing in most healthy scans."
        ),
    ] = "voxel",
    min_lesion_ml: Annotated[
        float,
        typer.Option("--min-lesion-ml", help="Remove what is marked in connected parts smaller than this; 0: nothing."),
    ] = 0.0,
    dicom_seg: Annotated[
        bool,
        typer.Option(
            "--dicom-seg", help="Of DICOM input: write the mask as a DICOM segmentation, too. Names the patient."
        ),
    ] = False,
    preview: Annotated[bool, typer.Option("--preview/--no-preview", help="Write a picture of each case.")] = True,
    workers: IdleWorkers = None,
    cluster: OnCluster = None,
    anonymize: Anonymize = None,
    bids: Annotated[
        bool, typer.Option("--bids", help="Of a BIDS dataset: write BIDS derivatives into OUTPUT, ready to share.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Score scans: anomaly map, mask, picture and JSON per case, on the scan's own grid, and two tables."""
    from mmccd.data.layouts.entities import parse_selection
    from mmccd.data.own_folders import NATIVE
    from mmccd.data.splits import read_split_csv
    from mmccd.prediction.bids import predict_bids
    from mmccd.prediction.detector import Detector
    from mmccd.prediction.predict import predict as predict_scans
    from mmccd.prediction.share import parse_share
    from mmccd.raw.brain import check_strip
    from mmccd.raw.convert import chosen_series

    how, chosen = check_strip(strip), chosen_series(series or [])
    share = parse_share(part) if part else None
    if bids and series:
        raise ConfigError("--series chooses among DICOM, and --bids takes a BIDS dataset", "leave --series out")
    if bids and dicom_seg:
        raise ConfigError("--dicom-seg needs DICOM input, and --bids takes a BIDS dataset", "leave --dicom-seg out")
    selection = parse_selection(select or [])
    detector = Detector.load(
        model, device=device, batch_size=batch_size, runtime=runtime, threshold=threshold, min_lesion_ml=min_lesion_ml
    )
    subjects = read_split_csv(split).test if split else None
    with reported_progress(f"predict on {detector.device}", quiet=quiet) as progress:
        options: dict[str, Any] = {
            "layout": layout, "select": selection, "brain": brain, "strip": how, "subjects": subjects, "share": share,
            "overwrite": overwrite, "preview": preview, "workers": workers, "cluster": cluster, "anonymize": anonymize,
            "told": say, "progress": progress,
        }  # fmt: skip
        if bids:
            outcomes = predict_bids(detector, inputs, output, model=model.name, **options)
        else:
            outcomes = predict_scans(detector, inputs, output, series=chosen, dicom_seg=dicom_seg, **options)
    finish_scored(outcomes, output / NATIVE if bids else output)


def _print_model(name: str, card: "Card") -> None:
    out.print(f"model      {name}")
    out.print(f"threshold  {card.threshold.value:.4f}: {card.threshold.criterion}")
    out.print(f"guarantee  {card.threshold.guarantee}")
