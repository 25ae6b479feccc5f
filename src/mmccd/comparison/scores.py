"""What one contender makes of the test subjects of a store, and what it costs."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, label
from sklearn.metrics import precision_recall_curve

from mmccd.comparison.artefacts import ARTEFACTS, plant
from mmccd.data.store import Store
from mmccd.errors import ConfigError
from mmccd.evaluation.metrics import PUBLISHED_EROSION_PX, Confusion, auprc, auroc, lesion_f1, oracle_threshold
from mmccd.evaluation.paper_protocol import LesionSlice, published_rows
from mmccd.method.networks import CodeNetwork
from mmccd.scoring.maps import SCORE_QUANTILE
from mmccd.scoring.thresholds import own_level, p_value

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Scorer = Callable[[Floats, Mask, float], Floats]
"""(slices, height, width) of normalised intensities, their brain, and the distance of slices in mm, to a map alike."""

ARTEFACT_SLICES = 8
HALO_MM = 12.0
CURVE_RECALLS = np.linspace(0, 1, 101)
PUBLISHED_PIXEL_MM = 1.875


@dataclass(frozen=True)
class Scan:
    """One subject of a store: slices of its source modality with their masks, all (n, height, width).

    ``z`` are their places in the scan.
    """

    subject: str
    z: NDArray[np.int64]
    source: Floats
    brain: Mask
    lesion: Mask
    healthy: NDArray[np.bool_]
    slice_mm: float


@dataclass(frozen=True)
class Judge:
    """How a contender scores, and where it cuts: thresholds and scores of healthy subjects, chosen without labels."""

    score: Scorer
    threshold: float
    scan_threshold: float
    relative_threshold: float
    healthy_scores: tuple[float, ...]

    @classmethod
    def of(cls, score: Scorer, facts: Mapping[str, Any]) -> "Judge":
        """With the thresholds of `mmccd.training.calibration.thresholds_of`, or of a card.

        Raises:
            ConfigError: the card is of a version that did not know them all.
        """
        names = ("threshold", "scan_threshold", "relative_threshold")
        if missing := [name for name in names if facts.get(name) is None]:
            raise ConfigError(
                f"a model was calibrated by an older version, without {', '.join(missing)}",
                "use another output folder, or delete the models of this one",
            )
        values = {name: float(facts[name]["value"]) for name in names}
        return cls(score, **values, healthy_scores=tuple(facts["healthy_scores"]))


def scans(store: Store, split: str, source: str) -> Iterator[Scan]:
    """The subjects of one part of a store, in order of their names."""
    table = store.index[store.index["split"] == split]
    for subject, rows in table.groupby("subject"):
        at = rows.index.to_numpy()
        x = store.array(source)[at].astype(np.float32)
        brain, lesion = (np.asarray(store.array(name)[at]) for name in ("brain", "lesion"))
        slice_mm = float(rows["spacing_z_mm"].iloc[0])
        yield Scan(
            str(subject), rows["slice"].to_numpy(np.int64), x, brain, lesion, rows["healthy"].to_numpy(bool), slice_mm
        )


def score_volumes(judge: Judge, store: Store, source: str) -> dict[str, Any]:
    """The honest protocol on whole volumes: a row per subject, the mean curve, and the slices for a picture."""
    rows, kept, cases = [], [], []
    seconds, slices = 0.0, 0
    for scan in scans(store, "test", source):
        started = time.perf_counter()
        found = judge.score(scan.source, scan.brain, scan.slice_mm)
        seconds += time.perf_counter() - started
        slices += len(found)
        voxel_ml = store.manifest["pixel_mm"] ** 2 * scan.slice_mm / 1000
        cases.append((found[scan.brain], scan.lesion[scan.brain]))
        rows.append(_row(scan, found, judge, voxel_ml))
        kept.append(_largest(scan, found))
    threshold, _ = oracle_threshold(*map(list, zip(*cases, strict=True)))
    for row, (score, lesion) in zip(rows, cases, strict=True):
        row["oracle_dice"] = _dice_at(threshold, score, lesion, row)
    return {
        "rows": rows,
        "oracle_threshold": threshold,
        "precision_at_recalls": _mean_curve(cases),
        "seconds_per_slice": seconds / max(1, slices),
        "slices": [piece for piece in kept if piece],
    }


def score_published(slices: list[LesionSlice], pixel_mm: float) -> list[dict[str, Any]]:
    """The published protocol, faults included, on slices of the store's own grid."""
    rows, _ = published_rows(slices, erosion_px=round(PUBLISHED_EROSION_PX * PUBLISHED_PIXEL_MM / pixel_mm))
    return rows


def score_lesion_slices(score: Scorer, store: Store, source: str) -> dict[str, Any]:
    """Only the slice with most lesion of each test subject, for a sampler too slow for volumes."""
    seconds, kept = 0.0, []
    for scan in scans(store, "test", source):
        row = _most_lesion(scan)
        if scan.lesion[row].any():
            started = time.perf_counter()
            found = score(scan.source[row : row + 1], scan.brain[row : row + 1], scan.slice_mm)
            seconds += time.perf_counter() - started
            kept.append(_piece(scan, row, found[0]))
    return {"slices": kept, "seconds_per_slice": seconds / max(1, len(kept))}


def score_artefacts(score: Scorer, store: Store, source: str, other: str, seed: int) -> dict[str, float]:
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
        clean += _slice_scores(score(x, brain, scan.slice_mm), brain)
        for i, kind in enumerate(ARTEFACTS):
            rng = np.random.default_rng([seed, number, i])
            image, _ = plant(kind, x, brain, rng, pixel_mm=store.manifest["pixel_mm"], other=y)
            spoiled[kind] += _slice_scores(score(image, brain, scan.slice_mm), brain)
    return {
        kind: auroc(np.array(clean + values), np.repeat([False, True], [len(clean), len(values)]))
        for kind, values in spoiled.items()
    }


def thirds(rows: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The rows that have a Dice, by lesion volume in three parts as equal as can be; none of them is empty."""
    defined = sorted((row for row in rows if row["dice"] is not None), key=lambda row: float(row["lesion_ml"]))
    return [list(third) for third in np.array_split(np.array(defined, dtype=object), 3) if len(third)]


class Counter:
    """Counts the slices that pass through the networks of a method."""

    def __init__(self, method: torch.nn.Module) -> None:
        self.passed = 0
        self._hooks = [network.register_forward_hook(self._count) for network in _networks(method)]

    def close(self) -> None:
        """Stop counting."""
        for hook in self._hooks:
            hook.remove()

    def _count(self, _network: torch.nn.Module, inputs: tuple[Any, ...], _output: Any) -> None:
        self.passed += len(inputs[0])


def reset_peak_memory(device: torch.device) -> None:
    """Begin to measure the peak anew; does nothing where the system cannot."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_gb(device: torch.device) -> float:
    """Of the device if it is a GPU, else resident memory of this process; NaN where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peak = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak[0]) * 1024 / 1e9 if peak else float("nan")


def _networks(method: torch.nn.Module) -> list[torch.nn.Module]:
    """What an evaluation is one pass of: U-Nets, and of an autoencoder its decoder."""
    return [child.autoencoder.decoder if isinstance(child, CodeNetwork) else child for child in method.children()]


def _row(scan: Scan, found: Floats, judge: Judge, voxel_ml: float) -> dict[str, Any]:
    marked = scan.brain & (found > judge.threshold)
    relative = scan.brain & (found > judge.relative_threshold + own_level(found[scan.brain]))
    healthy = scan.brain & _far_from_lesions(scan)[:, None, None]
    has_lesion = bool(scan.lesion.any())
    score = float(np.quantile(found[scan.brain], SCORE_QUANTILE))

    def dice_of(mask: Mask) -> float:
        return Confusion.between(mask, scan.lesion).dice if has_lesion else float("nan")

    return {
        "subject": scan.subject,
        "lesion_ml": float(scan.lesion.sum() * voxel_ml),
        "auprc": auprc(found[scan.brain], scan.lesion[scan.brain]),
        "auroc": auroc(found[scan.brain], scan.lesion[scan.brain]),
        "dice": dice_of(marked),
        "relative_dice": dice_of(relative),
        "lesion_f1": lesion_f1(marked, scan.lesion) if has_lesion else float("nan"),
        "scan_dice": dice_of(scan.brain & (found > judge.scan_threshold)),
        "healthy_marked": _share(marked, healthy),
        "relative_healthy_marked": _share(relative, healthy),
        "healthy_alarm": float((found[healthy] > judge.scan_threshold).any()) if healthy.any() else float("nan"),
        "p_value": p_value(score, judge.healthy_scores),
        "lesion_outside_brain": int((scan.lesion & ~scan.brain).sum()),
    }


def _share(marked: Mask, region: Mask) -> float:
    return float((marked & region).sum() / region.sum()) if region.any() else float("nan")


def _far_from_lesions(scan: Scan) -> NDArray[np.bool_]:
    """Healthy slices into which no lesion shines: smoothing by 4 mm reaches three times as far."""
    halo = math.ceil(HALO_MM / scan.slice_mm)
    return np.asarray(~binary_dilation(~scan.healthy, np.ones(2 * halo + 1, bool)))


def _dice_at(threshold: float, score: Floats, lesion: Mask, row: Mapping[str, Any]) -> float:
    """Dice of brain voxels, which also misses what lies outside the brain; NaN without a lesion."""
    size = int(lesion.sum()) + int(row["lesion_outside_brain"])
    found = int((lesion & (score > threshold)).sum())
    return Confusion(found, int((score > threshold).sum()) - found, size - found).dice if size else float("nan")


def _largest(scan: Scan, found: Floats) -> LesionSlice | None:
    row = _most_lesion(scan)
    return _piece(scan, row, found[row]) if scan.lesion[row].any() else None


def _most_lesion(scan: Scan) -> int:
    return int(scan.lesion.sum(axis=(1, 2)).argmax())


def _piece(scan: Scan, row: int, found: Floats) -> LesionSlice:
    """One slice; copies, as a view would keep the whole volume."""
    return LesionSlice(scan.subject, int(scan.z[row]), found.copy(), scan.brain[row].copy(), scan.lesion[row].copy())


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
    return [float(np.quantile(one[inside], SCORE_QUANTILE)) for one, inside in zip(found, brain, strict=True)
            if inside.any()]  # fmt: skip
