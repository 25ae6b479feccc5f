"""What a folder of predictions holds: complete cases, what is torn or lacks files, and what failed; and their scans."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmccd.data.case_record import CaseRecord, read_case_record
from mmccd.data.cohort import Cohort, Image, Subject, read_cohort
from mmccd.data.forms import lies_in_mni
from mmccd.data.layouts.entities import Selection
from mmccd.data.own_folders import ANOMALY_END, BRAIN_END, MASK_END, SUMMARY
from mmccd.data.problems import Problem
from mmccd.data.pseudonyms import names_of_files, redact
from mmccd.data.subject import load_predicted
from mmccd.data.volumes import Volume, brain_mask, check_same_grid, read_volume
from mmccd.errors import DataError, MmccdError
from mmccd.prediction.inputs import Input, find_inputs
from mmccd.prediction.summary import failed_cases, rows_of
from mmccd.system.files import sha256_of_file

_AGAIN = "predict this scan again"


@dataclass(frozen=True)
class Predictions:
    """A folder written by `mmccd predict`.

    Attributes:
        records: The case's `<case>.json`, by case.
        broken: Cases that are half there.
        failed: Cases that `predict` could not score, from `summary.csv`.
    """

    folder: Path
    records: dict[str, CaseRecord]
    broken: tuple[Problem, ...]
    failed: tuple[Problem, ...]


@dataclass(frozen=True)
class Shown:
    """The arrays of one case, (x, y, z) in RAS+; what could not be had is None and said in ``problem``.

    Attributes:
        anomaly: The map.
        mask: What was marked.
        affine: (4, 4), voxel to millimetre.
        volume: The scan.
        brain: Inside it the scan may be shown; without a scan, where the map is not 0.
        expert: The expert's lesion mask.
        problem: Why the scan is not shown though scans were given.
        warnings: What was put up with.
        in_mni: Whether the millimetres of ``affine`` are those of MNI space.
    """

    anomaly: NDArray[np.float32]
    mask: NDArray[np.bool_]
    affine: NDArray[np.float64]
    volume: Volume | None
    brain: NDArray[np.bool_]
    expert: NDArray[np.bool_] | None = None
    problem: Problem | None = None
    warnings: tuple[str, ...] = ()
    in_mni: bool = False

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0


def read_predictions(folder: Path) -> Predictions:
    """Read the records of a folder; nothing here stops at a case that is torn."""
    records: dict[str, CaseRecord] = {}
    broken: list[Problem] = []
    failed, listed = failed_cases(folder / SUMMARY), rows_of(folder / SUMMARY)
    maps, masks, written = (
        {path.name.removesuffix(end) for path in folder.glob(f"*{end}")} for end in (ANOMALY_END, MASK_END, ".json")
    )
    for case in sorted(maps | masks | written | listed.keys()):
        of_other = case in written and not _may_be_record(folder / f"{case}.json")
        if case in failed and (case not in written or of_other):
            continue
        lacking = [
            end for end, there in ((ANOMALY_END, maps), (MASK_END, masks), (".json", written)) if case not in there
        ]
        if case not in listed and (
            lacking == [ANOMALY_END, ".json"] or (lacking == [ANOMALY_END, MASK_END] and of_other)
        ):
            continue  # a mask or a JSON file of something else
        if lacking:
            names = ", ".join(f"{case}{end}" for end in lacking)
            broken.append(Problem(case, f"half-written: {names} not there", _AGAIN))
            continue
        try:
            records[case] = read_case_record(folder / f"{case}.json")
        except DataError as error:
            broken.append(Problem.of(case, error))
    return Predictions(folder, records, tuple(broken), tuple(failed.values()))


@dataclass
class Scans:
    """Where the scans of predictions lie: by name first, then by content, because files are renamed.

    Attributes:
        inputs: All that was found, by path.
        cohorts: Cohorts among them, for their expert masks.
    """

    inputs: list[Input] = field(default_factory=list)
    cohorts: list[Cohort] = field(default_factory=list)
    _digests: dict[Path, str] = field(default_factory=dict)

    @classmethod
    def found_in(
        cls,
        paths: Sequence[Path],
        source: str,
        *,
        layout: str = "auto",
        brain: Path | None = None,
        select: Selection | None = None,
    ) -> "Scans":
        """The scans of one modality in files, folders and cohorts, see `find_inputs`.

        Raises:
            DataError: a path does not exist, or holds no such scan.
        """
        scans = cls()
        for path in paths:
            if not path.exists():
                raise DataError(f"{path} does not exist", "give the scans that were predicted, or leave --scans out")
            scans.inputs += find_inputs([path], source, layout=layout, brain=brain, select=select)[0]
            try:
                scans.cohorts.append(read_cohort(path, layout, select))
            except MmccdError:
                continue  # loose files
        return scans

    def names(self) -> tuple[set[str], set[str]]:
        """Cases and subjects, and files, whose names a message may hold."""
        subjects = [subject for cohort in self.cohorts for subject in cohort.subjects]
        files = [image for item in self.inputs for image in item.files.values()]
        for subject in subjects:
            files += [*subject.images.values(), subject.brain, subject.lesion]
        cases = {item.case for item in self.inputs} | {subject.id for subject in subjects}
        return cases, {image.path.name for image in files if image is not None}

    def of(self, case: str, origin: Mapping[str, str]) -> Input:
        """The scan that a result was made from.

        Raises:
            DataError: there is none, or it has changed.
        """
        named = [item for item in self.inputs if item.case == case]
        for item in (*named, *self.inputs):
            if item.image.path.is_file() and self._digest(item.image) == origin.get("scan"):
                return item
        if named:
            raise DataError(
                f"{named[0].image.path.name} has changed since it was predicted", "predict it again, or restore it"
            )
        raise DataError("its scan is not among the scans given: it has moved", "give --scans the place where it lies")

    def outlined(self, item: Input, source: str) -> Subject | None:
        """The subject of a cohort whose scan this is, if it has an expert mask."""
        subjects = (subject for cohort in self.cohorts for subject in cohort.subjects if subject.lesion is not None)
        return next((one for one in subjects if one.images.get(source) == item.image), None)

    def _digest(self, image: Image) -> str:
        if image.path not in self._digests:
            self._digests[image.path] = sha256_of_file(image.path)
        return self._digests[image.path] + ("" if image.channel is None else f"#{image.channel}")


def load_shown(predictions: Predictions, case: str, scans: Scans | None) -> Shown:
    """Read the map and mask of a case, and its scan where it is still the one that was predicted.

    Raises:
        DataError: map or mask cannot be read.
    """
    anomaly = read_volume(predictions.folder / f"{case}{ANOMALY_END}", allow_zero=True)
    mask = read_volume(predictions.folder / f"{case}{MASK_END}", allow_zero=True)
    check_same_grid(anomaly, mask)
    alone = Shown(
        anomaly.data, mask.data > 0, anomaly.affine, None, anomaly.data > 0, in_mni=lies_in_mni(anomaly.header)
    )
    if scans is None:
        return alone
    origin = predictions.records[case].origin
    try:
        item = scans.of(case, origin)
    except MmccdError as error:
        return replace(alone, problem=Problem.of(case, error))
    outlined = scans.outlined(item, predictions.records[case].source)
    if predictions.records[case].brain_from:  # found by `predict`, and kept beside the map
        item = replace(item, brain=Image(predictions.folder / f"{case}{BRAIN_END}"))
    try:
        volume = read_volume(item.image.path, item.image.channel)
        check_same_grid(anomaly, volume)
        if "brain" in origin and item.brain is None:
            raise DataError(
                "it was predicted with a brain mask that is not there, and no voxel outside the brain is shown",
                "give --brain, or the cohort that holds the mask",
            )
        given = read_volume(item.brain.path, item.brain.channel) if item.brain else None
        brain = brain_mask(volume, given)
    except MmccdError as error:
        shown = replace(alone, problem=Problem.of(case, error))
    else:
        expert, warnings, problem = _expert(predictions, case, outlined)
        shown = replace(alone, volume=volume, brain=brain, expert=expert, problem=problem, warnings=warnings)
    return shown if item.case == case else _nameless(case, item, outlined, shown)


def _nameless(case: str, item: Input, subject: Subject | None, shown: Shown) -> Shown:
    """Of a case that was predicted under another name than its scan has: that name may be a secret."""
    files = names_of_files({**item.files, "lesion": subject.lesion if subject else None}, case)
    cases = {item.case: case} | ({subject.id: case} if subject else {})

    def without(text: str) -> str:
        return redact(text, cases, files)

    problem = shown.problem and Problem(case, without(shown.problem.what), without(shown.problem.hint))
    return replace(shown, problem=problem, warnings=tuple(map(without, shown.warnings)))


def _expert(
    predictions: Predictions, case: str, subject: Subject | None
) -> tuple[NDArray[np.bool_] | None, tuple[str, ...], Problem | None]:
    if subject is None:
        return None, (), None
    try:
        loaded = load_predicted(subject, predictions.records[case], predictions.folder)
    except MmccdError as error:
        return None, (), Problem(case, f"no expert mask is shown: {error.message}", error.hint)
    return loaded.lesion, loaded.warnings, None


def _may_be_record(path: Path) -> bool:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True  # torn: it may be one
    return isinstance(values, dict) and "case" in values
