"""A picture of one scan: a few slices, and what was found in them."""

from pathlib import Path

import numpy as np

from mmccd.figures import MAP_COLOURS, MASK, Panel, frame, grid_png, window
from mmccd.prediction.detector import Detection
from mmccd.system.files import write_atomically

PREVIEW_SLICES = 5


def write_preview(path: Path, case: str, source: str, detection: Detection) -> None:
    """Five axial slices of one scan, top to bottom of the brain through its strongest finding."""
    brain_per_slice = detection.brain.sum(axis=(0, 1))
    inside = np.flatnonzero(brain_per_slice > 0.3 * brain_per_slice.max())
    evenly = np.linspace(inside[0], inside[-1], PREVIEW_SLICES + 2)[1:-1].round().astype(int)
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
    png = grid_png(
        [scans, maps],
        columns=[f"slice {z}" for z in chosen],
        names=[source, "anomaly map"],
        title=f"{case}: {detection.lesion_volume_ml:.1f} ml above the threshold",
        caption="Yellow: above the threshold chosen without labels. Research only.",
        threshold=detection.threshold,
    )
    write_atomically(path, png)
