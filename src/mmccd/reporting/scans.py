"""The scans of predictions: where they lie, and what is shown of them."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmccd.data.case_record import CaseRecord
from mmccd.data.cohort import Cohort, Image, Subject, read_cohort
from mmccd.data.formats import is_scan_name
from mmccd.data.forms import lies_in_mni
from mmccd.data.layouts.entities import Selection
from mmccd.data.own_folders import ANOMALY_END, BRAIN_END, MASK_END
from mmccd.data.problems import Problem
from mmccd.data.pseudonyms import names_of_files, redact
from mmccd.data.subject import load_predicted
from mmccd.data.volumes import Volume, brain_mask, check_same_grid, read_volume
from mmccd.errors import DataError, MmccdError
from mmccd.prediction.inputs import Input, find_inputs
from mmccd.system.files import sha256_of_file

_AT_A_TIME = 500
"""Files that wait for a thread: each that waits takes a kilobyte."""


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


@dataclass(frozen=True, slots=True)
class Found:
    """The scan of a case.

    Attributes:
        item: Where it lies, with its brain mask.
        outlined: The subject of a cohort whose scan it is, if that has an expert mask.
    """

    item: Input
    outlined: Subject | None


class Scans:
    """Where the scans of predictions lie: by name first, then by content, because files are renamed.

    Args:
        inputs: All that was found.
        cohorts: Cohorts among them, for their expert masks.
        source: Modality of the scans.
    """

    def __init__(self, inputs: Sequence[Input], cohorts: Sequence[Cohort], source: str) -> None:
        self.inputs, self.cohorts = inputs, cohorts
        self._named: dict[str, list[Input]] = {}
        for item in inputs:
            self._named.setdefault(item.case, []).append(item)
        self._outlined: dict[Image, Subject] = {}
        for subject in (subject for cohort in cohorts for subject in cohort.subjects):
            if subject.lesion is not None and source in subject.images:
                self._outlined.setdefault(subject.images[source], subject)
        self._digests: dict[Path, str] = {}

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
        inputs: list[Input] = []
        cohorts: list[Cohort] = []
        for path in paths:
            if not path.exists():
                raise DataError(f"{path} does not exist", "give the scans that were predicted, or leave --scans out")
            inputs += find_inputs([path], source, layout=layout, brain=brain, select=select)[0]
            with suppress(MmccdError):  # loose files
                cohorts.append(read_cohort(path, layout, select))
        return cls(inputs, cohorts, source)

    def names(self) -> tuple[set[str], set[str]]:
        """Cases and subjects, and files, whose names a message may hold; no file that is known by its case's name."""
        cases = {item.case for item in self.inputs}
        files = {image.path.name for item in self.inputs for image in item.files.values()
                 if image is not None and not _tells_its_case(image, item.case)}  # fmt: skip
        for subject in (subject for cohort in self.cohorts for subject in cohort.subjects):
            cases.add(subject.id)
            files |= {image.path.name for image in (*subject.images.values(), subject.brain, subject.lesion)
                      if image is not None and not _tells_its_case(image, subject.id)}  # fmt: skip
        return cases, files

    def of_all(self, digests: Mapping[str, str], workers: int = 1) -> dict[str, Found | Problem]:
        """The scans that results were made from, or why there is none: it has moved, or changed.

        Args:
            digests: Of the scan, by case.
            workers: Files that are read at a time.
        """
        self._read([item.image for case in digests for item in self._named.get(case, ())], workers)
        matched = {case: self._first(self._named.get(case, ()), digest) for case, digest in digests.items()}
        by_content: dict[str, Input] = {}
        if not all(matched.values()):
            self._read([item.image for item in self.inputs], workers)
            for item in self.inputs:
                by_content.setdefault(self._digest(item.image), item)
            by_content.pop("", None)  # what cannot be read
        found: dict[str, Found | Problem] = {}
        for case, match in matched.items():
            there = match or by_content.get(digests[case])
            found[case] = Found(there, self._outlined.get(there.image)) if there else self._absent(case)
        return found

    def of(self, case: str, origin: Mapping[str, str]) -> Found | Problem:
        """The scan that a result was made from, as its record says, or why there is none."""
        return self.of_all({case: origin.get("scan", "")})[case]

    def _absent(self, case: str) -> Problem:
        if named := self._named.get(case):
            what = f"{named[0].image.path.name} has changed since it was predicted"
            return Problem(case, what, "predict it again, or restore it")
        what = "its scan is not among the scans given: it has moved"
        return Problem(case, what, "give --scans the place where it lies")

    def _first(self, items: Iterable[Input], digest: str) -> Input | None:
        return next((item for item in items if digest and self._digest(item.image) == digest), None)

    def _digest(self, image: Image) -> str:
        """Of a scan that was read; empty of another."""
        digest = self._digests.get(image.path, "")
        return digest and digest + ("" if image.channel is None else f"#{image.channel}")

    def _read(self, images: Iterable[Image], workers: int) -> None:
        new = [path for path in dict.fromkeys(image.path for image in images)
               if path not in self._digests and path.is_file()]  # fmt: skip
        with ThreadPoolExecutor(max(1, workers)) as threads:
            for start in range(0, len(new), _AT_A_TIME):
                some = new[start : start + _AT_A_TIME]
                self._digests |= zip(some, threads.map(_digest_of, some), strict=True)


def _digest_of(path: Path) -> str:
    try:
        return sha256_of_file(path)
    except OSError:  # as good as not there
        return ""


def _tells_its_case(image: Image, case: str) -> bool:
    name = image.path.name
    return is_scan_name(name) and name.startswith(case) and " " not in name.removeprefix(case)


def load_shown(folder: Path, record: CaseRecord, found: Found | Problem | None) -> Shown:
    """Read the map and mask of a case, and its scan where it is still the one that was predicted.

    Args:
        folder: Of the predictions.
        record: Of the case.
        found: Its scan, or why it is not there; None where no scans were given.

    Raises:
        DataError: map or mask cannot be read.
    """
    case = record.case
    anomaly = read_volume(folder / f"{case}{ANOMALY_END}", allow_zero=True)
    mask = read_volume(folder / f"{case}{MASK_END}", allow_zero=True)
    check_same_grid(anomaly, mask)
    alone = Shown(
        anomaly.data, mask.data > 0, anomaly.affine, None, anomaly.data > 0, in_mni=lies_in_mni(anomaly.header)
    )
    if not isinstance(found, Found):
        return replace(alone, problem=found)
    item = found.item
    if record.brain_from:  # found by `predict`, and kept beside the map
        item = replace(item, brain=Image(folder / f"{case}{BRAIN_END}"))
    try:
        volume = read_volume(item.image.path, item.image.channel)
        check_same_grid(anomaly, volume)
        if "brain" in record.origin and item.brain is None:
            raise DataError(
                "it was predicted with a brain mask that is not there, and no voxel outside the brain is shown",
                "give --brain, or the cohort that holds the mask",
            )
        given = read_volume(item.brain.path, item.brain.channel) if item.brain else None
        brain = brain_mask(volume, given)
    except MmccdError as error:
        shown = replace(alone, problem=Problem.of(case, error))
    else:
        expert, warnings, problem = _expert(folder, record, found.outlined)
        shown = replace(alone, volume=volume, brain=brain, expert=expert, problem=problem, warnings=warnings)
    return shown if item.case == case else _nameless(case, item, found.outlined, shown)


def _nameless(case: str, item: Input, subject: Subject | None, shown: Shown) -> Shown:
    """Of a case that was predicted under another name than its scan has: that name may be a secret."""
    files = names_of_files({**item.files, "lesion": subject.lesion if subject else None}, case)
    cases = {item.case: case} | ({subject.id: case} if subject else {})

    def without(text: str) -> str:
        return redact(text, cases, files)

    problem = shown.problem and Problem(case, without(shown.problem.what), without(shown.problem.hint))
    return replace(shown, problem=problem, warnings=tuple(map(without, shown.warnings)))


def _expert(
    folder: Path, record: CaseRecord, subject: Subject | None
) -> tuple[NDArray[np.bool_] | None, tuple[str, ...], Problem | None]:
    if subject is None:
        return None, (), None
    try:
        loaded = load_predicted(subject, record, folder)
    except MmccdError as error:
        return None, (), Problem(record.case, f"no expert mask is shown: {error.message}", error.hint)
    return loaded.lesion, loaded.warnings, None
