"""What builtin_weights.py says of single lesions, and of two visits of one person: scans on their own grid.

Lesions are the connected components of the expert's mask, and one is found where a marked voxel touches it: see
`mmccd.evaluation.metrics.Lesions`. Rows are those of a table, by the names of its columns.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from small_lesions import ms_scans

from mmccd.data.cohort import read_cohort
from mmccd.data.subject import load_case
from mmccd.data.volumes import Volume, read_volume
from mmccd.errors import DataError
from mmccd.evaluation.metrics import Confusion, Lesions
from mmccd.method.intensity import normalise
from mmccd.model.config import typical
from mmccd.prediction.detector import Detection, Detector
from mmccd.scoring.intensity_baseline import IntensityBaseline

MS_SMOOTH_MM = 0.7
EDGES_MM3 = (10, 100, 300, 1_000, 10_000)
CLASSES = (
    f"under {EDGES_MM3[0]} mm³",
    *(f"{low:,} to {high:,}" for low, high in pairwise(EDGES_MM3)),
    f"over {EDGES_MM3[-1]:,}",
)
SIZES = ("what marks", *CLASSES, "false pieces per scan")
VISITS = ("what marks", "correlation of the maps", "mean absolute difference", "Dice of the marks", "marked, ml",
          "change, %", "score")  # fmt: skip
PAIR = ("P14_visit2", "P14_visit3")
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Marks = dict[str, Mask]
"""By name of what marks."""


def relative(source: str) -> Detector:
    """Cuts from each scan's own level; the usual threshold is in its card."""
    return Detector.load(f"builtin:{source}", device="cpu", threshold="relative")


def gliomas(data: Path, source: str, subjects: Sequence[str]) -> list[list[str]]:
    """Rows of SIZES: a model, and the smoothed intensity, each at its usual threshold."""
    cohort, detector = read_cohort(data / "brats128"), Detector.load(f"builtin:{source}", device="cpu")
    scans = []
    for subject in subjects:
        case = load_case(cohort.subject(subject), [source])
        found = detector.detect(case.images[source])
        marks = {f"builtin:{source}": found.mask, f"smoothed intensity, {source.upper()}": evaluated(detector, found)}
        scans.append((marks, case.lesion, found.volume.voxel_ml))
    return sizes(scans)


def sclerosis(data: Path, source: str) -> list[list[str]]:
    """Rows of SIZES: a model at both thresholds, and the scan itself; scans that are refused are left out."""
    detector, scans = relative(source), []
    for path, mask in ms_scans(data, source).values():
        try:
            found = detector.detect(path)
        except DataError:
            continue
        scans.append((marks_of(detector, found), read_volume(mask).data > 0.5, found.volume.voxel_ml))
    return sizes(scans)


def visits(data: Path, source: str) -> list[list[str]]:
    """Rows of VISITS; the brain is that of FLAIR, the best stripped modality, and both visits have what is compared."""
    detector, usual = relative(source), f"builtin:{source}"
    scans, flair = ms_scans(data, source), ms_scans(data, "flair")
    pair = [detector.detect(scans[name][0], brain=above_zero(flair[name][0])) for name in PAIR]
    brain = pair[0].brain & pair[1].brain
    marks = [marks_of(detector, found) for found in pair]
    maps = {usual: [found.anomaly for found in pair], own(source): [bright(found, source) for found in pair]}
    rows = []
    for name in marks[0]:
        row = [name, "", "", *marked_twice([one[name] for one in marks], pair[0].volume.voxel_ml), ""]
        if name in maps:
            first, second = (one[brain] for one in maps[name])
            row[1] = f"{np.corrcoef(first, second)[0, 1]:.3f}"
        if name == usual:
            row[2] = f"{np.abs(first - second).mean():.2f} nats"
            row[-1] = " and ".join(f"{found.score:.2f}" for found in pair)
        rows.append(row)
    return rows


def drawn_twice(data: Path) -> list[str]:
    """Row of VISITS: how far the expert's masks differ."""
    masks = [read_volume(ms_scans(data, "flair")[name][1]) for name in PAIR]
    return ["the expert", "", "", *marked_twice([mask.data > 0.5 for mask in masks], masks[0].voxel_ml), ""]


def marked_twice(masks: Sequence[Mask], voxel_ml: float) -> list[str]:
    """Dice of two masks, their volumes, and by how much the second one differs."""
    first, second = (mask.sum() * voxel_ml for mask in masks)
    change = f"{100 * (second / first - 1):+.0f}" if first else ""
    return [f"{Confusion.between(*masks).dice:.3f}", f"{first:.1f} and {second:.1f}", change]


def above_zero(path: Path) -> Volume:
    """The brain mask that a stripped scan is."""
    volume = read_volume(path)
    return replace(volume, data=(volume.data > 0).astype(np.float32))


def own(source: str) -> str:
    """Name of the scan itself as that which marks."""
    return f"{'darkness' if typical('polarity', source) == 'dark' else 'brightness'}, {source.upper()}"


def marks_of(detector: Detector, found: Detection) -> Marks:
    """A model at both thresholds, and the scan itself, cut where it marks as much as the first."""
    source = detector.sources[0]
    usual = found.anomaly > detector.model.card.threshold.value
    values = bright(found, source)
    marked = int(usual.sum())
    cut = np.partition(values[found.brain], -marked - 1)[-marked - 1]
    return {f"builtin:{source}": usual, f"builtin:{source}, relative": found.mask,
            own(source): found.brain & (values > cut)}  # fmt: skip


def bright(found: Detection, source: str) -> Floats:
    """The scan itself, smoothed by 0.7 mm."""
    baseline = IntensityBaseline(source, typical("polarity", source), "smoothed", MS_SMOOTH_MM)
    return baseline.anomaly_map({source: found.volume.data}, found.brain, found.volume.spacing_mm)


def evaluated(detector: Detector, found: Detection) -> Mask:
    """What the smoothed intensity marks beside a model in `mmccd evaluate`."""
    source, card = detector.sources[0], detector.model.card.intensity_baseline
    baseline = IntensityBaseline(source, card.polarity, "smoothed", card.smooth_mm)
    image = normalise(found.volume.data, found.brain)
    values = baseline.anomaly_map({source: image}, found.brain, found.volume.spacing_mm)
    return np.asarray(found.brain & (values > card.threshold.smoothed))


def sizes(scans: Sequence[tuple[Marks, Mask, float]]) -> list[list[str]]:
    """A row for each that marks: of the lesions of all scans, how many it finds in each class."""
    return [size_row(name, [(marks[name], lesion, ml) for marks, lesion, ml in scans]) for name in scans[0][0]]


def size_row(name: str, scans: Sequence[tuple[Mask, Mask, float]]) -> list[str]:
    """Of one that marks: mask, lesion and voxel of each scan."""
    counted = [(Lesions.between(marked, lesion), 1000 * voxel_ml) for marked, lesion, voxel_ml in scans]
    of_class = np.concatenate([np.digitize(one.voxels * mm3, EDGES_MM3) for one, mm3 in counted])
    found = np.concatenate([one.found for one, _ in counted])
    cells = [share(found[of_class == i]) for i in range(len(CLASSES))]
    return [name, *cells, f"{np.mean([one.false_pieces for one, _ in counted]):.1f}"]


def share(found: Mask) -> str:
    """How many of how many, and per cent."""
    return f"{found.sum()} of {found.size} ({100 * found.mean():.0f} %)" if found.size else "none there"
