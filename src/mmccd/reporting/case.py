"""One case as its page shows it: numbers, what they mean in words, pictures, and data for the viewer."""

import base64
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from mmccd.data.case_record import CaseRecord
from mmccd.data.checks import odd_about_scan
from mmccd.data.problems import Problem
from mmccd.evaluation.metrics import Confusion
from mmccd.prediction.preview import head_png
from mmccd.reporting.planes import Plane, planes_through
from mmccd.reporting.scans import Shown
from mmccd.reporting.viewer import Embedded, embed
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
        embedded: For the viewer; None where there is none.
        warnings: Of `predict`, and of the scan and the expert mask as they are read now.
        problem: Why the scan is not shown.
        expert: Dice with the expert and the expert's volume in ml; None without an expert mask.
        strip: The score beside the healthy ones; set when all cases are known.
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
    embedded: Embedded | None
    warnings: list[str]
    problem: Problem | None
    expert: dict[str, float] | None
    strip: Markup = field(default_factory=Markup)
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
    def healthy(self) -> int:
        """Number of healthy reference subjects."""
        return self.record.p_value_of.healthy_subjects

    @property
    def above(self) -> int:
        """How many of them score lower than this scan."""
        as_high = round(self.p_value * (self.healthy + 1)) - 1
        return self.healthy - max(0, min(self.healthy, as_high))

    @property
    def unusual(self) -> bool:
        """Whether no healthy reference subject scores as high."""
        return self.healthy > 0 and self.above == self.healthy

    @property
    def percentile(self) -> float:
        """Share of the healthy reference subjects that score lower, in percent; NaN without any."""
        return 100 * self.above / self.healthy if self.healthy else float("nan")

    @property
    def in_words(self) -> str:
        """What score and p-value say, and what they cannot say."""
        if not self.healthy:
            return "The model has no healthy reference subjects, so this score cannot be placed among healthy ones."
        if self.unusual:
            return (
                f"Scores higher than all {self.healthy} healthy reference subjects. With {self.healthy} of them "
                f"p cannot be smaller than {1 / (self.healthy + 1):.2g}."
            )
        share = 100 * self.p_value
        return (
            f"Scores higher than {self.above} of {self.healthy} healthy reference subjects: among healthy scans like "
            f"those, up to {share:.0f} % would score as high by chance. The score alone does not set this scan apart."
        )


def view_of(name: str, key: str, record: CaseRecord, shown: Shown, *, budget: int | None) -> CaseView:
    """Measure and draw one case.

    Args:
        name: As it is shown.
        key: Unique on the page, safe in an address.
        record: What `predict` wrote of it.
        shown: Its arrays.
        budget: Characters for the viewer's data; None leaves the viewer out.
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
    embedded = None
    if budget is not None:
        embedded = embed(
            shown.anomaly, shown.affine, scan=scan, brain=brain, expert=shown.expert, threshold=threshold, budget=budget
        )
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
        embedded=embedded,
        warnings=warnings,
        problem=shown.problem,
        expert=expert,
        head=_head(record, shown),
    )


def _head(record: CaseRecord, shown: Shown) -> str:
    if not record.brain_from or shown.volume is None:
        return ""
    png = head_png(shown.volume, shown.brain)
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
