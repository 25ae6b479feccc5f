"""One case, one map, one threshold: all that is measured of them, for `evaluate` and `benchmark` alike."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmccd.evaluation.metrics import Confusion, SurfaceDistances, auprc, auroc, lesion_f1

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Row = dict[str, Any]
METRICS = ("dice", "auprc", "auroc", "iou", "sensitivity", "precision", "lesion_f1", "assd_mm", "hd95_mm",
           "oracle_dice")  # fmt: skip
"""Of a row, those with a mean over patients; `oracle_dice` is added where all cases are known."""


@dataclass(frozen=True)
class ExpertCase:
    """What maps of one scan are compared with; arrays are (x, y, z) of one shape.

    Attributes:
        id: Of the case.
        brain: True inside the brain.
        lesion: True inside the expert's lesion, also where that lies outside the brain.
        spacing_mm: Of the voxels along each axis.
    """

    id: str
    brain: Mask
    lesion: Mask
    spacing_mm: tuple[float, float, float]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    @property
    def has_lesion(self) -> bool:
        """Whether the expert drew anything."""
        return bool(self.lesion.any())


@dataclass(frozen=True)
class Scored:
    """What one method says of a case, as (x, y, z) arrays on its grid.

    Attributes:
        method: Name for tables.
        score: float32, higher is more anomalous.
        threshold: Of this scan, chosen without labels.
        marked: True where the method marks something: above the threshold, inside the brain.
    """

    method: str
    score: Floats
    threshold: float
    marked: Mask

    @classmethod
    def cut(cls, method: str, case: ExpertCase, score: Floats, threshold: float) -> "Scored":
        """A map, cut inside the brain."""
        return cls(method, score, threshold, case.brain & (score > threshold))


def measure(case: ExpertCase, scored: Scored) -> Row:
    """Row of a table: masks over the whole volume, areas under curves over brain voxels; undefined values are NaN.

    Of a case without a lesion the overlap is 0 where anything is marked, as of one whose lesion is missed; counting its
    lesions says nothing.
    """
    overlap = Confusion.between(scored.marked, case.lesion)
    distances = SurfaceDistances.between(scored.marked, case.lesion, spacing_mm=case.spacing_mm)
    score, lesion = scored.score[case.brain], case.lesion[case.brain]
    return {
        "case": case.id,
        "method": scored.method,
        "threshold": scored.threshold,
        "dice": overlap.dice,
        "iou": overlap.iou,
        "sensitivity": overlap.sensitivity,
        "precision": overlap.precision,
        "lesion_f1": lesion_f1(scored.marked, case.lesion) if case.has_lesion else float("nan"),
        "assd_mm": distances.average_mm,
        "hd95_mm": distances.hausdorff95_mm,
        "predicted_ml": int(scored.marked.sum()) * case.voxel_ml,
        "lesion_ml": int(case.lesion.sum()) * case.voxel_ml,
        "auroc": auroc(score, lesion),
        "auprc": auprc(score, lesion),
    }
