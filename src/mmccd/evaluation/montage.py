"""A picture of a cohort: what was marked beside the expert's outlines."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmccd.evaluation.case import ScoredCase
from mmccd.evaluation.metrics import Confusion
from mmccd.figures import LESION, MAP_COLOURS, MASK, Panel, frame, grid_png, window
from mmccd.system.files import write_atomically


@dataclass(frozen=True)
class MontageRow:
    """One case of the picture: scan, expert's outline, anomaly map, and what was marked."""

    name: str
    panels: tuple[Panel, ...]


def montage_row(case: ScoredCase) -> MontageRow:
    """The slice of a case with most lesion; of one without, that with most brain."""
    expert, model, sides_mm = case.expert, case.scored[0], case.expert.spacing_mm[:2]
    z = case.shown_z - case.box[2].start
    whole = [case.whole(plane[:, :, z]) for plane in (expert.brain, expert.lesion, model.score, model.marked)]
    x, y = frame(whole[0], sides_mm)
    lesion, anomaly, marked = (plane[x, y] for plane in whole[1:])
    image = case.shown[x, y]
    low, high = window(case.image, expert.brain)
    scale = float(np.quantile(model.score[expert.brain], 0.995)) or 1.0
    panels = (
        Panel(image, low, high),
        Panel(image, low, high, outlines=((LESION, lesion),)),
        Panel(anomaly, 0, scale, MAP_COLOURS),
        Panel(image, low, high, outlines=((LESION, lesion), (MASK, marked)), note=_dice(marked, lesion)),
    )
    name = f"{expert.id}\nslice {case.shown_z}"
    return MontageRow(name, tuple(replace(panel, sides_mm=sides_mm) for panel in panels))


def write_montage(path: Path, rows: Sequence[MontageRow], title: str) -> None:
    """Write the picture of at least one case."""
    png = grid_png(
        [row.panels for row in rows],
        columns=["scan", "expert", "anomaly map", "marked"],
        names=[row.name for row in rows],
        title=title,
        caption="Cyan: expert's outline. Yellow: above the threshold chosen without labels. Dice is of this slice.",
    )
    write_atomically(path, png)


def _dice(marked: NDArray[np.bool_], expert: NDArray[np.bool_]) -> str:
    return f"Dice {Confusion.between(marked, expert).dice:.2f}" if expert.any() else ""
