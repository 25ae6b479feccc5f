"""`mmccd preprocess`: raw scans in; out comes a cohort that every tool can read, stripped and on one grid."""

import glob
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mmccd.data.cohort import Cohort, Image, Subject
from mmccd.data.layouts.names import BRAIN, LESION
from mmccd.data.problems import Problem
from mmccd.data.volumes import Volume, brain_mask, check_same_grid, read_volume, write_volume
from mmccd.errors import ClaimLost, ConfigError, DataError, GridError, LockError, MmccdError, WriteError
from mmccd.raw.brain import Strip
from mmccd.raw.ready import Ready, ready
from mmccd.raw.registration import resampled, rigid, without_bias_field
from mmccd.system.claims import Claim
from mmccd.system.files import read_record, sole_staging, write_json
from mmccd.system.locks import one_at_a_time
from mmccd.system.progress import ProgressCallback, no_progress, of_case
from mmccd.system.provenance import provenance

RECORD = "preprocess.json"


def preprocess(
    cohort: Cohort,
    output: Path,
    *,
    reference: str | None = None,
    strip: Strip = "auto",
    bias_field: bool = False,
    progress: ProgressCallback = no_progress,
) -> dict[str, Problem]:
    """Write every subject as ``<subject>/<subject>_<modality>.nii.gz`` with its brain mask; a killed run goes on.

    The modalities lie on the grid of the first, or of ``reference``, and are 0 outside the brain. ``preprocess.json``
    beside them says what was done, and holds the matrices that lead back.

    Args:
        cohort: Raw subjects.
        output: Folder; subjects that it holds already, made from the same files in the same way, are kept.
        reference: Modality whose grid is kept; None takes the first of each subject.
        strip: As of `mmccd.raw.ready.ready`.
        bias_field: Whether the bias field is divided out (N4).
        progress: Called with a subject, the number done, and the total.

    Returns:
        What is wrong with subjects that could not be made, by subject.

    Raises:
        ConfigError: the output is no folder, or no subject has the reference.
        WriteError: nothing can be written there.
        LockError: the disk cannot lock what is made there.
    """
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output} is not a folder, results need one", "choose another output folder")
    there = sorted({name for subject in cohort.subjects for name in subject.images})
    if reference is not None and reference not in there:
        raise ConfigError(f"no subject has {reference}; there are {', '.join(there)}", "choose among these")
    problems = dict(cohort.problems)
    for done, subject in enumerate(cohort.subjects):
        progress(of_case(subject.id), done, len(cohort.subjects))
        try:
            _in_turn(subject, output, reference, strip, bias_field)
        except (WriteError, LockError):
            raise
        except (MmccdError, OSError, MemoryError) as error:
            problems[subject.id] = Problem.of(subject.id, error)
    progress("done", len(cohort.subjects), len(cohort.subjects))
    return dict(sorted(problems.items()))


def _in_turn(subject: Subject, output: Path, reference: str | None, strip: Strip, bias_field: bool) -> None:
    while True:
        with suppress(ClaimLost), one_at_a_time(output, subject.id, wait=True) as claim:
            assert claim is not None, "it was waited for"
            _one(subject, output, reference, strip, bias_field, claim)
            return


def _one(subject: Subject, output: Path, reference: str | None, strip: Strip, bias_field: bool, claim: Claim) -> None:
    subject.check_usable(*subject.modalities, BRAIN, LESION)
    first = reference or next(iter(subject.images))
    if first not in subject.images:
        raise DataError(f"it has no {first}, whose grid is asked for", "add it, or choose another --reference")
    images = {first: subject.images[first], **subject.images}
    made_from = _made_from(subject, first, strip, bias_field)
    place = output / subject.id
    if (read_record(place / RECORD) or {}).get("made_from") == made_from:
        return
    if not ((place / RECORD).exists() or _unfinished(place).exists()) and place.exists() and any(place.iterdir()):
        raise DataError(f"{place.name} is already there, and is none of `mmccd preprocess`", "choose another folder")
    made = ready(images, subject.brain, strip)
    volumes = {name: read_volume(image.path, image.channel) for name, image in made.images.items()}
    grid = volumes[first]
    for volume in volumes.values():
        check_same_grid(grid, volume)
    if made.brain_from and made.brain is not None:
        mask: Volume | None = read_volume(made.brain.path)
    else:
        mask = _mask(subject.brain, subject, grid) if subject.brain else None
    brain = brain_mask(grid, mask)
    with sole_staging(output, subject.id, claim.token) as stage:
        for name, volume in volumes.items():
            data = without_bias_field(volume, brain) if bias_field else volume.data
            write_volume(stage / f"{subject.id}_{name}.nii.gz", np.where(brain, data, np.float32(0)), grid)
        write_volume(stage / f"{subject.id}_brain.nii.gz", brain.astype(np.uint8), grid)
        if subject.lesion is not None:
            lesion = _mask(subject.lesion, subject, grid, allow_zero=True)
            write_volume(stage / f"{subject.id}_seg.nii.gz", lesion.data.astype(np.uint8), grid)
        write_json(stage / RECORD, _record(made, first, made_from, brain, grid, bias_field))
        claim.check()
        _replace(stage, place)


def _replace(stage: Path, place: Path) -> None:
    """The record goes last: a subject with a record is complete. What an earlier run made of more files goes."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        _unfinished(place).touch()
        (place / RECORD).unlink(missing_ok=True)
        for path in place.glob(f"{glob.escape(place.name)}_*.nii.gz"):
            if not (stage / path.name).exists():
                path.unlink()
        for path in sorted(stage.iterdir(), key=lambda path: path.name == RECORD):
            path.replace(place / path.name)
        _unfinished(place).unlink()
    except OSError as error:
        raise WriteError(place, error) from error


def _unfinished(place: Path) -> Path:
    """The mark of a folder whose files are ours though no record says so: a run was killed there."""
    return place.with_name(f".{place.name}.unfinished")


def _mask(mask: Image, subject: Subject, grid: Volume, *, allow_zero: bool = False) -> Volume:
    """A mask on the grid of the reference: as it lies, or with the modality that it was drawn on."""
    drawn = read_volume(mask.path, mask.channel, allow_zero=allow_zero)
    with suppress(GridError):
        check_same_grid(grid, drawn)
        return drawn
    for image in subject.images.values():
        drawn_on = read_volume(image.path, image.channel)
        with suppress(GridError):
            check_same_grid(drawn_on, drawn)
            moved = resampled(drawn, grid, rigid(drawn_on, grid), labels=True)
            return replace(grid, data=moved.astype(np.float32), path=mask.path)
    raise DataError(f"{mask.path.name} lies on the grid of none of the images", "give the mask on the grid of one")


def _made_from(subject: Subject, first: str, strip: Strip, bias_field: bool) -> dict[str, Any]:
    files: Mapping[str, Image | None] = {**subject.images, "brain": subject.brain, "lesion": subject.lesion}
    stamps = {}
    for name, image in files.items():
        if image is not None:
            status = image.path.stat()
            stamps[name] = [status.st_size, status.st_mtime_ns, image.channel]
    return {"files": stamps, "reference": first, "strip": strip, "bias_field": bias_field}


def _record(
    made: Ready, first: str, made_from: dict[str, Any], brain: Any, grid: Volume, bias_field: bool
) -> dict[str, Any]:
    return {
        "made_from": made_from,
        "reference": first,
        "brain_from": made.brain_from or ("a brain mask" if made.brain else "what lies above zero"),
        "brain_volume_ml": float(brain.sum()) * grid.voxel_ml,
        "registered": {name: made.matrices[name] for name in made.moved},
        "bias_field": "N4" if bias_field else None,
        "warnings": list(made.warnings),
        "provenance": provenance(),
    }
