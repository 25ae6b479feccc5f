"""`mmccd predict`: scans in, maps, masks and a summary out; one bad scan never stops the others."""

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mmccd.data.case_record import CaseRecord, is_case_record, kept_case_record
from mmccd.data.given import as_paths
from mmccd.data.layouts.entities import Selection
from mmccd.data.own_folders import BRAIN_END, ENDS, MAPS, NOT_ALWAYS, SEGMENTATION_END, is_own_dataset
from mmccd.data.problems import Problem
from mmccd.data.pseudonyms import UNUSABLE, pseudonyms
from mmccd.data.volumes import read_volume, write_volume
from mmccd.errors import ConfigError, DataError, MmccdError, WriteError
from mmccd.prediction.detector import Detection, Detector
from mmccd.prediction.inputs import Input, find_inputs
from mmccd.prediction.preview import write_preview
from mmccd.prediction.record import nameless, origin_of, record_of
from mmccd.prediction.summary import Outcome, check_tables, outcome_of, write_tables
from mmccd.raw.brain import Strip
from mmccd.raw.ready import ready
from mmccd.raw.segmentation import says_not_written, write_segmentation
from mmccd.system.files import sha256_of_json, staging, write_json
from mmccd.system.locks import one_at_a_time
from mmccd.system.progress import ProgressCallback, no_progress

SEGMENTED = {"dicom_seg": "yes"}
"""Of an origin: a DICOM segmentation was asked for, and lies there or could not be made."""


def predict(
    detector: Detector,
    inputs: Sequence[Path | str] | Path | str,
    output: Path | str,
    *,
    layout: str = "auto",
    select: Selection | None = None,
    brain: Path | None = None,
    strip: Strip = "auto",
    series: Mapping[int, str | None] | None = None,
    subjects: Sequence[str] | None = None,
    overwrite: bool = False,
    dicom_seg: bool = False,
    anonymize: Path | None = None,
    told: Callable[[str], None] = lambda _: None,
    progress: ProgressCallback = no_progress,
) -> list[Outcome]:
    """Score every scan of ``inputs`` and write `<case>_anomaly.nii.gz`, `<case>_mask.nii.gz` and `<case>.json`.

    Of the whole folder it writes `summary.csv`, a row for each case, and `findings.csv`, a row for each finding.

    Args:
        detector: The loaded model.
        inputs: Scans, folders of them, DICOM, or cohorts in any layout that `mmccd.data.cohort` reads; or one of these.
        output: Folder for the results; cases that it already holds from this model and scan are kept. Several
            processes may share it.
        layout: Layout of the cohorts.
        select: Which of several files for one role is meant in a cohort, see ``read_cohort``.
        brain: Brain mask for a single input file.
        strip: Whether brains are extracted, and modalities of a subject registered; see `mmccd.raw.ready`.
        series: Which DICOM series to use; see `mmccd.raw.convert`.
        subjects: Score only these subjects; None scores all.
        overwrite: Score again what is already there.
        dicom_seg: Also write `<case>_seg.dcm`, a DICOM segmentation, of scans that came as DICOM. It names the patient.
        anonymize: Key of random names for the cases, see `mmccd.data.pseudonyms`; no result then holds a name of an
            input.
        told: Called with what each DICOM series was taken for.
        progress: Called with a description, the number done, and the total.

    Returns:
        One outcome per scan.

    Raises:
        DataError: there is no scan to score, or ``output`` cannot be written or holds a `summary.csv` or a
            `findings.csv` of another tool.
        ConfigError: the output is no folder, or one of BIDS derivatives; the key of the names lies in the output
            folder, or is none; or a DICOM segmentation is asked for without names, or of scans that are no DICOM.
    """
    inputs, output = as_paths(inputs), Path(output)
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output} is not a folder, results need one", "choose another output folder")
    if is_own_dataset(output):
        what = f"{output} holds BIDS derivatives, among which plain results are not valid"
        raise ConfigError(what, "add --bids, or choose another output folder")
    if dicom_seg and anonymize is not None:
        what = "a DICOM segmentation names the patient and the study, and --anonymize takes names out"
        raise ConfigError(what, "leave --dicom-seg out, or --anonymize")
    check_tables(output)
    found, problems = find_inputs(
        inputs, *detector.sources, layout=layout, brain=brain, select=select, series=series,
        told=told if anonymize is None else None,
    )  # fmt: skip
    if subjects is not None:
        found = [item for item in found if item.case in subjects]
        problems = {case: problem for case, problem in problems.items() if case in subjects}
        if not found and not problems:
            raise DataError(
                f"none of the {len(subjects)} subjects asked for is among the scans", "check that ids are spelled alike"
            )
    if anonymize is not None:
        names = pseudonyms(anonymize, [*(item.case for item in found), *problems], outside=output)
        found = [replace(item, case=names[item.case], private_id=item.case) for item in found]
        found.sort(key=lambda item: item.case)  # the order of the work says nothing either
        problems = {
            names[case]: replace(problem, subject=names[case], what=UNUSABLE) for case, problem in problems.items()
        }
    if dicom_seg and found and not any(item.image.dicom for item in found):
        what = "--dicom-seg writes a segmentation for the DICOM series of a scan, and no scan came as DICOM"
        raise ConfigError(what, "leave --dicom-seg out, or give the DICOM files")
    outcomes = [Outcome.failed(problem) for problem in problems.values()]
    others: list[Input] = []
    for wait, items in ((False, found), (True, others)):
        for item in items:
            progress(item.case, len(outcomes) - len(problems), len(found))
            with one_at_a_time(output, item.case, wait=wait) as mine:
                if mine:
                    outcomes.append(_predict_one(detector, item, output, strip, overwrite and not wait, dicom_seg))
                else:  # another process scores it now: see at the end whether it did
                    others.append(item)
    progress("done", len(found), len(found))
    outcomes.sort(key=lambda outcome: outcome.case)
    write_tables(output, outcomes)
    return outcomes


def _predict_one(
    detector: Detector, item: Input, output: Path, strip: Strip, overwrite: bool, dicom_seg: bool
) -> Outcome:
    """Score one scan, or find it scored; whatever is wrong with it becomes its outcome."""
    started, allowed = time.perf_counter(), False
    try:
        _check_place(item, output)
        allowed = True
        origin = origin_of(detector, item) | ({"strip": strip} if strip == "always" else {})
        segmented = origin | SEGMENTED
        if dicom_seg and item.image.dicom:
            origin = segmented
        kept = None if overwrite else kept_case_record(output / f"{item.case}.json")
        needed = (
            MAPS if origin != segmented or (kept and says_not_written(kept.warnings)) else (*MAPS, SEGMENTATION_END)
        )
        there = all((output / f"{item.case}{end}").is_file() for end in needed)
        if kept and there and _fits(kept, (origin, segmented), strip):
            _unfinished(item.case, output).unlink(missing_ok=True)  # a run may have been killed just before it would
            return outcome_of(kept, "kept")
        made = ready({detector.sources[0]: item.image, **item.others}, item.brain, strip)
        scan = made.volume(detector.sources[0])
        detection = detector.detect(
            scan,
            brain=read_volume(made.brain.path, made.brain.channel) if made.brain else None,
            others={name: made.volume(name) for name in item.others},
        )
        with staging(output, item.case) as stage:
            doubts = _segmentation(stage, item, detection, origin) if origin == segmented else ()
            detection = replace(detection, warnings=(*detection.warnings, *made.warnings, *doubts))
            seconds = round(time.perf_counter() - started, 3)
            record = record_of(detector, item, detection, origin, seconds, made.brain_from)
            detection.save(stage, item.case)
            if made.brain_from:
                write_volume(stage / f"{item.case}{BRAIN_END}", detection.brain.astype("uint8"), scan)
            write_preview(stage / f"{item.case}.png", item.case, record.source, detection, head=bool(made.brain_from))
            write_json(stage / f"{item.case}.json", record.as_json())
            _put_in_place(item.case, stage, output)
        return outcome_of(record, "done")
    except WriteError:  # no other scan could be written; what an earlier run left stays
        raise
    except (MmccdError, OSError, MemoryError) as error:
        problem = Problem.of(item.case, error)
    what, hint = nameless(item, problem.what), nameless(item, problem.hint)
    what = what.replace(f"{output}{os.sep}", "")  # results name no place
    if allowed and (output / f"{item.case}.json").exists():
        with suppress(OSError):
            _unfinish(item.case, output)  # a result of an earlier run is not this scan's
    return Outcome.failed(Problem(item.case, what, hint))


def _fits(kept: CaseRecord, origins: Collection[Mapping[str, str]], strip: Strip) -> bool:
    """Whether a result was made of the same, and as it would be made now."""
    if kept.findings is None:  # of a version that may be called alike
        return False
    return kept.origin in origins and not (kept.brain_from and strip == "never")


def _segmentation(stage: Path, item: Input, detection: Detection, origin: Mapping[str, str]) -> tuple[str, ...]:
    """Write what is marked for viewers of DICOM; returns why that cannot be."""
    try:
        write_segmentation(
            stage / f"{item.case}{SEGMENTATION_END}", detection.mask, detection.volume, item.image.dicom,
            made_by=sha256_of_json(origin),
        )  # fmt: skip
    except DataError as error:  # all else of the result stands
        return (error.message,)
    return ()


def _check_place(item: Input, output: Path) -> None:
    """Refuse a case whose results would replace a file that is no result: many tools name theirs alike.

    Raises:
        DataError: names the files.
    """
    record = output / f"{item.case}.json"
    inputs = [image.path for image in item.files.values() if image is not None and image.path.exists()]
    ours = is_case_record(record) or (not os.path.lexists(record) and _unfinished(item.case, output).exists())
    hint = "choose another output folder, or move these files elsewhere"
    places = [output / f"{item.case}{end}" for end in ENDS if os.path.lexists(output / f"{item.case}{end}")]
    read = [place.name for place in places if place.exists() and any(map(place.samefile, inputs))]
    if read:
        raise DataError(f"{', '.join(read)}: read for this case, and a result would be written over it", hint)
    if places and not ours:
        names = ", ".join(place.name for place in places)
        raise DataError(f"{names}: already there, and no record of `mmccd predict` says that it is a result", hint)


def _put_in_place(case: str, stage: Path, output: Path) -> None:
    """Move the files of a case to their places, the record last: a case with a record is complete."""
    _unfinish(case, output)  # until all files are new
    for end in NOT_ALWAYS:
        if not (stage / f"{case}{end}").exists():
            (output / f"{case}{end}").unlink(missing_ok=True)
    for path in sorted(stage.iterdir(), key=lambda path: path.suffix == ".json"):
        path.replace(output / path.name)
    _unfinished(case, output).unlink()


def _unfinished(case: str, output: Path) -> Path:
    """The mark of a case whose files in ``output`` are results without a record, so that they may be replaced."""
    return output / f".{case}.unfinished"


def _unfinish(case: str, output: Path) -> None:
    _unfinished(case, output).touch()
    (output / f"{case}.json").unlink(missing_ok=True)
