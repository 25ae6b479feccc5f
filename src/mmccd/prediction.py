"""`mmccd predict`: scans in, maps, masks and a summary out; one bad scan never stops the others."""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import mmccd
from mmccd.cohort import Image, read_cohort
from mmccd.detector import Detection, Detector
from mmccd.errors import ConfigError, DataError, MmccdError
from mmccd.files import sha256_of_file, sha256_of_json, write_csv, write_json
from mmccd.layouts import LAYOUTS, is_mask, named_otherwise, nifti_files, role_of
from mmccd.montage import write_preview
from mmccd.progress import ProgressCallback, no_progress
from mmccd.provenance import provenance
from mmccd.volumes import read_volume, stem, write_volume

SUMMARY = "summary.csv"


@dataclass(frozen=True)
class Input:
    """One scan to score."""

    case: str
    image: Image
    brain: Image | None = None
    others: Mapping[str, Image] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """One row of `summary.csv`."""

    case: str
    status: str
    score: float | None = None
    p_value: float | None = None
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
    found, problems = find_inputs(inputs, *detector.sources, layout=layout, brain=brain)
    if subjects is not None:
        found = [item for item in found if item.case in subjects]
        problems = {case: reason for case, reason in problems.items() if case in subjects}
        if not found and not problems:
            raise DataError(
                f"none of the {len(subjects)} subjects asked for is among the scans", "check that ids are spelled alike"
            )
    outcomes = [Outcome(case, "failed", error=reason) for case, reason in problems.items()]
    for done, item in enumerate(found):
        progress(item.case, done, len(found))
        outcomes.append(_predict_one(detector, item, output, overwrite))
    progress("done", len(found), len(found))
    outcomes.sort(key=lambda outcome: outcome.case)
    write_csv(output / SUMMARY, [vars(outcome) for outcome in outcomes])
    return outcomes


def find_inputs(
    inputs: Sequence[Path], source: str, *others: str, layout: str = "auto", brain: Path | None = None
) -> tuple[list[Input], dict[str, str]]:
    """The scans that paths on a command line mean, and cohort subjects that cannot be used with the reason.

    Args:
        inputs: Files, folders of files, or cohorts.
        source: Modality to score.
        others: Further modalities that each subject must have; loose files have none.
        layout: Layout of the cohorts.
        brain: Brain mask for a single input file.
    """
    found: list[Input] = []
    problems: dict[str, str] = {}
    for path in inputs:
        loose = _loose_scans(path) if path.is_dir() else []
        if loose:
            elsewhere = {stem(file) for file in loose if named_otherwise(file, source)}
            problems |= dict.fromkeys(elsewhere, _wrong_modality(source))
            found += [Input(stem(file), Image(file)) for file in loose if stem(file) not in elsewhere]
        elif path.is_dir() or path.suffix.lower() in (".csv", ".tsv"):
            cohort = read_cohort(path, layout)
            problems |= cohort.problems
            for subject in cohort.subjects:
                if lacking := [name for name in (source, *others) if name not in subject.images]:
                    only = ", ".join(subject.images) or "nothing"
                    problems[subject.id] = f"has no {' and no '.join(lacking)}, only {only}"
                else:
                    further = {name: subject.images[name] for name in others}
                    found.append(Input(subject.id, subject.images[source], subject.brain, further))
        elif named_otherwise(path, source):
            problems[stem(path)] = _wrong_modality(source)
        else:
            found.append(Input(stem(path), Image(path), Image(brain) if brain else None))
    if brain is not None and (len(inputs) != 1 or any(item.brain != Image(brain) for item in found)):
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


def _wrong_modality(source: str) -> str:
    return f"its name says another modality than {source}, which the model scores; if it is {source}, rename it"


def _loose_scans(folder: Path) -> list[Path]:
    """The images of a folder in which each file is a scan of its own; empty where the folder is a cohort.

    A cohort has subfolders, or names its files ``<subject>_<modality>``, or is one subject of several modalities.
    """
    if any(child.is_dir() and not child.name.startswith(".") for child in folder.iterdir()):
        return []
    files = list(nifti_files(folder))
    roles = [role_of(file) for file in files]
    one_subject = len(files) > 1 and None not in roles and len(set(roles)) == len(roles)
    if one_subject or LAYOUTS["brats"].detect(folder):
        return []
    return [file for file in files if not is_mask(file)]


def _predict_one(detector: Detector, item: Input, output: Path, overwrite: bool) -> Outcome:
    record = output / f"{item.case}.json"
    started = time.perf_counter()
    try:
        origin = _origin(detector, item)
        if not overwrite and (kept := _finished(record, origin)) is not None:
            return Outcome(**{**_summary(kept), "status": "kept"})
        volume = read_volume(item.image.path, item.image.channel)
        mask = read_volume(item.brain.path, item.brain.channel) if item.brain else None
        others = {name: read_volume(image.path, image.channel) for name, image in item.others.items()}
        detection = detector.detect(volume, brain=mask, others=others)
        values = _record(detector, item, detection, origin, round(time.perf_counter() - started, 3))
        record.unlink(missing_ok=True)  # until all files are new, this case is unfinished
        write_volume(output / f"{item.case}_anomaly.nii.gz", detection.anomaly, volume)
        write_volume(output / f"{item.case}_mask.nii.gz", detection.mask.astype(np.uint8), volume)
        write_preview(output / f"{item.case}.png", item.case, values["source"], detection)
        write_json(record, values)  # last: a case with a record is complete
        return Outcome(**_summary(values), status="done")
    except MmccdError as error:
        message, hint = error.message, error.hint
    except (OSError, MemoryError) as error:
        message, hint = f"{type(error).__name__}: {error}", "check the file and the memory"
    with suppress(OSError):
        record.unlink(missing_ok=True)  # a result of an earlier run is not this scan's
    return Outcome(item.case, "failed", error=message, hint=hint)


def _origin(detector: Detector, item: Input) -> dict[str, str]:
    """All that decides a result, files by their digests: what is kept must have been made from the same."""
    origin = {
        "version": mmccd.__version__,
        "model": sha256_of_json(detector.model.card),
        "runtime": detector.runtime,
        "threshold": detector.threshold["criterion"],
    }
    for name, image in (("scan", item.image), ("brain", item.brain), *item.others.items()):
        if image is not None:
            if not image.path.is_file():
                raise DataError(f"{image.path.name} does not exist", "check the path")
            channel = "" if image.channel is None else f"#{image.channel}"
            origin[name] = sha256_of_file(image.path) + channel
    return origin


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
        "source": detector.sources[0],
        "score": detection.score,
        "score_definition": card["score_definition"],
        "p_value": detection.p_value,
        "p_value_of": {
            "healthy_subjects": len(card["healthy_scores"]),
            "healthy_scores": card["healthy_scores"],
            "from": card["threshold"]["chosen_on"],
        },
        "threshold": detection.threshold,
        "threshold_origin": detector.threshold,
        "lesion_volume_ml": detection.lesion_volume_ml,
        "brain_volume_ml": detection.brain_volume_ml,
        "warnings": list(detection.warnings),
        "seconds": seconds,
        "intensity": detector.intensity_baseline,
        "model": _names(detector),
        "origin": origin,
        "provenance": provenance(device=str(detector.device)),
    }


def _names(detector: Detector) -> dict[str, Any]:
    members = [member.config for member in detector.model.members]
    method = members[0].method if len(members) == 1 else "fusion of " + ", ".join(detector.sources)
    return {"method": method, "targets": [name for config in members for name in config.targets]}


def _summary(values: dict[str, Any]) -> dict[str, Any]:
    keys = ("case", "score", "p_value", "threshold", "lesion_volume_ml", "brain_volume_ml", "seconds")
    return {**{key: values[key] for key in keys}, "warnings": "; ".join(values["warnings"])}
