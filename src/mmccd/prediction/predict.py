"""`mmccd predict`: scans in, maps, masks and a summary out; one bad scan never stops the others."""

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmccd.data.cohort import Image, read_cohort, unsafe_id
from mmccd.data.layouts.names import is_mask, named_otherwise, role_of
from mmccd.data.layouts.readers import LAYOUTS, nifti_files
from mmccd.data.nifti import check_is_file, is_nifti_name, stem
from mmccd.data.own_folders import ENDS, MAPS, is_record, is_result
from mmccd.data.pseudonyms import UNUSABLE, pseudonyms, without_names
from mmccd.data.volumes import read_volume
from mmccd.errors import ConfigError, DataError, MmccdError, WriteError, printable
from mmccd.prediction.detector import Detection, Detector
from mmccd.prediction.preview import write_preview
from mmccd.prediction.summary import SUMMED_UP, Outcome, check_summary, outcome_of, write_summary
from mmccd.system.files import read_record, sha256_of_file, sha256_of_json, staging, write_json
from mmccd.system.locks import one_at_a_time
from mmccd.system.progress import ProgressCallback, no_progress
from mmccd.system.provenance import provenance
from mmccd.version import __version__


@dataclass(frozen=True)
class Input:
    """One scan to score.

    Attributes:
        case: Name of its results.
        image: The scan.
        brain: Its brain mask.
        others: Further modalities.
        hidden: What the case was called before it got a name that says nothing; None where it has its own.
    """

    case: str
    image: Image
    brain: Image | None = None
    others: Mapping[str, Image] = field(default_factory=dict)
    hidden: str | None = None

    @property
    def files(self) -> dict[str, Image | None]:
        """All files by what they are."""
        return {"scan": self.image, "brain": self.brain, **self.others}


def predict(
    detector: Detector,
    inputs: Sequence[Path],
    output: Path,
    *,
    layout: str = "auto",
    brain: Path | None = None,
    subjects: Sequence[str] | None = None,
    overwrite: bool = False,
    anonymize: Path | None = None,
    progress: ProgressCallback = no_progress,
) -> list[Outcome]:
    """Score every scan of ``inputs`` and write `<case>_anomaly.nii.gz`, `<case>_mask.nii.gz` and `<case>.json`.

    Args:
        detector: The loaded model.
        inputs: NIfTI files, folders of NIfTI files, or cohorts in any layout that `mmccd.data.cohort` reads.
        output: Folder for the results; cases that it already holds from this model and scan are kept. Several
            processes may share it.
        layout: Layout of the cohorts.
        brain: Brain mask for a single input file.
        subjects: Score only these subjects; None scores all.
        overwrite: Score again what is already there.
        anonymize: Key of random names for the cases, see `mmccd.data.pseudonyms`; no result then holds a name of an
            input.
        progress: Called with a description, the number done, and the total.

    Returns:
        One outcome per scan.

    Raises:
        DataError: there is no scan to score, or ``output`` cannot be written or holds a `summary.csv` of another tool.
        ConfigError: the output is no folder; or the key of the names lies in the output folder, or is none.
    """
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output} is no folder, results need one", "choose another output folder")
    check_summary(output)
    found, problems = find_inputs(inputs, *detector.sources, layout=layout, brain=brain)
    if subjects is not None:
        found = [item for item in found if item.case in subjects]
        problems = {case: reason for case, reason in problems.items() if case in subjects}
        if not found and not problems:
            raise DataError(
                f"none of the {len(subjects)} subjects asked for is among the scans", "check that ids are spelled alike"
            )
    if anonymize is not None:
        names = pseudonyms(anonymize, [*(item.case for item in found), *problems], outside=output)
        found = [replace(item, case=names[item.case], hidden=item.case) for item in found]
        found.sort(key=lambda item: item.case)  # the order of the work says nothing either
        problems = {names[case]: UNUSABLE for case in problems}
    hint = "mend or rename its files, or leave it out"
    outcomes = [Outcome(case, "failed", error=reason, hint=hint) for case, reason in problems.items()]
    others: list[Input] = []
    for wait, items in ((False, found), (True, others)):
        for item in items:
            progress(item.case, len(outcomes) - len(problems), len(found))
            with one_at_a_time(output, item.case, wait=wait) as mine:
                if mine:
                    outcomes.append(_predict_one(detector, item, output, overwrite and not wait))
                else:  # another process scores it now: see at the end whether it did
                    others.append(item)
    progress("done", len(found), len(found))
    outcomes.sort(key=lambda outcome: outcome.case)
    write_summary(output, outcomes)
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
        folder = _is_folder(path)
        loose = _loose_scans(path) if folder else [] if path.suffix.lower() in (".csv", ".tsv") else [path]
        if loose:
            for file in loose:
                if reason := unsafe_id(stem(file)) or _no_scan(file, source):
                    problems[printable(stem(file))] = reason
                else:
                    found.append(Input(stem(file), Image(file), Image(brain) if brain and not folder else None))
        else:
            cohort = read_cohort(path, layout)
            problems |= cohort.problems
            for subject in cohort.subjects:
                if lacking := [name for name in (source, *others) if name not in subject.images]:
                    only = ", ".join(subject.images) or "nothing"
                    problems[subject.id] = f"has no {' and no '.join(lacking)}, only {only}"
                else:
                    further = {name: subject.images[name] for name in others}
                    found.append(Input(subject.id, subject.images[source], subject.brain, further))
    if brain is not None and (len(inputs) != 1 or any(item.brain != Image(brain) for item in found)):
        raise ConfigError("--brain fits one input file only", "give a CSV manifest with a brain column for several")
    spelled = Counter(item.case.casefold() for item in found)
    for item in (item for item in found if spelled[item.case.casefold()] > 1):
        problems[item.case] = f"several scans would be written as {item.case}: predict them into two folders"
    found = [item for item in found if item.case not in problems]
    if not found and not problems:
        raise DataError(f"no {source} scan in {', '.join(map(str, inputs))}", "give NIfTI files or a cohort folder")
    return found, problems


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir() and not is_nifti_name(path.name)  # one that has the name of a scan is no scan, and fails
    except OSError:  # no such name can be
        return False


def _no_scan(file: Path, source: str) -> str | None:
    if is_result(file):
        return "is a result of `mmccd predict`, no scan: its record lies beside it"
    if not named_otherwise(file, source):
        return None
    return f"its name says another modality than {source}, which the model scores; if it is {source}, rename it"


def _loose_scans(folder: Path) -> list[Path]:
    """The images of a folder in which each file is a scan of its own; empty where the folder is a cohort.

    A cohort has subfolders, or names its files ``<subject>_<modality>`` or ``<case>_0000``, or is one subject of
    several modalities.
    """
    try:
        folders = [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")]
    except OSError:  # whoever reads it as a cohort will say so
        return []
    if any(not is_nifti_name(child.name) for child in folders):
        return []
    files = list(nifti_files(folder))
    roles = [role_of(file) for file in files]
    one_subject = len(files) > 1 and None not in roles and len(set(roles)) == len(roles)
    if one_subject or any(LAYOUTS[name].detect(folder) for name in ("brats", "nnunet")):
        return []
    return [file for file in files if not is_mask(file)]


def _predict_one(detector: Detector, item: Input, output: Path, overwrite: bool) -> Outcome:
    allowed = False
    try:
        _check_place(item, output)
        allowed = True
        return _scored(detector, item, output, overwrite)
    except WriteError:  # no other scan could be written; what an earlier run left stays
        raise
    except MmccdError as error:
        message, hint = error.message, error.hint
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or error
        message, hint = f"{type(error).__name__}: {reason}", "check the file and the memory"
    message, hint = _shown(item, message), _shown(item, hint)
    message = message.replace(f"{output}{os.sep}", "")  # results name no place
    if allowed and (output / f"{item.case}.json").exists():
        with suppress(OSError):
            _unfinish(item.case, output)  # a result of an earlier run is not this scan's
    return Outcome(item.case, "failed", error=message, hint=hint)


def _check_place(item: Input, output: Path) -> None:
    """Refuse a case whose results would replace a file that is no result: many tools name theirs alike.

    Raises:
        DataError: names the files.
    """
    record = output / f"{item.case}.json"
    inputs = [image.path for image in item.files.values() if image is not None and image.path.exists()]
    ours = is_record(record) or (not os.path.lexists(record) and _unfinished(item.case, output).exists())
    hint = "choose another output folder, or move these files elsewhere"
    places = [output / f"{item.case}{end}" for end in ENDS if os.path.lexists(output / f"{item.case}{end}")]
    read = [place.name for place in places if place.exists() and any(map(place.samefile, inputs))]
    if read:
        raise DataError(f"{', '.join(read)}: read for this case, and a result would be written over it", hint)
    if places and not ours:
        names = ", ".join(place.name for place in places)
        raise DataError(f"{names}: already there, and no record of `mmccd predict` says that it is a result", hint)


def _unfinished(case: str, output: Path) -> Path:
    """The mark of a case whose files in ``output`` are results without a record, so that they may be replaced."""
    return output / f".{case}.unfinished"


def _unfinish(case: str, output: Path) -> None:
    _unfinished(case, output).touch()
    (output / f"{case}.json").unlink(missing_ok=True)


def _scored(detector: Detector, item: Input, output: Path, overwrite: bool) -> Outcome:
    started = time.perf_counter()
    origin = _origin(detector, item)
    if not overwrite and (kept := _finished(output / f"{item.case}.json", origin)) is not None:
        _unfinished(item.case, output).unlink(missing_ok=True)  # a run may have been killed just before it would
        return outcome_of(kept, "kept")
    volume = read_volume(item.image.path, item.image.channel)
    mask = read_volume(item.brain.path, item.brain.channel) if item.brain else None
    others = {name: read_volume(image.path, image.channel) for name, image in item.others.items()}
    detection = detector.detect(volume, brain=mask, others=others)
    values = _record(detector, item, detection, origin, round(time.perf_counter() - started, 3))
    with staging(output, item.case) as stage:
        detection.save(stage, item.case)
        write_preview(stage / f"{item.case}.png", item.case, values["source"], detection)
        write_json(stage / f"{item.case}.json", values)
        _unfinish(item.case, output)  # until all files are new
        for path in sorted(stage.iterdir(), key=lambda path: path.suffix == ".json"):
            path.replace(output / path.name)  # the record last: a case with a record is complete
    _unfinished(item.case, output).unlink()
    return outcome_of(values, "done")


def _shown(item: Input, text: str) -> str:
    """A message without names where the case has none."""
    return text if item.hidden is None else without_names(text, item.hidden, item.files, item.case)


def _origin(detector: Detector, item: Input) -> dict[str, str]:
    """All that decides a result, files by their digests: what is kept must have been made from the same."""
    origin = {
        "version": __version__,
        "model": sha256_of_json(detector.model.card),
        "runtime": detector.runtime,
        "threshold": detector.threshold["criterion"],
    }
    for name, image in item.files.items():
        if image is not None:
            check_is_file(image.path)
            channel = "" if image.channel is None else f"#{image.channel}"
            origin[name] = sha256_of_file(image.path) + channel
    return origin


def _finished(record: Path, origin: dict[str, str]) -> dict[str, Any] | None:
    values = read_record(record)
    if values is None or values.get("origin") != origin or not values.keys() >= {*SUMMED_UP, "warnings"}:
        return None
    files = [record.with_name(f"{record.stem}{end}") for end in MAPS]
    return values if all(file.is_file() for file in files) else None


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
        "warnings": [_shown(item, text) for text in detection.warnings],
        "trained_on": detection.trained_on,
        "seconds": seconds,
        "intensity": detection.intensity_thresholds,
        "model": _names(detector),
        "origin": origin,
        "provenance": provenance(device=str(detector.device)),
    }


def _names(detector: Detector) -> dict[str, Any]:
    members = [member.config for member in detector.model.members]
    method = members[0].method if len(members) == 1 else "fusion of " + ", ".join(detector.sources)
    return {"method": method, "targets": [name for config in members for name in config.targets]}
