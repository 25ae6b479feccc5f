"""One case of a predictions folder beside its expert mask: what each method says of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmccd.data.case_record import CaseRecord, IntensityCut, read_case_record
from mmccd.data.cohort import Subject
from mmccd.data.layouts.names import LESION
from mmccd.data.own_folders import ANOMALY_END, MASK_END
from mmccd.data.subject import load_predicted
from mmccd.data.volumes import Volume, check_same_grid, read_volume
from mmccd.errors import DataError
from mmccd.evaluation.measure import ExpertCase, Scored
from mmccd.method.intensity import normalise
from mmccd.scoring.intensity_baseline import IntensityBaseline
from mmccd.scoring.thresholds import Threshold, threshold_of_scan

INTENSITY = "intensity threshold"
"""Name of the baseline that stands beside every model: the scan's own normalised intensity."""
SMOOTHED_INTENSITY = "smoothed intensity"
"""The same, smoothed as the model's map is: what smoothing alone gains."""
BASELINES = (INTENSITY, SMOOTHED_INTENSITY)


@dataclass(frozen=True)
class ScoredCase:
    """A case that can be evaluated.

    Attributes:
        expert: Brain and lesion.
        record: Of the prediction.
        scan: The scan.
        scored: The model, then the intensity baselines, on the grid of the scan.
    """

    expert: ExpertCase
    record: CaseRecord
    scan: Volume
    scored: tuple[Scored, ...]


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
    loaded = load_predicted(subject, record, predictions)
    scan = loaded.images[record.source]
    if loaded.lesion is None:
        raise AssertionError("load_case reads the lesion mask of a subject that has one")
    score, mask = (_read_on_grid(predictions / f"{subject.id}{end}", scan) for end in (ANOMALY_END, MASK_END))
    expert = ExpertCase(subject.id, loaded.brain, loaded.lesion, scan.spacing_mm)
    model = Scored(record.model.method, score, record.threshold, mask > 0)
    # A model that is a baseline itself is listed once.
    beside = (one for one in _intensities(record, scan, expert) if model.method != INTENSITY)
    return ScoredCase(expert, record, scan, (model, *beside))


def _intensities(record: CaseRecord, scan: Volume, expert: ExpertCase) -> Iterator[Scored]:
    """The scan's own intensity, and the same smoothed where the model's map is."""
    cut = record.intensity
    normalised = np.moveaxis(normalise(scan.data, expert.brain), 2, 0)
    x_mm, y_mm, z_mm = scan.spacing_mm
    kinds: tuple[tuple[str, Literal["plain", "smoothed"], float], ...] = (
        (INTENSITY, "plain", cut.threshold),
        (SMOOTHED_INTENSITY, "smoothed", cut.smoothed_threshold),
    )
    for name, kind, value in kinds if cut.smooth_mm > 0 else kinds[:1]:
        baseline = IntensityBaseline(record.source, cut.polarity, kind, cut.smooth_mm)
        slices = {record.source: normalised}
        found = baseline.anomaly_map(slices, np.moveaxis(expert.brain, 2, 0), (z_mm, x_mm, y_mm))
        score = np.moveaxis(found, 0, 2)
        yield Scored.cut(name, expert, score, threshold_of_scan(_threshold(cut, value), score[expert.brain]))


def _threshold(cut: IntensityCut, value: float) -> Threshold:
    return Threshold(value, criterion="", guarantee="", added_to=cut.added_to)


def _read_on_grid(path: Path, scan: Volume) -> NDArray[np.float32]:
    volume = read_volume(path, allow_zero=True)
    check_same_grid(scan, volume)
    return volume.data
