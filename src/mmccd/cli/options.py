"""Options that several commands have."""

import os
from pathlib import Path
from typing import Annotated

import typer

from mmccd.cli import completion

Data = Annotated[
    Path,
    typer.Argument(
        help="Cohort: BraTS, nnU-Net, MSD Task01, BIDS, DICOM, a folder per subject or per modality, or a CSV manifest."
    ),
]
Layout = Annotated[
    str,
    typer.Option(
        help="auto, brats, nnunet, msd, bids, csv, modalities, folders or dicom.", autocompletion=completion.layouts
    ),
]
Select = Annotated[
    list[str] | None,
    typer.Option(
        help="ENTITY=VALUE, for example run=1: which of several files of a BIDS subject is meant. May be repeated."
    ),
]
Strip = Annotated[
    str,
    typer.Option(
        help="auto: extract the brain of scans with skull that have no brain mask, and register the modalities of a "
        "subject where they lie on several grids. always: extract it anew. never: use scans as they are."
    ),
]
Series = Annotated[
    list[str] | None,
    typer.Option(
        help="DICOM: use this series, by its number; or NUMBER=MODALITY, whatever its header says. May be repeated."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only measure what it will cost here, in time and memory; write nothing.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OpenPage = Annotated[bool, typer.Option("--open", help="Open the page in a browser, once all is written.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes.")]
AllWorkers = Annotated[int | None, typer.Option("--workers", min=1, help="Processes; default: all cores.")]
IdleWorkers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, help="Processes, on CPUs; default: as many as cores are idle, for 8 scans or more."
    ),
]
OnCluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Work there, by dask: local:N processes of this machine, slurm:FILE with the jobs to send, or the address "
        "of a scheduler, tcp://HOST:PORT. Needs mmccd[cluster].",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Anonymize = Annotated[
    Path | None,
    typer.Option(help="JSON file of random names for the cases: made or extended, and private. Results hold no other."),
]
CORES = os.cpu_count() or 1
