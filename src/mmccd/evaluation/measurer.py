"""One case of `mmccd evaluate`, in whichever process: its rows, and on disk what only all cases together decide."""

from dataclasses import dataclass
from pathlib import Path

from mmccd.data.cohort import Cohort
from mmccd.data.problems import Problem
from mmccd.errors import MmccdError
from mmccd.evaluation.case import ScoredCase, load_scored_case
from mmccd.evaluation.measure import Row, measure
from mmccd.evaluation.montage import MontageRow, montage_row
from mmccd.evaluation.oracle import DiceCurve
from mmccd.evaluation.scratch import Scratch


@dataclass(frozen=True)
class Measured:
    """What is known of a case before the others are.

    Attributes:
        rows: One for each method.
        trained_on: Whether the model was trained or calibrated on this very scan.
        picture: Its row of the montage.
    """

    rows: tuple[Row, ...]
    trained_on: bool
    picture: MontageRow


@dataclass(frozen=True)
class CaseMeasurer:
    """Measures cases of a folder of predictions.

    Attributes:
        predictions: The folder.
        cohort: Subjects with lesion masks, matched to cases by id.
        scratch: Where curves and slices wait for those of other cases.
    """

    predictions: Path
    cohort: Cohort
    scratch: Scratch

    def __call__(self, case: str) -> Measured | Problem:
        """Measure a case; whatever is wrong with it becomes its problem.

        Raises:
            DataError: the scratch cannot be written, of other cases neither.
        """
        try:
            loaded = load_scored_case(self.predictions, self.cohort.subject(case))
        except (MmccdError, OSError, MemoryError) as error:
            return Problem.of(case, error)
        rows = tuple(measure(loaded.expert, one) | {"source": loaded.record.source} for one in loaded.scored)
        self._keep(case, loaded)
        return Measured(rows, loaded.record.trained_on, montage_row(loaded))

    def _keep(self, case: str, loaded: ScoredCase) -> None:
        expert = loaded.expert
        lesion, size = expert.lesion[expert.brain], int(expert.lesion.sum())
        curves = {one.method: DiceCurve.of(one.score[expert.brain], lesion, size) for one in loaded.scored}
        slices = {one.method: loaded.largest_lesion_slice(one.score) for one in loaded.scored}
        self.scratch.keep(case, curves, {method: piece for method, piece in slices.items() if piece is not None})
