"""One case of a predictions folder beside its expert mask: what each method says, and how well it agrees."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmccd.data.cohort import Subject
from mmccd.data.own_folders import ANOMALY_END
from mmccd.data.subject import load_case
from mmccd.data.volumes import Volume, check_same_grid, read_volume
from mmccd.errors import DataError
from mmccd.evaluation.metrics import Confusion, SurfaceDistances, auprc, auroc
from mmccd.method.intensity import normalise
from mmccd.scoring.maps import intensity_score, smoothed

INTENSITY = "intensity threshold"
"""Name of the baseline that stands beside every model: the scan's own normalised intensity."""
SMOOTHED_INTENSITY = "smoothed intensity"
"""The same, smoothed as the model's map is: what smoothing alone gains."""
BASELINES = (INTENSITY, SMOOTHED_INTENSITY)

_AGAIN = "score it again with `mmccd predict --overwrite`"


@dataclass(frozen=True)
class Scored:
    """What one method says about one case, as (x, y, z) arrays on the grid of the scan.

    Attributes:
        method: Name for tables.
        threshold: Chosen without labels; ``predicted`` is what lies above it.
        score: float32, higher is more anomalous.
        predicted: True inside what the method marks.
    """

    method: str
    threshold: float
    score: NDArray[np.float32]
    predicted: NDArray[np.bool_]


@dataclass(frozen=True)
class ScoredCase:
    """A case that can be evaluated: scan, masks and scores on one grid in RAS+.

    Attributes:
        id: Case of the prediction, subject of the cohort.
        source: Modality that was scored.
        scan: The scan.
        brain: (x, y, z), True inside the brain.
        lesion: (x, y, z), True inside the expert's lesion, also where that lies outside the brain.
        scored: The model, then the intensity baselines.
        trained_on: Whether the model was trained or calibrated on this very scan.
    """

    id: str
    source: str
    scan: Volume
    brain: NDArray[np.bool_]
    lesion: NDArray[np.bool_]
    scored: tuple[Scored, ...]
    trained_on: bool


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
    if subject.lesion is None:
        raise DataError(f"subject {subject.id} has no lesion mask", "evaluate needs one; it may be all zero")
    record = _read_record(predictions / f"{subject.id}.json")
    case = load_case(subject, [record.source])
    scan = case.images[record.source]
    if case.lesion is None:
        raise AssertionError("load_case reads the lesion mask of a subject that has one")
    score, predicted = (
        _read_on_grid(predictions / f"{subject.id}_{kind}.nii.gz", scan) for kind in ("anomaly", "mask")
    )
    scored = [Scored(record.method, record.threshold, score, predicted > 0)]
    if record.method != INTENSITY:
        intensity = intensity_score(normalise(scan.data, case.brain), record.polarity)
        marked = case.brain & (intensity > record.intensity_threshold)
        scored.append(Scored(INTENSITY, record.intensity_threshold, intensity, marked))
        if record.smooth_mm > 0:
            mean = smoothed(intensity, case.brain, smooth_mm=record.smooth_mm, spacing_mm=scan.spacing_mm)
            marked = case.brain & (mean > record.smoothed_threshold)
            scored.append(Scored(SMOOTHED_INTENSITY, record.smoothed_threshold, mean, marked))
    return ScoredCase(subject.id, record.source, scan, case.brain, case.lesion, tuple(scored), record.trained_on)


def measure(case: ScoredCase, scored: Scored) -> dict[str, Any]:
    """Row of the per-case table: masks over the whole volume, areas under curves over brain voxels."""
    overlap = Confusion.between(scored.predicted, case.lesion)
    distances = SurfaceDistances.between(scored.predicted, case.lesion, spacing_mm=case.scan.spacing_mm)
    score, lesion = scored.score[case.brain], case.lesion[case.brain]
    return {
        "case": case.id,
        "source": case.source,
        "method": scored.method,
        "threshold": scored.threshold,
        "dice": overlap.dice,
        "iou": overlap.iou,
        "sensitivity": overlap.sensitivity,
        "precision": overlap.precision,
        "assd_mm": distances.average_mm,
        "hd95_mm": distances.hausdorff95_mm,
        "predicted_ml": int(scored.predicted.sum()) * case.scan.voxel_ml,
        "lesion_ml": int(case.lesion.sum()) * case.scan.voxel_ml,
        "auroc": auroc(score, lesion),
        "auprc": auprc(score, lesion),
    }


@dataclass(frozen=True)
class _Record:
    source: str
    method: str
    threshold: float
    polarity: str
    intensity_threshold: float
    smooth_mm: float
    smoothed_threshold: float
    trained_on: bool


def _read_record(path: Path) -> _Record:
    try:
        values: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        intensity = values["intensity"]
        record = _Record(
            str(values["source"]),
            str(values["model"]["method"]),
            float(values["threshold"]),
            str(intensity["polarity"]),
            float(intensity["threshold"]),
            float(intensity["smooth_mm"]),
            float(intensity["smoothed_threshold"]),
            values.get("trained_on") is True,
        )
    except OSError as error:
        raise DataError(f"cannot read {path.name}: {error.strerror or error}", _AGAIN) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path.name} is no record of a prediction: {error!r}", _AGAIN) from error
    if record.polarity not in ("bright", "dark"):
        raise DataError(f"{path.name} has polarity {record.polarity!r}, expected bright or dark", _AGAIN)
    return record


def _read_on_grid(path: Path, scan: Volume) -> NDArray[np.float32]:
    volume = read_volume(path, allow_zero=True)
    check_same_grid(scan, volume)
    return volume.data
