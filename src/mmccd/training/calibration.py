"""What healthy validation slices say about trained networks: ordinary errors, and thresholds that no label touched."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmccd.data.splits import patient_of
from mmccd.data.store import Store
from mmccd.method.cycle import Error
from mmccd.method.intensity import BACKGROUND
from mmccd.model.build import Method, build_error
from mmccd.model.config import Config, ScoringConfig
from mmccd.model.run import anomaly_volume, in_batches
from mmccd.scoring.evidence import count_healthy_pairs, no_pairs
from mmccd.scoring.maps import (
    SCORE_DEFINITION,
    SCORE_QUANTILE,
    intensity_score,
    smoothed,
    typical_false_positive_rate,
    typical_polarity,
)
from mmccd.scoring.thresholds import Threshold, relative_threshold, scan_threshold, voxel_threshold
from mmccd.system.devices import uses_bf16

BATCH = 32
Rows = NDArray[np.int64]
Score = Callable[[str, Rows, NDArray[np.bool_], float], NDArray[np.float32]]
HealthyScores = Sequence[Sequence[NDArray[np.float32]]]
"""Of each patient, of each of its scans: the scores of the brain pixels of its healthy slices."""


def count_healthy(method: Method, store: Store, config: Config, device: torch.device) -> Tensor:
    """How often each pair of x and x_hat occurs in healthy validation slices, as `TailEvidence` needs it.

    Returns:
        (patients, BINS, BINS) or (patients, 2, BINS, BINS) int64, see `count_healthy_pairs`; in the order of
        `healthy_runs`: each can be scored without its own pixels.
    """
    method = method.to(device).eval()
    bf16 = uses_bf16(config.training.precision, device)

    def pairs(source: Tensor) -> Tensor:
        brain = source > BACKGROUND
        counts = no_pairs()
        for hidden, restored in method.restorations(source):
            seen = (hidden & brain).expand_as(restored[:, :, :1])
            counts = counts + count_healthy_pairs(source, restored, seen).cpu()
        return counts

    totals: dict[str, Tensor] = {}
    for patient, rows, _ in healthy_runs(store):
        source = store.array(config.source)[rows]
        found = in_batches(pairs, source, device, batch_size=BATCH, bf16=bf16)
        totals[patient] = sum((counts for _, counts in found), totals.get(patient, no_pairs()))
    return torch.stack(list(totals.values())) if totals else no_pairs()[None]


def fit_error(method: Method, store: Store, config: Config, device: torch.device) -> tuple[Error, dict[str, Error]]:
    """The error that a config asks for, its evidence counted on the healthy validation slices of the store.

    Returns:
        The error, and for each validation patient the one to calibrate with, which its own pixels had no part in: a
        patient that helped to say what is ordinary looks more ordinary than an unseen one. A single patient has no
        other and is scored with its own.
    """
    patients = list(dict.fromkeys(patient for patient, _, _ in healthy_runs(store)))
    if config.scoring.evidence == "square":
        error = build_error(config, None)
        return error, dict.fromkeys(patients, error)
    counts = count_healthy(method, store, config, device)
    total = counts.sum(dim=0)
    without = total - counts if len(counts) > 1 else counts
    return build_error(config, total), {
        patient: build_error(config, others) for patient, others in zip(patients, without, strict=True)
    }


def healthy_runs(store: Store) -> Iterator[tuple[str, Rows, float]]:
    """Patient, rows and distance of slices in mm of each run of healthy slices of the validation scans, by scan.

    The slices of a run are neighbours. A lesion ends one: what is smoothed across the gap that it leaves is no tissue.
    """
    table = store.index[store.index["split"] == "validation"]
    for subject, scan in table[table["healthy"]].groupby("subject"):
        gaps = np.flatnonzero(np.diff(scan["slice"]) != 1) + 1
        for rows in np.split(scan.index.to_numpy(), gaps):
            yield patient_of(str(subject)), rows, float(scan["spacing_z_mm"].iloc[0])


def healthy_maps(store: Store, score: Score) -> HealthyScores:
    """Of each validation patient, scan by scan, a map over the brain pixels of its healthy slices.

    Slices with a lesion are left out before anything is smoothed, so that no lesion shines into its neighbours. A scan
    is later smoothed with its lesions, which shine about 3 x `scoring.smooth_mm` into healthy slices beside them: the
    thresholds promise nothing for those.

    Args:
        store: Its validation part is used.
        score: Patient, rows of a run, their brain and the distance of slices in mm, to a map of the run.
    """
    subjects = store.index["subject"]
    found: dict[str, dict[str, list[NDArray[np.float32]]]] = {}
    for patient, rows, slice_mm in healthy_runs(store):
        brain = np.asarray(store.array("brain")[rows])
        runs = found.setdefault(patient, {}).setdefault(subjects[rows[0]], [])
        runs.append(score(patient, rows, brain, slice_mm)[brain])
    return [[np.concatenate(runs) for runs in scans.values()] for scans in found.values()]


def calibrate(
    method: Method, errors: Mapping[str, Error], store: Store, config: Config, device: torch.device
) -> dict[str, Any]:
    """Thresholds for the model card, chosen on the healthy validation slices of the store.

    Args:
        method: Trained networks.
        errors: By patient, see `fit_error`.
        store: Its validation part is used.
        config: Source modality and scoring.
        device: Where to compute.
    """
    method = method.to(device).eval()
    pixel_mm, bf16 = store.manifest["pixel_mm"], uses_bf16(config.training.precision, device)

    def score(patient: str, rows: Rows, brain: NDArray[np.bool_], slice_mm: float) -> NDArray[np.float32]:
        # The rim scores 0, so its pixels count as brain that is never marked.
        return anomaly_volume(
            method, errors[patient], store.array(config.source)[rows].astype(np.float32), brain, config.scoring,
            pixel_mm=pixel_mm, slice_mm=slice_mm, device=device, batch_size=BATCH, bf16=bf16,
        )  # fmt: skip

    return {
        **thresholds_of(healthy_maps(store, score), store, config.source, config.scoring),
        "intensity_baseline": intensity_baseline(store, config.source, config.scoring),
    }


def intensity_baseline(store: Store, source: str, scoring: ScoringConfig) -> dict[str, Any]:
    """For a card: polarity, and the thresholds of the intensity itself, plain and smoothed as the map is."""
    polarity, pixel_mm = typical_polarity(source), store.manifest["pixel_mm"]

    def maps(smooth_mm: float) -> HealthyScores:
        def score(_: str, rows: Rows, brain: NDArray[np.bool_], slice_mm: float) -> NDArray[np.float32]:
            intensity = intensity_score(store.array(source)[rows].astype(np.float32), polarity)
            return smoothed(intensity, brain, smooth_mm=smooth_mm, spacing_mm=(slice_mm, pixel_mm, pixel_mm))

        return healthy_maps(store, score)

    kinds = {"plain": maps(0.0), "smoothed": maps(scoring.smooth_mm)}
    chosen = {kind: _chosen(found, source, scoring) for kind, found in kinds.items()}
    return {"polarity": polarity, "smooth_mm": scoring.smooth_mm} | {
        name: {kind: thresholds[name].value for kind, thresholds in chosen.items()} for name in chosen["plain"]
    }


def thresholds_of(healthy: HealthyScores, store: Store, source: str, scoring: ScoringConfig) -> dict[str, Any]:
    """All thresholds and the scores of healthy subjects, for a card.

    Args:
        healthy: See `healthy_maps`.
        store: Of these.
        source: Modality, for a rate that depends on it.
        scoring: The rates.
    """
    of = {"chosen_on": "healthy validation slices", "slices": int(store.rows("validation", healthy=True).size)}
    return {
        **{name: threshold.as_dict() | of for name, threshold in _chosen(healthy, source, scoring).items()},
        "healthy_scores": sorted(float(np.quantile(one, SCORE_QUANTILE)) for one in _by_patient(healthy) if one.size),
        "score_definition": SCORE_DEFINITION,
    }


def _chosen(healthy: HealthyScores, source: str, scoring: ScoringConfig) -> dict[str, Threshold]:
    rate, patients = scoring.false_positive_rate, _by_patient(healthy)
    share = typical_false_positive_rate(source) if rate == "typical" else rate
    return {
        "threshold": voxel_threshold(patients, rate=share),
        "scan_threshold": scan_threshold(patients, rate=scoring.false_alarm_rate),
        "relative_threshold": relative_threshold(healthy, rate=share),
    }


def _by_patient(healthy: HealthyScores) -> list[NDArray[np.float32]]:
    return [np.concatenate(scans) for scans in healthy]
