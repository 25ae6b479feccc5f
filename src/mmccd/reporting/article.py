"""One case drawn: its part of a page as text, which a worker process makes from what `predict` wrote."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from markupsafe import Markup

from mmccd.data.case_record import CaseRecord, read_case_record
from mmccd.data.problems import Problem
from mmccd.errors import MmccdError
from mmccd.reporting.case import CaseView, view_of
from mmccd.reporting.charts import small_strip
from mmccd.reporting.hidden_names import Secrets
from mmccd.reporting.page import fill, number
from mmccd.reporting.scans import Found, Shown, load_shown
from mmccd.reporting.table import ABOVE, AMONG, BADGES, MASK_MISSING, NO_REFERENCE, SCAN_MISSING, Row
from mmccd.reporting.viewer import COARSEST_MM, Embedded, embed

OTHER_MODEL = "scored by another model than most cases here: do not compare its score with theirs"
_DIGITS = 20
"""Characters by which the size of a viewer's voxels may be longer than the coarsest."""
_SLOT = "<!--viewer-->"  # no text of others holds it: theirs is escaped


@dataclass(frozen=True)
class Task:
    """A case to be drawn.

    Attributes:
        case: Its name in the folder.
        name: As shown.
        key: Its number on the page.
        found: Its scan, or why it is not there; None where no scans were given.
        share: Bytes of its page that are its own, for pictures and viewer together.
    """

    case: str
    name: str
    key: int
    found: Found | Problem | None
    share: int


@dataclass(frozen=True)
class Drawn:
    """What came of it.

    Attributes:
        row: Of the table; None where the case could not be read.
        before: HTML of the case in full, to where its viewer stands.
        viewer: HTML of the viewer with its data, as fine as its share allows, or else as coarse as there is.
        after: The rest.
        unusual: Whether no healthy reference subject scores as high.
        findings: Their number.
        problem: Why it is not shown, or not in full.
    """

    row: Row | None
    before: str = ""
    viewer: str = ""
    after: str = ""
    unusual: bool = False
    findings: int = 0
    problem: Problem | None = None

    @cached_property
    def size(self) -> int:
        """Bytes without the viewer."""
        return len(self.before.encode()) + len(self.after.encode())


@dataclass(frozen=True)
class CaseDrawer:
    """Draws the cases of a folder, one by one.

    Attributes:
        folder: Of the predictions.
        model: Digest of the model that most were scored with.
        healthy: Scores of its healthy reference subjects.
        scores: Of all cases that it scored, for a common axis; the ends are enough.
        unit: Of the map.
        expert: Whether the table has a column for the overlap with experts.
        viewer: Whether viewers are wanted.
        secrets: Names that must not be said; None where all may.
    """

    folder: Path
    model: str
    healthy: Sequence[float]
    scores: Sequence[float]
    unit: str
    expert: bool
    viewer: bool
    secrets: Secrets | None

    def __call__(self, task: Task) -> Drawn:
        """Draw one; what is wrong with it goes into the result, bugs propagate."""
        try:
            record = read_case_record(self.folder / f"{task.case}.json")
            shown = load_shown(self.folder, record, task.found)
            view = view_of(task.name, f"case-{task.key}", record, shown)
        except (MmccdError, MemoryError, OSError) as error:
            return Drawn(None, problem=self._public(Problem.of(task.case, error)))
        same = record.origin.get("model", "") == self.model
        warnings = view.warnings if self.secrets is None else [self.secrets.redact(text) for text in view.warnings]
        view.warnings = warnings if same else [*warnings, OTHER_MODEL]
        view.problem = self._public(view.problem) if view.problem else None
        healthy, scores = (self.healthy, self.scores) if same else ((), (1.0,))
        text = fill("case", {
            "case": view, "unit": self.unit, "strip": small_strip(record.score, healthy, scores),
            "badge": BADGES[_state(view)],
        })  # fmt: skip
        before, _, after = text.partition(_SLOT)
        row = self._row(view, task.key)
        drawn = Drawn(row, before, "", after, view.standing.unusual, view.count, view.problem)
        if not self.viewer:
            return drawn
        return replace(drawn, viewer=self._viewer(view, record, shown, task.share - drawn.size))

    def _public(self, problem: Problem) -> Problem:
        return problem if self.secrets is None else self.secrets.redacted(problem)

    def _viewer(self, view: CaseView, record: CaseRecord, shown: Shown, budget: int) -> str:
        def html(embedded: Embedded) -> str:
            return fill("viewer", {"case": view, "unit": self.unit, "embedded": embedded})

        around = len(html(Embedded("", "", "", COARSEST_MM)).encode()) + _DIGITS
        return html(embed(
            shown.anomaly, shown.affine, scan=None if shown.volume is None else shown.volume.data, brain=view.brain,
            expert=shown.expert, threshold=record.threshold, budget=budget - around,
        ))  # fmt: skip

    def _row(self, case: CaseView, key: int) -> Row:
        standing, dice = case.standing, case.expert["dice"] if case.expert else math.nan
        cells = [
            number(case.score),
            number(case.p_value, 2),
            f"{standing.percentile:.0f} %" if standing.healthy else "–",
            number(case.marked_ml),
            str(case.count),
            number(case.findings[0].volume_ml) if case.findings else "–",
            *([f"{dice:.2f}" if dice == dice else "–"] if self.expert else []),
            str(len(case.warnings) or "–"),
        ]
        badges = [_state(case)]
        if case.problem:
            badges.append(MASK_MISSING if case.planes[0].scan else SCAN_MISSING)
        return Row(case.name, tuple(cells), tuple(badges), key)


def _state(case: CaseView) -> int:
    """Of the score: a position in `BADGES`."""
    return ABOVE if case.standing.unusual else AMONG if case.standing.healthy else NO_REFERENCE


def markup(drawn: Drawn, viewer: str) -> Markup:
    """A case in full, with this in the place of its viewer."""
    return Markup(drawn.before + viewer + drawn.after)
