"""`mmccd predict`: scans in, maps, masks and a summary out; one bad scan never stops the others."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmccd.cohort import Image, read_cohort
from mmccd.detector import Detection, Detector
from mmccd.errors import ConfigError, DataError, MmccdError
from mmccd.files import sha256_of_file, write_csv, write_json
from mmccd.montage import write_preview
from mmccd.progress import ProgressCallback, no_progress
from mmccd.provenance import provenance
from mmccd.volumes import NIFTI_SUFFIXES, read_volume, stem, write_volume

SUMMARY = "summary.csv"


@dataclass(frozen=True)
class Input:
    """One scan to score."""

    case: str
    image: Image
    brain: Image | None = None


@dataclass(frozen=True)
class Outcome:
    """One row of `summary.csv`."""

    case: str
    status: str
    score: float | None = None
    threshold: float | None = None
    lesion_volume_ml: float | None = None
    brain_volume_ml: float | None = None
    seconds: float | None = None
    warnings: str = ""
    error: str = ""
    hint: str = ""


def predict(
    detector: Detector,
    inputs: Sequence[Path],
    output: Path,
    *,
    layout: str = "auto",
    brain: Path | None = None,
    subjects: Sequence[str] | None = None,
    overwrite: bool = False,
    progress: ProgressCallback = no_progress,
) -> list[Outcome]:
    """Score every scan of ``inputs`` and write `<case>_anomaly.nii.gz`, `<case>_mask.nii.gz` and `<case>.json`.

    Args:
        detector: The loaded model.
        inputs: NIfTI files, folders of NIfTI files, or cohorts in any layout that `mmccd.cohort` reads.
        output: Folder for the results; cases that it already holds from this model and scan are kept.
        layout: Layout of the cohorts.
        brain: Brain mask for a single input file.
        subjects: Score only these subjects; None scores all.
        overwrite: Score again what is already there.
        progress: Called with a description, the number done, and the total.

    Returns:
        One outcome per scan, as written to `summary.csv`.

    Raises:
        DataError: there is no scan to score, or two have one name.
    """
    source = detector.model.config.source
    found, problems = find_inputs(inputs, source, layout=layout, brain=brain)
    if subjects is not None:
        missing = sorted(set(subjects) - {item.case for item in found} - problems.keys())
        if missing:
            raise DataError(f"no subject named {', '.join(missing[:5])}", "check the list against the cohort")
        found = [item for item in found if item.case in subjects]
        problems = {case: reason for case, reason in problems.items() if case in subjects}
    outcomes = [Outcome(case, "failed", error=reason) for case, reason in problems.items()]
    for done, item in enumerate(found):
        progress(item.case, done, len(found))
        outcomes.append(_predict_one(detector, item, output, overwrite))
    progress("done", len(found), len(found))
    outcomes.sort(key=lambda outcome: outcome.case)
    write_csv(output / SUMMARY, [vars(outcome) for outcome in outcomes])
    return outcomes


def find_inputs(
    inputs: Sequence[Path], source: str, *, layout: str = "auto", brain: Path | None = None
) -> tuple[list[Input], dict[str, str]]:
    """The scans that paths on a command line mean, and cohort subjects that cannot be used with the reason."""
    found: list[Input] = []
    problems: dict[str, str] = {}
    for path in inputs:
        loose = _loose_scans(path) if path.is_dir() else []
        if loose:
            found += [Input(stem(file), Image(file)) for file in loose]
        elif path.is_dir() or path.suffix in (".csv", ".tsv"):
            cohort = read_cohort(path, layout)
            problems |= cohort.problems
            for subject in cohort.subjects:
                if source in subject.images:
                    found.append(Input(subject.id, subject.images[source], subject.brain))
                else:
                    problems[subject.id] = f"has no {source}, only {', '.join(subject.images) or 'nothing'}"
        else:
            found.append(Input(stem(path), Image(path), Image(brain) if brain else None))
    if brain is not None and (len(found) != 1 or inputs[0].is_dir()):
        raise ConfigError("--brain fits one input file only", "give a CSV manifest with a brain column for several")
    names = [item.case for item in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"several scans would be written as {', '.join(twice[:5])}",
            "rename them, or predict them into two folders",
        )
    if not found and not problems:
        raise DataError(f"no {source} scan in {', '.join(map(str, inputs))}", "give NIfTI files or a cohort folder")
    return found, problems


def _loose_scans(folder: Path) -> list[Path]:
    """NIfTI files of a folder in which each file is a scan of its own, not a modality of one subject.

    A file counts as one modality of a subject when its name ends in a known modality; then the folder is a cohort.
    """
    files = sorted(
        file for file in folder.iterdir() if file.name.endswith(NIFTI_SUFFIXES) and not file.name.startswith(".")
    )
    if any(child.is_dir() for child in folder.iterdir()):
        return []
    endings = {stem(file).replace("-", "_").rpartition("_")[2].lower() for file in files}
    return [] if len(endings & {"flair", "t1", "t2", "t2f", "t1n", "t2w", "t1w"}) > 1 else files


def _predict_one(detector: Detector, item: Input, output: Path, overwrite: bool) -> Outcome:
    record = output / f"{item.case}.json"
    started = time.perf_counter()
    try:
        origin = {"model": detector.model.digest, "scan": _scan_digest(item)}
        if not overwrite and (kept := _finished(record, origin)) is not None:
            return Outcome(**{**_summary(kept), "status": "kept"})
        volume = read_volume(item.image.path, item.image.channel)
        mask = read_volume(item.brain.path, item.brain.channel) if item.brain else None
        detection = detector.detect(volume, brain=mask)
        values = _record(detector, item, detection, origin, round(time.perf_counter() - started, 3))
        write_volume(output / f"{item.case}_anomaly.nii.gz", detection.anomaly, volume)
        write_volume(output / f"{item.case}_mask.nii.gz", detection.mask.astype(np.uint8), volume)
        write_preview(output / f"{item.case}.png", item.case, values["source"], detection)
        write_json(record, values)  # last: a case with a record is complete
        return Outcome(**_summary(values), status="done")
    except MmccdError as error:
        return Outcome(item.case, "failed", error=error.message, hint=error.hint)


def _scan_digest(item: Input) -> str:
    if not item.image.path.is_file():
        raise DataError(f"{item.image.path.name} does not exist", "check the path")
    digest = sha256_of_file(item.image.path)
    return digest if item.image.channel is None else f"{digest}#{item.image.channel}"


def _finished(record: Path, origin: dict[str, str]) -> dict[str, Any] | None:
    if not record.is_file():
        return None
    try:
        values: dict[str, Any] = json.loads(record.read_text())
    except ValueError:
        return None
    files = [record.with_name(f"{values.get('case')}_{kind}.nii.gz") for kind in ("anomaly", "mask")]
    return values if values.get("origin") == origin and all(file.is_file() for file in files) else None


def _record(
    detector: Detector, item: Input, detection: Detection, origin: dict[str, str], seconds: float
) -> dict[str, Any]:
    card = detector.model.card
    return {
        "case": item.case,
        "source": detector.model.config.source,
        "score": detection.score,
        "score_definition": card["score_definition"],
        "threshold": detection.threshold,
        "threshold_origin": card["threshold"],
        "lesion_volume_ml": detection.lesion_volume_ml,
        "brain_volume_ml": detection.brain_volume_ml,
        "warnings": list(detection.warnings),
        "seconds": seconds,
        "intensity": card["intensity_baseline"],
        "model": {"method": detector.model.config.method, "target": detector.model.config.target},
        "origin": origin,
        "provenance": provenance(device=str(detector.device)),
    }


def _summary(values: dict[str, Any]) -> dict[str, Any]:
    keys = ("case", "score", "threshold", "lesion_volume_ml", "brain_volume_ml", "seconds")
    return {**{key: values[key] for key in keys}, "warnings": "; ".join(values["warnings"])}
