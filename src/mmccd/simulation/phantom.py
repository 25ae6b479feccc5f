"""A cohort of synthetic brains, healthy and with anomalies, for trying everything out without data."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmccd.data.volumes import new_volume, read_volume, write_volume
from mmccd.errors import ConfigError
from mmccd.simulation.anatomy import Anatomy, Bulge, Floats, Grid, make_anatomy
from mmccd.simulation.lesions import (
    Artefact,
    Labels,
    grow_glioma,
    plan_artefact,
    plan_glioma,
    scatter_ms_lesions,
)
from mmccd.simulation.signal import SEQUENCES, finish_scan, make_signals
from mmccd.system.files import write_atomically, write_csv, write_json
from mmccd.system.locks import sole_use
from mmccd.system.progress import Doing, ProgressCallback, no_progress
from mmccd.system.workers import worker_processes

SPACING_MM = (1.0, 4.0)  # smallest and largest
KINDS = ("glioma", "ms", "glioma", "artefact")  # of the anomalous subjects, over and over
ARTEFACTS = ("drop", "ghosting", "spike")
VALIDATION_EVERY = 6
# Raised when the same parameters start to give other pictures, so that no folder mixes the two.
RECIPE = 1


@dataclass(frozen=True)
class PhantomSubject:
    """What one subject of the cohort is.

    Attributes:
        id: Folder name and prefix of its files.
        number: From 1; with the cohort's seed it decides all random choices.
        kind: ``healthy``, ``glioma``, ``ms`` or ``artefact``.
        artefact: Which artefact, for that kind; else empty.
        split: ``train``, ``validation`` or ``test``.
    """

    id: str
    number: int
    kind: str
    artefact: str
    split: str


@dataclass(frozen=True)
class Parameters:
    """What a cohort is made from; a folder is only continued with the same ones."""

    subjects: int
    lesions: int
    seed: int
    spacing_mm: float
    recipe: int = RECIPE


def phantom(
    output: Path,
    *,
    subjects: int = 20,
    lesions: int = 10,
    seed: int = 0,
    spacing_mm: float = 2.0,
    progress: ProgressCallback = no_progress,
    workers: int | None = None,
) -> None:
    """Write a synthetic cohort in the layout of BraTS 2021, with its split and masks.

    The same parameters give the same bytes, whatever the number of workers. Subjects that are
    already there are not made again. Worker processes are spawned: in a script, call it only under
    ``if __name__ == "__main__"``.

    Args:
        output: Folder to fill: new, empty, or begun with the same parameters.
        subjects: Healthy subjects, for training and validation.
        lesions: Further subjects with an anomaly, for testing.
        seed: Source of all random choices.
        spacing_mm: Edge of a voxel.
        progress: Called with a description, the subjects done, and all of them.
        workers: Processes; None takes one per processor.

    Raises:
        ConfigError: a parameter cannot work, the folder holds something else, or another process works there.
    """
    parameters = Parameters(subjects, lesions, seed, float(spacing_mm))
    _check_parameters(parameters, workers)
    _claim_folder(output, parameters)
    cohort = plan_cohort(subjects, lesions)
    jobs = [(output, subject, seed, Grid(float(spacing_mm))) for subject in cohort]
    lesion_ml: dict[str, float] = {}
    with sole_use(output) as claim:
        for subject_id, volume_ml in _run(jobs, workers or os.cpu_count() or 1):
            lesion_ml[subject_id] = volume_ml
            progress(Doing("making phantoms", case=subject_id), len(lesion_ml), len(cohort))
        facts = [(s.id, s.kind, s.split, f"{lesion_ml[s.id]:.3f}") for s in cohort]
        names = ("subject", "kind", "split", "lesion_ml")
        claim.check()
        write_csv(output / "split.csv", [dict(zip(names, values, strict=True)) for values in facts])
        write_atomically(output / "README.txt", _readme(parameters).encode())


def plan_cohort(subjects: int, lesions: int) -> list[PhantomSubject]:
    """List the subjects: healthy ones, every sixth for validation, then the anomalous ones for testing."""
    cohort = []
    for index in range(subjects):
        # A small cohort has no sixth subject, but still needs one to set the threshold on.
        held_out = index % VALIDATION_EVERY == min(VALIDATION_EVERY, subjects) - 1 and subjects > 1
        split = "validation" if held_out else "train"
        cohort.append(PhantomSubject(f"Phantom_{index + 1:04d}", index + 1, "healthy", "", split))
    for index in range(lesions):
        kind, number = KINDS[index % len(KINDS)], subjects + index + 1
        artefact = ARTEFACTS[index // len(KINDS) % len(ARTEFACTS)] if kind == "artefact" else ""
        cohort.append(PhantomSubject(f"Phantom_{number:04d}", number, kind, artefact, "test"))
    return cohort


def simulate(subject: PhantomSubject, seed: int, grid: Grid) -> tuple[dict[str, NDArray[np.int16]], Labels]:
    """Make one subject in memory.

    Returns:
        Modality name to scan, and the labels, all on ``grid``.
    """
    # Separate streams, so that a change to one part leaves the others' choices alone.
    streams = np.random.SeedSequence([seed, subject.number]).spawn(3)
    shape_rng, lesion_rng, scan_rng = (np.random.default_rng(stream) for stream in streams)
    anatomy, fractions, labels = _make_tissue(subject.kind, shape_rng, lesion_rng, grid)
    signals = make_signals(scan_rng, anatomy, fractions)
    spoil: Artefact | None = None
    if subject.artefact:
        spoil, labels = plan_artefact(lesion_rng, anatomy, subject.artefact)
    scans = {}
    for name in SEQUENCES:
        # In every modality, each in its own way: the mask then holds whichever one a detector reads.
        signal = spoil(lesion_rng, signals[name]) if spoil else signals[name]
        scans[name] = finish_scan(scan_rng, anatomy, signal)
    mask = np.zeros(grid.shape, dtype=np.uint8)
    mask[anatomy.brain] = labels
    return scans, mask


def _make_tissue(
    kind: str, shape_rng: np.random.Generator, lesion_rng: np.random.Generator, grid: Grid
) -> tuple[Anatomy, dict[str, Floats], Labels]:
    site: Bulge | None = None
    if kind == "glioma":
        site, volume_ml = plan_glioma(lesion_rng)
    anatomy = make_anatomy(shape_rng, grid, [site] if site else [])
    if site:
        return (anatomy, *grow_glioma(lesion_rng, anatomy, site, volume_ml))
    if kind == "ms":
        return (anatomy, *scatter_ms_lesions(lesion_rng, anatomy))
    return anatomy, anatomy.fractions, np.zeros(int(anatomy.brain.sum()), dtype=np.uint8)


Job = tuple[Path, PhantomSubject, int, Grid]


def _run(jobs: Sequence[Job], workers: int) -> Iterator[tuple[str, float]]:
    """Make all subjects, and yield each one's id and lesion volume (millilitres) as it is finished."""
    workers = min(workers, len(jobs))
    if workers == 1:
        yield from map(_make_subject, jobs)
        return
    with worker_processes(workers) as pool:
        for future in as_completed([pool.submit(_make_subject, job) for job in jobs]):
            yield future.result()


def _make_subject(job: Job) -> tuple[str, float]:
    """Write one subject's files, unless they are all there; its id and its lesion volume in millilitres."""
    output, subject, seed, grid = job
    paths = {name: output / subject.id / f"{subject.id}_{name}.nii.gz" for name in (*SEQUENCES, "seg")}
    if all(path.exists() for path in paths.values()):
        if subject.kind == "healthy":
            return subject.id, 0.0
        mask = read_volume(paths["seg"])
        return subject.id, float((mask.data > 0).sum()) * mask.voxel_ml
    scans, labels = simulate(subject, seed, grid)
    like = new_volume(scans["t1"], grid.affine)
    for name, scan in scans.items():
        write_volume(paths[name], scan, like)
    write_volume(paths["seg"], labels, like)
    return subject.id, float((labels > 0).sum()) * like.voxel_ml


def _check_parameters(parameters: Parameters, workers: int | None) -> None:
    for name in ("subjects", "lesions", "seed"):
        value = getattr(parameters, name)
        if value < 0:
            raise ConfigError(f"{name} is {value}, must be 0 or more", f"give {name} a value of at least 0")
    if parameters.subjects + parameters.lesions < 1:
        raise ConfigError("subjects and lesions are both 0, must be at least 1 together", "ask for one subject or more")
    low, high = SPACING_MM
    if not low <= parameters.spacing_mm <= high:
        raise ConfigError(
            f"spacing_mm is {parameters.spacing_mm:g}, must be {low:g} to {high:g}",
            "2 suits a quick trial, 1 is the spacing of BraTS",
        )
    if workers is not None and workers < 1:
        raise ConfigError(f"workers is {workers}, must be 1 or more", "leave it out to use every processor")


def _claim_folder(output: Path, parameters: Parameters) -> None:
    """Write the parameters into a fresh folder, or make sure that they are those it was begun with."""
    record = output / "phantom.json"
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output} is a file, must be a folder", "choose another output")
    if record.exists():
        _check_record(record, parameters)
        return
    if output.is_dir() and any(not path.name.startswith(".") for path in output.iterdir()):
        raise ConfigError(
            f"{output} holds files that are not a phantom's, must be new or empty",
            "choose another output folder",
        )
    write_json(record, asdict(parameters))


def _check_record(record: Path, parameters: Parameters) -> None:
    hint = "choose another output folder, or delete this one"
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{record} cannot be read: {error}", hint) from error
    wanted = asdict(parameters)
    if found == wanted:
        return
    found = found if isinstance(found, dict) else {}
    differing = [
        f"{key} {found.get(key)} there, {wanted[key]} asked for" for key in wanted if found.get(key) != wanted[key]
    ]
    raise ConfigError(f"{record.parent} was made with other parameters: {'; '.join(differing)}", hint)


def _readme(parameters: Parameters) -> str:
    p = parameters
    return f"""Synthetic brain MRI. Nobody was scanned for these files; they serve no clinical purpose.

Made by mmccd with: subjects {p.subjects}, lesions {p.lesions}, seed {p.seed}, spacing_mm {p.spacing_mm:g} \
(recipe {p.recipe}).

Each subject is the MNI152 atlas (ICBM 2009a, as bundled with nilearn), bent at random, with T1, T2 and
proton density given to each tissue and turned into FLAIR, T1 and T2 pictures by the signal equations.
Skull-stripped, int16, 0 outside the brain, arbitrary scale per scan.

Files   Phantom_NNNN/Phantom_NNNN_{{flair,t1,t2,seg}}.nii.gz   split.csv   phantom.json (the parameters)
Labels  0 healthy, 1 necrotic core, 2 oedema, 4 enhancing rim, 5 multiple-sclerosis lesion, 6 artefact
        An artefact is in all three modalities, in each with a strength of its own.
Split   healthy subjects train, every {VALIDATION_EVERY}th validates; subjects with an anomaly test.
"""
