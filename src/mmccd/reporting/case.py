"""One case as its page shows it: numbers, what they mean in words, and pictures."""

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmccd.data.case_record import CaseRecord
from mmccd.data.checks import odd_about_scan
from mmccd.data.problems import Problem
from mmccd.evaluation.metrics import Confusion
from mmccd.prediction.preview import head_png
from mmccd.reporting.planes import Plane, planes_through
from mmccd.reporting.scans import Shown
from mmccd.reporting.standing import Standing
from mmccd.scoring.findings import Finding, findings_of, middle_of, place_in_words, strongest_voxel

MOST_FINDINGS = 6


@dataclass
class CaseView:
    """What a page says of one case.

    Attributes:
        name: As shown.
        key: For addresses in the page.
        record: What `predict` wrote.
        findings: The largest ones, as the record numbers them; ``count`` counts all.
        place: Of each of ``findings``, in words, from the middle of the brain.
        middle_mm: That middle, in the scanner's millimetres.
        rest_ml: Volume of the findings that are not listed.
        planes: Through the strongest finding.
        centre_mm: Where they cross, in the scanner's millimetres.
        warnings: Of `predict`, and of the scan and the expert mask as they are read now.
        problem: Why the scan is not shown.
        expert: Dice with the expert and the expert's volume in ml; None without an expert mask.
        brain: Inside it the scan may be shown.
        head: PNG, as a data address, of the head and the brain that was found in it; empty where none had to be found.
    """

    name: str
    key: str
    record: CaseRecord
    findings: tuple[Finding, ...]
    count: int
    place: list[str]
    middle_mm: list[float]
    rest_ml: float
    planes: list[Plane]
    centre_mm: list[float]
    warnings: list[str]
    problem: Problem | None
    expert: dict[str, float] | None
    brain: NDArray[np.bool_]
    head: str = ""

    @property
    def score(self) -> float:
        """One number for the scan."""
        return self.record.score

    @property
    def p_value(self) -> float:
        """Conformal p-value of the score."""
        return self.record.p_value

    @property
    def marked_ml(self) -> float:
        """Volume of the mask, as `predict` recorded it."""
        return self.record.lesion_volume_ml

    @property
    def standing(self) -> Standing:
        """Of the score among healthy ones."""
        return Standing(self.p_value, self.record.p_value_of.healthy_subjects)


def view_of(name: str, key: str, record: CaseRecord, shown: Shown) -> CaseView:
    """Measure and draw one case.

    Args:
        name: As it is shown.
        key: Unique on the page, safe in an address.
        record: What `predict` wrote of it.
        shown: Its arrays.
    """
    threshold = record.threshold
    scan = None if shown.volume is None else shown.volume.data
    brain = shown.brain if shown.brain.any() else np.ones_like(shown.brain)
    found = findings_of(shown.mask, shown.anomaly, brain, shown.affine, threshold, in_mni=shown.in_mni)
    findings = found[:MOST_FINDINGS]
    voxel = strongest_voxel(found, shown.anomaly, brain, shown.affine, threshold)
    planes = planes_through(
        voxel, affine=shown.affine, anomaly=shown.anomaly, mask=shown.mask, brain=brain, threshold=threshold, scan=scan,
        expert=shown.expert,
    )  # fmt: skip
    middle = middle_of(brain, shown.affine)
    odd: list[str] = []
    if shown.volume is not None:
        # Doubts about its header are in every record, without the name of its file where that is hidden.
        odd = [text for text in odd_about_scan(shown.volume, brain, record.source) if text not in shown.volume.doubts]
    warnings = list(dict.fromkeys((*record.warnings, *shown.warnings, *odd)))  # an older record may lack some
    expert = None
    if shown.expert is not None:
        agreement = Confusion.between(shown.mask, shown.expert)
        expert = {
            "dice": agreement.dice,
            "sensitivity": agreement.sensitivity,
            "volume_ml": float(shown.expert.sum()) * shown.voxel_ml,
        }
    marked_ml = float(shown.mask.sum()) * shown.voxel_ml
    return CaseView(
        name=name,
        key=key,
        record=record,
        findings=findings,
        count=len(found),
        place=[place_in_words(np.subtract(finding.centre_mm, middle).tolist()) for finding in findings],
        middle_mm=[round(float(value), 2) for value in middle],
        rest_ml=marked_ml - sum(finding.volume_ml for finding in findings),
        planes=planes,
        centre_mm=[round(float(value), 2) for value in shown.affine[:3, :3] @ voxel + shown.affine[:3, 3]],
        warnings=warnings,
        problem=shown.problem,
        expert=expert,
        brain=brain,
        head=_head(record, shown),
    )


def _head(record: CaseRecord, shown: Shown) -> str:
    if not record.brain_from or shown.volume is None:
        return ""
    png = head_png(shown.volume, shown.brain)
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
