"""What a folder of predictions holds: complete cases, what is torn or lacks files, and what failed; and their scans."""

import csv
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmccd.data.cohort import Cohort, Image, read_cohort
from mmccd.data.own_folders import ANOMALY_END, MASK_END
from mmccd.data.subject import load_case
from mmccd.data.volumes import Volume, brain_mask, check_same_grid, read_volume
from mmccd.errors import DataError, MmccdError
from mmccd.prediction.predict import Input, find_inputs
from mmccd.prediction.summary import SUMMARY
from mmccd.system.files import sha256_of_file

_NEEDED = ("case", "source", "score", "p_value", "threshold", "threshold_origin", "lesion_volume_ml", "origin")
_AGAIN = "predict this scan again"


@dataclass(frozen=True)
class Problem:
    """Why a case is not shown, or not in full."""

    case: str
    what: str
    hint: str = ""


@dataclass(frozen=True)
class Predictions:
    """A folder written by `mmccd predict`.

    Attributes:
        records: The case's `<case>.json`, by case.
        broken: Cases that are half there.
        failed: Cases that `predict` could not score, from `summary.csv`.
    """

    folder: Path
    records: dict[str, dict[str, Any]]
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
    """

    anomaly: NDArray[np.float32]
    mask: NDArray[np.bool_]
    affine: NDArray[np.float64]
    volume: Volume | None
    brain: NDArray[np.bool_]
    expert: NDArray[np.bool_] | None = None
    problem: Problem | None = None
    warnings: tuple[str, ...] = ()

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0


def holds_predictions(folder: Path) -> bool:
    """Whether `mmccd predict` wrote into a folder, were it only a part of a case."""
    return folder.is_dir() and ((folder / SUMMARY).is_file() or any(folder.glob(f"*{ANOMALY_END}")))


def read_predictions(folder: Path) -> Predictions:
    """Read the records of a folder; nothing here stops at a case that is torn."""
    records: dict[str, dict[str, Any]] = {}
    broken: list[Problem] = []
    failed, status = _failures(folder / SUMMARY)
    maps = {path.name.removesuffix(ANOMALY_END) for path in folder.glob(f"*{ANOMALY_END}")}
    masks = {path.name.removesuffix(MASK_END) for path in folder.glob(f"*{MASK_END}")}
    written = {path.name.removesuffix(".json") for path in folder.glob("*.json")}
    for case in sorted(maps | masks | written | set(status)):
        of_other = case in written and not _is_record(folder / f"{case}.json")
        if case in {problem.case for problem in failed} and (case not in written or of_other):
            continue
        lacking = [
            end for end, there in ((ANOMALY_END, maps), (MASK_END, masks), (".json", written)) if case not in there
        ]
        if case not in status and (
            lacking == [ANOMALY_END, ".json"] or (lacking == [ANOMALY_END, MASK_END] and of_other)
        ):
            continue  # a mask or a JSON file of something else
        if lacking:
            names = ", ".join(f"{case}{end}" for end in lacking)
            broken.append(Problem(case, f"half-written: {names} not there", _AGAIN))
            continue
        try:
            records[case] = _record(folder / f"{case}.json")
        except DataError as error:
            broken.append(Problem(case, error.message, error.hint))
    return Predictions(folder, records, tuple(broken), failed)


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
        cls, paths: Sequence[Path], source: str, *, layout: str = "auto", brain: Path | None = None
    ) -> "Scans":
        """The scans of one modality in files, folders and cohorts.

        Raises:
            DataError: a path does not exist, or holds no such scan.
        """
        scans = cls()
        for path in paths:
            if not path.exists():
                raise DataError(f"{path} does not exist", "give the scans that were predicted, or leave --scans out")
            scans.inputs += find_inputs([path], source, layout=layout, brain=brain)[0]
            try:
                scans.cohorts.append(read_cohort(path, layout))
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
    alone = Shown(anomaly.data, mask.data > 0, anomaly.affine, None, anomaly.data > 0)
    if scans is None:
        return alone
    origin = predictions.records[case]["origin"]
    try:
        item = scans.of(case, origin)
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
        return Shown(
            alone.anomaly, alone.mask, alone.affine, None, alone.brain, None, Problem(case, error.message, error.hint)
        )
    expert, warnings, problem = _expert(scans, case, item, predictions.records[case]["source"])
    return Shown(anomaly.data, mask.data > 0, anomaly.affine, volume, brain, expert, problem, warnings)


def _expert(
    scans: Scans, case: str, item: Input, source: str
) -> tuple[NDArray[np.bool_] | None, tuple[str, ...], Problem | None]:
    for cohort in scans.cohorts:
        for subject in cohort.subjects:
            if subject.images.get(source) == item.image and subject.lesion is not None:
                try:
                    loaded = load_case(subject, [source])
                except MmccdError as error:
                    return None, (), Problem(case, f"no expert mask is shown: {error.message}", error.hint)
                return loaded.lesion, loaded.warnings, None
    return None, (), None


def without_names_of(text: str, names: Mapping[str, str], files: Collection[str] = ()) -> str:
    """A message without names of cases and of files: what a report may say of people who are not to be known.

    Args:
        text: The message.
        names: Case to what it is called instead.
        files: Names of files that are known. Of others that begin with a case, or hold no space, the whole name is
            found, too.
    """
    hidden = {case.casefold(): shown for case, shown in names.items()}
    cases = "|".join(re.escape(case) for case in sorted(names, key=len, reverse=True)) or r"(?!)"
    known = "|".join(re.escape(file) for file in sorted(files, key=len, reverse=True)) or r"(?!)"
    # A case is a word of its own, or the case "1" would be found in every number.
    file = rf"\S{{0,999}}(?:{cases})\S{{0,999}}\.nii(?:\.gz)?|\S{{1,999}}\.nii(?:\.gz)?"
    pattern = re.compile(rf"{known}|{file}|(?<![^\W_])(?P<case>{cases})(?![^\W_])", re.IGNORECASE)

    def instead(found: re.Match[str]) -> str:
        # Upper and lower case of a Turkish i are found as one letter, and are two for `casefold`.
        return hidden.get(found["case"].casefold(), "a case") if found["case"] else "a file"

    return pattern.sub(instead, text)


def _failures(summary: Path) -> tuple[tuple[Problem, ...], dict[str, str]]:
    if not summary.is_file():
        return (), {}
    try:
        with summary.open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream) if row.get("case")]
            rows = [row | {"case": row["case"].removeprefix("'")} for row in rows]  # a mark of `write_csv`
    except (OSError, UnicodeDecodeError, csv.Error):
        return (), {}
    failed = [
        Problem(row["case"], row.get("error") or "not scored", row.get("hint") or "")
        for row in rows
        if row.get("status") == "failed"
    ]
    return tuple(failed), {row["case"]: row.get("status") or "" for row in rows}


def _record(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} is torn: {error}", _AGAIN) from error
    missing = [key for key in _NEEDED if key not in values] if isinstance(values, dict) else list(_NEEDED)
    if missing:
        raise DataError(f"{path.name} lacks {', '.join(missing)}", _AGAIN)
    numbers = [values[key] for key in ("score", "p_value", "threshold", "lesion_volume_ml")]
    if not all(isinstance(number, int | float) for number in numbers):
        raise DataError(f"{path.name} has a score, p-value, threshold or volume that is no number", _AGAIN)
    if values["case"] != path.name.removesuffix(".json"):
        raise DataError(f"{path.name} is the record of another case", _AGAIN)
    if not isinstance(values["origin"], dict) or not isinstance(values["threshold_origin"], dict):
        raise DataError(f"{path.name} has no usable origin", _AGAIN)
    return values


def _is_record(path: Path) -> bool:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True  # torn: it may be one
    return isinstance(values, dict) and "case" in values
