"""A picture of one scan: a few slices, and what was found in them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmccd.data.volumes import Volume
from mmccd.figures import LESION, MAP_COLOURS, MASK, Panel, frame, grid_png, window
from mmccd.prediction.detector import Detection
from mmccd.system.files import write_atomically

PREVIEW_SLICES = 5
BRAIN_WORDS = " Cyan: the brain that was found."


def write_preview(path: Path, case: str, source: str, detection: Detection, *, head: bool = False) -> None:
    """Five axial slices of one scan, top to bottom of the brain through its strongest finding.

    Args:
        path: Of the PNG.
        case: What the scan is called.
        source: Its modality.
        detection: What was found.
        head: Whether a row above shows the whole head, and the brain that was found in it.
    """
    evenly = _evenly(detection.brain)
    findings = np.where(detection.mask, detection.anomaly, 0) if detection.mask.any() else detection.brain
    strongest = int(findings.sum(axis=(0, 1)).argmax())
    chosen = np.unique([*np.delete(evenly, np.abs(evenly - strongest).argmin()), strongest])
    low, high = window(detection.volume.data, detection.brain)
    sides_mm = detection.volume.spacing_mm[:2]
    x, y = frame(np.any(detection.brain, axis=2), sides_mm)
    scans, maps = [], []
    for z in chosen:
        image, mask = detection.volume.data[x, y, z], detection.mask[x, y, z]
        scans.append(Panel(image, low, high, outlines=((MASK, mask),), sides_mm=sides_mm))
        maps.append(Panel(detection.anomaly[x, y, z], 0, 2 * detection.threshold, MAP_COLOURS, sides_mm=sides_mm))
    heads = [within_head(detection.volume, detection.brain, z) for z in chosen] if head else []
    least = f", in parts from {detection.min_lesion_ml:g} ml" if detection.min_lesion_ml else ""
    png = grid_png(
        [*([heads] if heads else []), scans, maps],
        columns=[f"slice {z}" for z in chosen],
        names=[*(["as scanned"] if heads else []), source, "anomaly map"],
        title=f"{case}: {detection.lesion_volume_ml:.1f} ml above the threshold{least}",
        caption=f"Yellow: above the threshold chosen without labels.{BRAIN_WORDS if heads else ''} Research only.",
        threshold=detection.threshold,
    )
    write_atomically(path, png)


def head_png(volume: Volume, brain: NDArray[np.bool_]) -> bytes:
    """Five axial slices of a scan with skull, with the outline of the brain that was found in it."""
    chosen = _evenly(brain)
    return grid_png(
        [[within_head(volume, brain, z) for z in chosen]],
        columns=[f"slice {z}" for z in chosen],
        names=["as scanned"],
        title="The brain that was found",
        inches=1.5,
    )


def _evenly(brain: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Slices from bottom to top of the brain."""
    per_slice = brain.sum(axis=(0, 1))
    inside = np.flatnonzero(per_slice > 0.3 * per_slice.max())
    return np.asarray(np.linspace(inside[0], inside[-1], PREVIEW_SLICES + 2)[1:-1].round().astype(np.int64))


def within_head(volume: Volume, brain: NDArray[np.bool_], z: int) -> Panel:
    """An axial slice of a scan with skull, with the outline of the brain that was found in it."""
    shown = np.any(volume.data > 0, axis=2)
    sides_mm = volume.spacing_mm[:2]
    x, y = frame(shown, sides_mm)
    high = float(np.quantile(volume.data[volume.data > 0], 0.99))
    return Panel(volume.data[x, y, z], 0, high, outlines=((LESION, brain[x, y, z]),), sides_mm=sides_mm)
