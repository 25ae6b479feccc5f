"""A picture of a cohort: what was marked beside the expert's outlines."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmccd.data.case_record import read_case_record
from mmccd.data.cohort import Cohort
from mmccd.data.own_folders import ANOMALY_END, MASK_END
from mmccd.data.subject import load_predicted
from mmccd.data.volumes import Volume, check_same_grid, read_volume
from mmccd.errors import DataError
from mmccd.evaluation.metrics import Confusion
from mmccd.evaluation.paper_protocol import slice_with_most_lesion
from mmccd.figures import LESION, MAP_COLOURS, MASK, Panel, frame, grid_png, window
from mmccd.system.files import write_atomically


def write_montage(path: Path, predictions: Path, cohort: Cohort, cases: Sequence[str], title: str) -> None:
    """For each case the slice with most lesion: scan, expert outline, anomaly map, and what was marked.

    Raises:
        DataError: none of the cases is in the cohort with a lesion mask.
    """
    rows, names = [], []
    for case in cases:
        record = read_case_record(predictions / f"{case}.json")
        loaded = load_predicted(cohort.subject(case), record, predictions)
        volume = loaded.images[record.source]
        anomaly = _read(predictions / f"{case}{ANOMALY_END}", volume)
        mask = _read(predictions / f"{case}{MASK_END}", volume) > 0
        lesion = loaded.lesion if loaded.lesion is not None else np.zeros_like(mask)
        z = slice_with_most_lesion(lesion if lesion.any() else loaded.brain)
        sides_mm = volume.spacing_mm[:2]
        x, y = frame(loaded.brain[:, :, z], sides_mm)
        image, expert, marked = volume.data[x, y, z], lesion[x, y, z], mask[x, y, z]
        low, high = window(volume.data, loaded.brain)
        scale = float(np.quantile(anomaly[loaded.brain], 0.995)) or 1.0
        row = [
            Panel(image, low, high),
            Panel(image, low, high, outlines=((LESION, expert),)),
            Panel(anomaly[x, y, z], 0, scale, MAP_COLOURS),
            Panel(image, low, high, outlines=((LESION, expert), (MASK, marked)), note=_dice(marked, expert)),
        ]
        rows.append([replace(panel, sides_mm=sides_mm) for panel in row])
        names.append(f"{case}\nslice {z}")
    if not rows:
        raise DataError("there is no case to draw", "predict at least one subject of the cohort")
    png = grid_png(
        rows,
        columns=["scan", "expert", "anomaly map", "marked"],
        names=names,
        title=title,
        caption="Cyan: expert's outline. Yellow: above the threshold chosen without labels. Dice is of this slice.",
    )
    write_atomically(path, png)


def _read(path: Path, like: Volume) -> NDArray[np.float32]:
    volume = read_volume(path, allow_zero=True)
    check_same_grid(like, volume)
    return volume.data


def _dice(marked: NDArray[np.bool_], expert: NDArray[np.bool_]) -> str:
    return f"Dice {Confusion.between(marked, expert).dice:.2f}" if expert.any() else ""
