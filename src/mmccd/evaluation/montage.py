"""Pictures of detections: one page per scan, and one montage of a cohort beside the expert's outlines."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmccd.data.cohort import Cohort
from mmccd.data.own_folders import ANOMALY_END, MASK_END
from mmccd.data.subject import load_case
from mmccd.data.volumes import Volume, check_same_grid, read_volume
from mmccd.errors import DataError
from mmccd.figures import LESION, MAP_COLOURS, MASK, Panel, grid_png
from mmccd.system.files import write_atomically

if TYPE_CHECKING:
    from mmccd.prediction.detector import Detection

PREVIEW_SLICES = 5


def write_preview(path: Path, case: str, source: str, detection: "Detection") -> None:
    """Five axial slices of one scan, top to bottom of the brain through its strongest finding."""
    brain_per_slice = detection.brain.sum(axis=(0, 1))
    inside = np.flatnonzero(brain_per_slice > 0.3 * brain_per_slice.max())
    evenly = np.linspace(inside[0], inside[-1], PREVIEW_SLICES + 2)[1:-1].round().astype(int)
    findings = np.where(detection.mask, detection.anomaly, 0) if detection.mask.any() else detection.brain
    strongest = int(findings.sum(axis=(0, 1)).argmax())
    chosen = np.unique([*np.delete(evenly, np.abs(evenly - strongest).argmin()), strongest])
    low, high = _window(detection.volume.data, detection.brain)
    sides_mm = detection.volume.spacing_mm[:2]
    x, y = _frame(np.any(detection.brain, axis=2), sides_mm)
    scans, maps = [], []
    for z in chosen:
        image, mask = detection.volume.data[x, y, z], detection.mask[x, y, z]
        scans.append(Panel(image, low, high, outlines=((MASK, mask),), sides_mm=sides_mm))
        maps.append(Panel(detection.anomaly[x, y, z], 0, 2 * detection.threshold, MAP_COLOURS, sides_mm=sides_mm))
    png = grid_png(
        [scans, maps],
        columns=[f"slice {z}" for z in chosen],
        names=[source, "anomaly map"],
        title=f"{case}: {detection.lesion_volume_ml:.1f} ml above the threshold",
        caption="Yellow: above the threshold chosen without labels. Research only.",
        threshold=detection.threshold,
    )
    write_atomically(path, png)


def write_montage(path: Path, predictions: Path, cohort: Cohort, source: str, cases: Sequence[str], title: str) -> None:
    """For each case the slice with most lesion: scan, expert outline, anomaly map, and what was marked.

    Raises:
        DataError: none of the cases is in the cohort with a lesion mask.
    """
    rows, names = [], []
    for case in cases:
        loaded = load_case(cohort.subject(case), [source])
        volume = loaded.images[source]
        anomaly = _read(predictions / f"{case}{ANOMALY_END}", volume)
        mask = _read(predictions / f"{case}{MASK_END}", volume) > 0
        lesion = loaded.lesion if loaded.lesion is not None else np.zeros_like(mask)
        z = int((lesion if lesion.any() else loaded.brain).sum(axis=(0, 1)).argmax())
        sides_mm = volume.spacing_mm[:2]
        x, y = _frame(loaded.brain[:, :, z], sides_mm)
        image, expert, marked = volume.data[x, y, z], lesion[x, y, z], mask[x, y, z]
        low, high = _window(volume.data, loaded.brain)
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
        columns=[source, "expert", "anomaly map", "marked"],
        names=names,
        title=title,
        caption="Cyan: expert's outline. Yellow: above the threshold chosen without labels. Dice is of this slice.",
    )
    write_atomically(path, png)


def _read(path: Path, like: Volume) -> NDArray[np.float32]:
    volume = read_volume(path, allow_zero=True)
    check_same_grid(like, volume)
    return volume.data


def _window(data: NDArray[np.float32], brain: NDArray[np.bool_]) -> tuple[float, float]:
    return 0.0, float(np.quantile(data[brain], 0.995))


def _frame(brain: NDArray[np.bool_], sides_mm: tuple[float, float], margin_mm: float = 4.0) -> tuple[slice, slice]:
    """The square, in millimetres, around the brain of a slice, so that pictures of different fields of view compare.

    Where a lesion lies in a slice without brain, the whole slice.
    """
    if not brain.any():
        return slice(None), slice(None)
    occupied = [np.flatnonzero(brain.any(axis=axis)) for axis in (1, 0)]
    extents_mm = [(pixels[-1] - pixels[0]) * side for pixels, side in zip(occupied, sides_mm, strict=True)]
    sizes = [math.ceil((max(extents_mm) + 2 * margin_mm) / side) for side in sides_mm]
    starts = [
        max(0, int(pixels[0] + pixels[-1]) // 2 - size // 2) for pixels, size in zip(occupied, sizes, strict=True)
    ]
    return slice(starts[0], starts[0] + sizes[0]), slice(starts[1], starts[1] + sizes[1])


def _dice(marked: NDArray[np.bool_], expert: NDArray[np.bool_]) -> str:
    total = int(marked.sum() + expert.sum())
    return f"Dice {2 * int((marked & expert).sum()) / total:.2f}" if expert.any() else ""
