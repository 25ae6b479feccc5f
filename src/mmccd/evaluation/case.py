"""One case of a predictions folder beside its expert mask: what each method says of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmccd.data.case_record import CaseRecord, IntensityCut, read_case_record
from mmccd.data.cohort import Subject
from mmccd.data.layouts.names import LESION
from mmccd.data.own_folders import ANOMALY_END, MASK_END
from mmccd.data.subject import load_predicted
from mmccd.data.volumes import Volume, check_same_grid, read_volume
from mmccd.errors import DataError
from mmccd.evaluation.measure import ExpertCase, Floats, Scored
from mmccd.evaluation.paper_protocol import LesionSlice, largest_lesion_slice, slice_with_most_lesion
from mmccd.method.intensity import reference_intensity, scaled
from mmccd.scoring.intensity_baseline import IntensityBaseline
from mmccd.scoring.thresholds import Threshold, threshold_of_scan

INTENSITY = "intensity threshold"
"""Name of the baseline that stands beside every model: the scan's own normalised intensity."""
SMOOTHED_INTENSITY = "smoothed intensity"
"""The same, smoothed as the model's map is: what smoothing alone gains."""
BASELINES = (INTENSITY, SMOOTHED_INTENSITY)


@dataclass(frozen=True)
class ScoredCase:
    """A case that can be evaluated; its arrays are the box around brain, lesion and marks: half a scan is air.

    Attributes:
        expert: Brain and lesion.
        record: Of the prediction.
        image: (x, y, z) intensities of the scan.
        scored: The model, then the intensity baselines.
        box: Where the arrays lie on the RAS+ grid of the scan.
        shape: Of the whole scan.
        shown_z: Of the slice with most lesion, or without one with most brain, on the grid of the scan.
        shown: (x, y) intensities of this slice, in full.
    """

    expert: ExpertCase
    record: CaseRecord
    image: NDArray[np.float32]
    scored: tuple[Scored, ...]
    box: tuple[slice, slice, slice]
    shape: tuple[int, ...]
    shown_z: int
    shown: Floats

    def largest_lesion_slice(self, score: NDArray[np.float32]) -> LesionSlice | None:
        """As `mmccd.evaluation.paper_protocol.largest_lesion_slice`, of the whole scan; None without a lesion."""
        piece = largest_lesion_slice(self.expert, score)
        if piece is None:
            return None
        z = piece.z + self.box[2].start
        return LesionSlice(piece.case, z, *map(self.whole, (piece.score, piece.brain, piece.lesion)))

    def whole(self, part: NDArray[np.generic]) -> NDArray[Any]:
        """An axial slice of the box as one of the scan, 0 around it."""
        whole = np.zeros(self.shape[:2], part.dtype)
        whole[self.box[:2]] = part
        return whole


def predicted_cases(predictions: Path) -> list[str]:
    """Cases of a folder that ``mmccd predict`` wrote, sorted.

    Raises:
        DataError: there are none.
    """
    cases = sorted(path.name.removesuffix(ANOMALY_END) for path in predictions.glob(f"*{ANOMALY_END}"))
    if not cases:
        raise DataError(
            f"{predictions} holds no prediction (<case>{ANOMALY_END})",
            "give the output folder of `mmccd predict`",
        )
    return cases


def load_scored_case(predictions: Path, subject: Subject) -> ScoredCase:
    """Read the prediction, the scan and the lesion mask of one subject.

    Raises:
        DataError: a file is missing or unusable, or the subject has no lesion mask.
        GridError: prediction and scan do not share one grid.
    """
    subject.check_usable(LESION)
    if subject.lesion is None:
        raise DataError(f"subject {subject.id} has no lesion mask", "evaluate needs one; it may be all zero")
    record = read_case_record(predictions / f"{subject.id}.json")
    case, normalised = _model_alone(predictions, subject, record)  # the whole scan is gone before more is computed
    # A model that is a baseline itself is listed once.
    model = case.scored[0].method
    beside = (one for one in _intensities(record, normalised, case.expert) if model != INTENSITY)
    return replace(case, scored=(*case.scored, *beside))


def _model_alone(predictions: Path, subject: Subject, record: CaseRecord) -> tuple[ScoredCase, Floats]:
    """The case without baselines, and its scan normalised as the model saw it."""
    loaded = load_predicted(subject, record, predictions)
    scan, lesion = loaded.images[record.source], loaded.lesion
    if lesion is None:
        raise AssertionError("load_case reads the lesion mask of a subject that has one")
    reference = reference_intensity(scan.data, loaded.brain)
    marked = _read_on_grid(predictions / f"{subject.id}{MASK_END}", scan) > 0
    box = _around(loaded.brain | lesion | marked)
    expert = ExpertCase(subject.id, loaded.brain[box].copy(), lesion[box].copy(), scan.spacing_mm)
    score = _read_on_grid(predictions / f"{subject.id}{ANOMALY_END}", scan)[box].copy()
    model = Scored(record.model.method, score, record.threshold, marked[box].copy())
    z = box[2].start + slice_with_most_lesion(expert.lesion if expert.has_lesion else expert.brain)
    image, shown = scan.data[box].copy(), scan.data[:, :, z].copy()
    case = ScoredCase(expert, record, image, (model,), box, scan.data.shape, z, shown)
    return case, scaled(case.image, expert.brain, reference)


def _around(inside: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """The smallest box with all of what is inside."""
    sides = [np.flatnonzero(inside.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    x, y, z = (slice(int(side[0]), int(side[-1]) + 1) for side in sides)
    return x, y, z


def _intensities(record: CaseRecord, normalised: NDArray[np.float32], expert: ExpertCase) -> Iterator[Scored]:
    """The scan's own intensity, and the same smoothed where the model's map is."""
    cut = record.intensity
    slices = {record.source: np.moveaxis(normalised, 2, 0)}
    x_mm, y_mm, z_mm = expert.spacing_mm
    kinds: tuple[tuple[str, Literal["plain", "smoothed"], float], ...] = (
        (INTENSITY, "plain", cut.threshold),
        (SMOOTHED_INTENSITY, "smoothed", cut.smoothed_threshold),
    )
    for name, kind, value in kinds if cut.smooth_mm > 0 else kinds[:1]:
        baseline = IntensityBaseline(record.source, cut.polarity, kind, cut.smooth_mm)
        found = baseline.anomaly_map(slices, np.moveaxis(expert.brain, 2, 0), (z_mm, x_mm, y_mm))
        score = np.moveaxis(found, 0, 2)
        yield Scored.cut(name, expert, score, threshold_of_scan(_threshold(cut, value), score[expert.brain]))


def _threshold(cut: IntensityCut, value: float) -> Threshold:
    return Threshold(value, criterion="", guarantee="", added_to=cut.added_to)


def _read_on_grid(path: Path, scan: Volume) -> NDArray[np.float32]:
    volume = read_volume(path, allow_zero=True)
    check_same_grid(scan, volume)
    return volume.data
