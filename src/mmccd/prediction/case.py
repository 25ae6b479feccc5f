"""One case of `mmccd predict`: its scan is scored, or found scored, and its files are put in place all at once."""

import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mmccd.data.case_record import CaseRecord, is_case_record, kept_case_record
from mmccd.data.own_folders import BRAIN_END, ENDS, MAPS, NOT_ALWAYS, PICTURE_END, SEGMENTATION_END
from mmccd.data.problems import Problem
from mmccd.data.volumes import read_volume, write_volume
from mmccd.errors import ClaimLost, DataError, MmccdError, WriteError
from mmccd.prediction.detector import Detection, Detector
from mmccd.prediction.inputs import Input
from mmccd.prediction.record import nameless, origin_of, record_of
from mmccd.prediction.summary import Outcome, outcome_of
from mmccd.raw.brain import Strip
from mmccd.raw.ready import Ready, ready
from mmccd.raw.segmentation import says_not_written, write_segmentation
from mmccd.system.claims import Claim
from mmccd.system.files import CHANGED, sha256_of_json, sole_staging, state_of, sync_folder, write_json
from mmccd.system.locks import one_at_a_time
from mmccd.system.memory import is_lack_of_memory

SEGMENTED = {"dicom_seg": "yes"}
"""Of an origin: a DICOM segmentation was asked for, and lies there or could not be made."""


@dataclass(frozen=True)
class CaseScorer:
    """Scores cases into a folder that several processes may share.

    Attributes:
        detector: The loaded model.
        output: Folder for the results.
        strip: As of `mmccd.raw.ready.ready`.
        overwrite: Score again what is already there.
        dicom_seg: Also write a DICOM segmentation of scans that came as DICOM.
        preview: Also write a picture.
    """

    detector: Detector
    output: Path
    strip: Strip = "auto"
    overwrite: bool = False
    dicom_seg: bool = False
    preview: bool = True

    def __call__(self, item: Input, *, wait: bool = False) -> Outcome | None:
        """Score a case, or find it scored; whatever is wrong with it becomes its outcome.

        Returns:
            None where another process does so now, unless it is waited for; or where one has taken over meanwhile,
            because this one stood still.

        Raises:
            WriteError: nothing can be written, of other cases neither.
            LockError: the disk cannot lock it.
        """
        started, replaceable = time.perf_counter(), False
        with suppress(ClaimLost), one_at_a_time(self.output, item.case, wait=wait) as claim:
            if claim is None:
                return None
            try:
                _check_place(item, self.output)
                replaceable = True
                files = _states(item)
                origin = origin_of(self.detector, item) | ({"strip": self.strip} if self.strip == "always" else {})
                if (kept := self._kept(item, origin)) is not None:
                    _unfinished(item.case, self.output).unlink(missing_ok=True)  # a run may have been killed before
                    return outcome_of(kept, "kept")
                made = ready({self.detector.sources[0]: item.image, **item.others}, item.brain, self.strip)
                detection = self.detector.detect(
                    made.volume(self.detector.sources[0]),
                    brain=read_volume(made.brain.path, made.brain.channel) if made.brain else None,
                    others={name: made.volume(name) for name in item.others},
                )
                if changed := [name for name, state in _states(item).items() if state != files[name]]:
                    raise DataError(f"{', '.join(changed)} changed while it was read", CHANGED)
                return outcome_of(self._written(item, detection, made, origin, started, claim), "done")
            except (WriteError, ClaimLost):  # what an earlier run left stays
                raise
            except (MmccdError, OSError, MemoryError, RuntimeError) as error:
                if isinstance(error, RuntimeError) and not is_lack_of_memory(error):
                    raise
                claim.check()
                return self._failed(item, Problem.of(item.case, error), replaceable)
        return None

    def _failed(self, item: Input, problem: Problem, replaceable: bool) -> Outcome:
        what, hint = nameless(item, problem.what), nameless(item, problem.hint)
        what = what.replace(f"{self.output}{os.sep}", "")  # results name no place
        if replaceable and (self.output / f"{item.case}.json").exists():
            with suppress(OSError):
                _unfinish(item.case, self.output)  # a result of an earlier run is not this scan's
        return Outcome.failed(Problem(item.case, what, hint))

    def _kept(self, item: Input, origin: dict[str, str]) -> CaseRecord | None:
        """What is there already, if it was made of the same, as it would be made now, with all that is asked for."""
        kept = None if self.overwrite else kept_case_record(self.output / f"{item.case}.json")
        if kept is None or kept.findings is None:  # None: of a version that may be called alike
            return None
        if kept.brain_from and self.strip == "never":
            return None
        segmented = self._segments(item) and not says_not_written(kept.warnings)
        ends = (*MAPS, SEGMENTATION_END) if segmented else MAPS
        same = kept.origin in ((origin | SEGMENTED,) if self._segments(item) else (origin, origin | SEGMENTED))
        return kept if same and all((self.output / f"{item.case}{end}").is_file() for end in ends) else None

    def _written(
        self, item: Input, detection: Detection, made: Ready, origin: dict[str, str], started: float, claim: Claim
    ) -> CaseRecord:
        detection = replace(detection, warnings=(*detection.warnings, *made.warnings))
        with sole_staging(self.output, item.case, claim.token) as stage:
            if self._segments(item):
                origin = origin | SEGMENTED
                doubts = _segmentation(stage, item, detection, origin)
                detection = replace(detection, warnings=(*detection.warnings, *doubts))
            seconds = round(time.perf_counter() - started, 3)
            record = record_of(self.detector, item, detection, origin, seconds, made.brain_from)
            with ThreadPoolExecutor(1) as beside:  # compressing takes as long as drawing
                saved = beside.submit(detection.save, stage, item.case)
                if made.brain_from:
                    write_volume(stage / f"{item.case}{BRAIN_END}", detection.brain.astype("uint8"), detection.volume)
                if self.preview:
                    from mmccd.prediction.preview import write_preview  # meanwhile, because it brings Matplotlib

                    picture = stage / f"{item.case}{PICTURE_END}"
                    write_preview(picture, item.case, record.source, detection, head=bool(made.brain_from))
                saved.result()
            write_json(stage / f"{item.case}.json", record.as_json())
            claim.check()
            _put_in_place(item.case, stage, self.output)
        return record

    def _segments(self, item: Input) -> bool:
        return self.dicom_seg and bool(item.image.dicom)


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


def _states(item: Input) -> dict[str, tuple[int, ...]]:
    """What tells a file from one that is put in its place, by name: what was hashed has to be what was read."""
    paths = [image.path for image in item.files.values() if image is not None and image.path.exists()]
    return {path.name: state_of(path) for path in paths}


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
    sync_folder(output)  # what is called done is on the disk


def _unfinished(case: str, output: Path) -> Path:
    """The mark of a case whose files in ``output`` are results without a record, so that they may be replaced."""
    return output / f".{case}.unfinished"


def _unfinish(case: str, output: Path) -> None:
    _unfinished(case, output).touch()
    (output / f"{case}.json").unlink(missing_ok=True)
