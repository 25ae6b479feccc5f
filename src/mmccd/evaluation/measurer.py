"""One case of `mmccd evaluate`, on whichever machine: its rows, and what waits for those of other cases."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmccd.data.cohort import Cohort
from mmccd.data.problems import Problem
from mmccd.errors import MmccdError
from mmccd.evaluation.case import load_scored_case
from mmccd.evaluation.measure import Row, measure
from mmccd.evaluation.montage import MontageRow, montage_row
from mmccd.evaluation.oracle import DiceCurve
from mmccd.evaluation.paper_protocol import LesionSlice


@dataclass(frozen=True)
class Measured:
    """What is known of a case before the others are.

    Attributes:
        rows: One for each method.
        origin: What the prediction was made of.
        trained_on: Whether the model was trained or calibrated on this very scan.
        picture: Its row of the montage; None of a case that is not drawn.
        curves: Dice by threshold, of each method.
        slices: Of each method, for the paper's protocol; empty without a lesion.
    """

    rows: tuple[Row, ...]
    origin: dict[str, Any]
    trained_on: bool
    picture: MontageRow | None
    curves: dict[str, DiceCurve]
    slices: dict[str, LesionSlice]


@dataclass(frozen=True)
class CaseMeasurer:
    """Measures cases of a folder of predictions.

    Attributes:
        predictions: The folder.
        cohort: Subjects with lesion masks, matched to cases by id.
        drawn: Cases of the montage, whose rows are made while they are at hand.
    """

    predictions: Path
    cohort: Cohort
    drawn: frozenset[str] = frozenset()

    def __call__(self, case: str) -> Measured | Problem:
        """Measure a case; whatever is wrong with it becomes its problem."""
        try:
            loaded = load_scored_case(self.predictions, self.cohort.subject(case))
        except (MmccdError, OSError, MemoryError) as error:
            return Problem.of(case, error)
        expert = loaded.expert
        lesion, size = expert.lesion[expert.brain], int(expert.lesion.sum())
        slices = {one.method: loaded.largest_lesion_slice(one.score) for one in loaded.scored}
        return Measured(
            rows=tuple(measure(expert, one) | {"source": loaded.record.source} for one in loaded.scored),
            origin=loaded.record.origin,
            trained_on=loaded.record.trained_on,
            picture=montage_row(loaded) if case in self.drawn else None,
            curves={one.method: DiceCurve.of(one.score[expert.brain], lesion, size) for one in loaded.scored},
            slices={method: piece for method, piece in slices.items() if piece is not None},
        )

    def picture(self, case: str) -> MontageRow:
        """The row of the montage of a case that has been measured."""
        return montage_row(load_scored_case(self.predictions, self.cohort.subject(case)))
