"""What one contender makes of the test subjects of a store."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, label
from sklearn.metrics import precision_recall_curve

from mmccd.comparison.artefacts import ARTEFACTS, plant
from mmccd.comparison.judge import Judge
from mmccd.comparison.record import Row
from mmccd.data.store import Store
from mmccd.evaluation.measure import ExpertCase, Floats, Mask, Scored, measure
from mmccd.evaluation.metrics import Confusion, auroc
from mmccd.evaluation.oracle import DiceCurve, best_threshold, threshold_value
from mmccd.evaluation.paper_protocol import (
    EROSION_PX,
    PIXEL_MM,
    LesionSlice,
    largest_lesion_slice,
    paper_rows,
    slice_with_most_lesion,
)
from mmccd.scoring.maps import scan_score
from mmccd.scoring.thresholds import p_value, threshold_of_scan

ARTEFACT_SLICES = 8
HALO_MM = 12.0
CURVE_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Scan:
    """One subject of a store: slices of its source modality, (n, height, width), and its masks.

    Attributes:
        expert: Brain and lesion, (x, y, z): slices lie along the last axis.
        source: Normalised intensities, slices first.
        brain: Slices first.
        healthy: Slices without a lesion.
        z: Their places in the scan.
        spacing_mm: Distance of slices, of rows and of columns.
    """

    expert: ExpertCase
    source: Floats
    brain: Mask
    healthy: NDArray[np.bool_]
    z: NDArray[np.int64]
    spacing_mm: tuple[float, float, float]


def scans(store: Store, split: str, source: str) -> Iterator[Scan]:
    """The subjects of one part of a store, in order of their names."""
    table, pixel_mm = store.index[store.index["split"] == split], store.grid.pixel_mm
    for subject, rows in table.groupby("subject"):
        at = rows.index.to_numpy()
        x = store.slices(source, at)
        brain, lesion = (np.asarray(store.array(name)[at]) for name in ("brain", "lesion"))
        slice_mm = float(rows["spacing_z_mm"].iloc[0])
        inside, outlined = np.moveaxis(brain, 0, 2), np.moveaxis(lesion, 0, 2)
        expert = ExpertCase(str(subject), inside, outlined, (pixel_mm, pixel_mm, slice_mm))
        healthy, z = rows["healthy"].to_numpy(bool), rows["slice"].to_numpy(np.int64)
        yield Scan(expert, x, brain, healthy, z, (slice_mm, pixel_mm, pixel_mm))


def score_volumes(judge: Judge, store: Store, source: str) -> tuple[dict[str, Any], list[LesionSlice]]:
    """The honest protocol on whole volumes: a row per subject, the mean curve; and the slices for a picture."""
    rows: list[Row] = []
    pieces, cases, curves = [], [], []
    seconds, slices = 0.0, 0
    for scan in scans(store, "test", source):
        started = time.perf_counter()
        found = judge.scorer.anomaly_map({source: scan.source}, scan.brain, scan.spacing_mm)
        seconds += time.perf_counter() - started
        slices += len(found)
        expert, score = scan.expert, np.moveaxis(found, 0, 2)
        cases.append((score[expert.brain], expert.lesion[expert.brain]))
        curves.append(DiceCurve.of(*cases[-1], int(expert.lesion.sum())))
        rows.append(_row(scan, score, judge))
        if piece := largest_lesion_slice(expert, score):
            pieces.append(replace(piece, z=int(scan.z[piece.z])))
    oracle = best_threshold(curve for curve, row in zip(curves, rows, strict=True) if row["lesion_ml"])
    for row, curve in zip(rows, curves, strict=True):
        row["oracle_dice"] = curve.at(oracle) if oracle is not None and row["lesion_ml"] else float("nan")
    return {
        "rows": rows,
        "oracle_threshold": threshold_value(oracle) if oracle is not None else float("nan"),
        "precision_at_recalls": _mean_curve(cases),
        "seconds_per_slice": seconds / max(1, slices),
    }, pieces


def score_paper_protocol(pieces: list[LesionSlice], pixel_mm: float) -> list[Row]:
    """The paper's protocol, faults included, on slices of the store's own grid."""
    rows, _ = paper_rows(pieces, erosion_px=round(EROSION_PX * PIXEL_MM / pixel_mm))
    return rows


def score_lesion_slices(judge: Judge, store: Store, source: str) -> tuple[list[LesionSlice], float]:
    """Only the slice with most lesion of each test subject, for a sampler too slow for volumes; seconds per slice."""
    seconds, pieces = 0.0, []
    for scan in scans(store, "test", source):
        if not scan.expert.has_lesion:
            continue
        at = slice_with_most_lesion(scan.expert.lesion)
        one = slice(at, at + 1)
        started = time.perf_counter()
        found = judge.scorer.anomaly_map({source: scan.source[one]}, scan.brain[one], scan.spacing_mm)
        seconds += time.perf_counter() - started
        expert = replace(scan.expert, brain=scan.expert.brain[..., one], lesion=scan.expert.lesion[..., one])
        if piece := largest_lesion_slice(expert, np.moveaxis(found, 0, 2)):
            pieces.append(replace(piece, z=int(scan.z[at])))
    return pieces, seconds / max(1, len(pieces))


def score_artefacts(judge: Judge, store: Store, source: str, other: str, seed: int) -> dict[str, float]:
    """AUROC of spoiled against clean slices, by kind of artefact.

    Of each test subject the healthy-looking slices with most brain, next to each other, are scored as they are and with
    each artefact; a slice's score is the 99th percentile of its map over the brain.
    """
    clean: list[float] = []
    spoiled: dict[str, list[float]] = {kind: [] for kind in ARTEFACTS}
    pairs = zip(scans(store, "test", source), scans(store, "test", other), strict=True)
    for number, (scan, alike) in enumerate(pairs):
        rows = _healthy_stack(scan)
        if not len(rows):
            continue
        x, y, brain = scan.source[rows], alike.source[rows], scan.brain[rows]
        clean += _slice_scores(judge.scorer.anomaly_map({source: x}, brain, scan.spacing_mm), brain)
        for i, kind in enumerate(ARTEFACTS):
            rng = np.random.default_rng([seed, number, i])
            image, _ = plant(kind, x, brain, rng, pixel_mm=store.grid.pixel_mm, other=y)
            spoiled[kind] += _slice_scores(judge.scorer.anomaly_map({source: image}, brain, scan.spacing_mm), brain)
    return {
        kind: auroc(np.array(clean + values), np.repeat([False, True], [len(clean), len(values)]))
        for kind, values in spoiled.items()
    }


def _row(scan: Scan, score: Floats, judge: Judge) -> Row:
    """All that is measured of one subject: at the usual threshold, and at the two others."""
    expert, thresholds = scan.expert, judge.thresholds
    values = score[expert.brain]
    usual, relative, of_scan = (
        Scored.cut("", expert, score, threshold_of_scan(threshold, values))
        for threshold in (thresholds.voxel, thresholds.relative, thresholds.scan)
    )
    healthy = expert.brain & _far_from_lesions(scan)
    # JSON has no infinity: the distance to an empty mask is not defined here.
    row = {name: float("nan") if value == math.inf else value for name, value in measure(expert, usual).items()}
    del row["method"]

    def dice_of(scored: Scored) -> float:
        return Confusion.between(scored.marked, expert.lesion).dice if expert.has_lesion else float("nan")

    return {
        "subject": row.pop("case"),
        **row,
        "dice": dice_of(usual),  # of a subject without a lesion it says nothing
        "relative_dice": dice_of(relative),
        "scan_dice": dice_of(of_scan),
        "healthy_marked": _share(usual.marked, healthy),
        "relative_healthy_marked": _share(relative.marked, healthy),
        "healthy_alarm": float(of_scan.marked[healthy].any()) if healthy.any() else float("nan"),
        "p_value": p_value(scan_score(values), thresholds.healthy_scores),
        "lesion_outside_brain": int((expert.lesion & ~expert.brain).sum()),
    }


def _share(marked: Mask, region: Mask) -> float:
    return float((marked & region).sum() / region.sum()) if region.any() else float("nan")


def _far_from_lesions(scan: Scan) -> NDArray[np.bool_]:
    """Healthy slices into which no lesion shines: smoothing by 4 mm reaches three times as far."""
    halo = math.ceil(HALO_MM / scan.spacing_mm[0])
    return np.asarray(~binary_dilation(~scan.healthy, np.ones(2 * halo + 1, bool)))


def _mean_curve(cases: list[tuple[Floats, Mask]]) -> list[float]:
    """Precision at fixed recalls, mean over the subjects that have a lesion."""
    curves = []
    for score, lesion in cases:
        if lesion.any():
            precision, recall, _ = precision_recall_curve(lesion, score)
            best = np.maximum.accumulate(precision)  # at this recall or a higher one; recall falls
            last = np.append(np.diff(recall) != 0, True)
            curves.append(np.interp(CURVE_RECALLS, recall[last][::-1], best[last][::-1]))
    return [float(value) for value in np.mean(curves, axis=0)] if curves else []


def _healthy_stack(scan: Scan) -> NDArray[np.int64]:
    """Rows around the healthy slice with most brain, without a gap between them."""
    area = np.where(_far_from_lesions(scan), scan.brain.sum(axis=(1, 2)), 0)
    if not area.any():
        return np.flatnonzero(area)
    runs, _ = label(area > 0)
    rows = np.flatnonzero(runs == runs[area.argmax()])
    largest = int(np.searchsorted(rows, area.argmax()))
    start = max(0, min(largest - ARTEFACT_SLICES // 2, len(rows) - ARTEFACT_SLICES))
    return rows[start : start + ARTEFACT_SLICES]


def _slice_scores(found: Floats, brain: Mask) -> list[float]:
    return [scan_score(one[inside]) for one, inside in zip(found, brain, strict=True) if inside.any()]
