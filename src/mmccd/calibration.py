"""What healthy validation slices say about trained networks: ordinary errors, and thresholds that no label touched."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmccd.config import Config, ScoringConfig
from mmccd.conformal import scan_threshold, voxel_threshold
from mmccd.cycle import Error
from mmccd.devices import uses_bf16
from mmccd.evidence import count_healthy_pairs, no_pairs
from mmccd.inference import anomaly_volume, in_batches
from mmccd.intensity import BACKGROUND
from mmccd.methods import Method, build_error
from mmccd.scoring import (
    SCORE_DEFINITION,
    SCORE_QUANTILE,
    intensity_score,
    smoothed,
    typical_false_positive_rate,
    typical_polarity,
)
from mmccd.splits import patient_of
from mmccd.store import Store

BATCH = 32


def count_healthy(method: Method, store: Store, config: Config, device: torch.device) -> Tensor:
    """How often each pair of x and x_hat occurs in healthy validation slices, as `TailEvidence` needs it.

    Returns:
        (patients, BINS, BINS) or (patients, 2, BINS, BINS) int64, see `count_healthy_pairs`; in the order of
        `healthy_scans`: each can be scored without its own pixels.
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
    for patient, rows, _ in healthy_scans(store):
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
    patients = list(dict.fromkeys(patient for patient, _, _ in healthy_scans(store)))
    if config.scoring.evidence == "square":
        error = build_error(config, None)
        return error, dict.fromkeys(patients, error)
    counts = count_healthy(method, store, config, device)
    total = counts.sum(dim=0)
    without = total - counts if len(counts) > 1 else counts
    return build_error(config, total), {
        patient: build_error(config, others) for patient, others in zip(patients, without, strict=True)
    }


def healthy_scans(store: Store) -> Iterator[tuple[str, NDArray[np.int64], float]]:
    """Patient, rows of the healthy slices and distance of slices in mm of each validation scan, sorted by scan."""
    table = store.index[store.index["split"] == "validation"]
    for subject, scan in table[table["healthy"]].groupby("subject"):
        yield patient_of(str(subject)), scan.index.to_numpy(), float(scan["spacing_z_mm"].iloc[0])


def calibrate(
    method: Method, errors: Mapping[str, Error], store: Store, config: Config, device: torch.device
) -> dict[str, Any]:
    """Thresholds for the model card, chosen on the healthy validation slices of the store.

    Slices with a lesion are left out before anything is smoothed, so that no lesion shines into its neighbours. A scan
    is later smoothed with its lesions, which shine about 3 x `scoring.smooth_mm` into healthy slices beside them: the
    thresholds promise nothing for those.

    Args:
        method: Trained networks.
        errors: By patient, see `fit_error`.
        store: Its validation part is used.
        config: Source modality and scoring.
        device: Where to compute.
    """
    method = method.to(device).eval()
    polarity = typical_polarity(config.source)
    pixel_mm, scoring = store.manifest["pixel_mm"], config.scoring
    bf16 = uses_bf16(config.training.precision, device)
    ours, plain, alike = (dict[str, list[NDArray[np.float32]]]() for _ in range(3))
    slices = 0
    for patient, rows, slice_mm in healthy_scans(store):
        brain, source = np.asarray(store.array("brain")[rows]), store.array(config.source)[rows].astype(np.float32)
        anomaly = anomaly_volume(
            method, errors[patient], source, brain, scoring, pixel_mm=pixel_mm, slice_mm=slice_mm, device=device,
            batch_size=BATCH, bf16=bf16,
        )  # fmt: skip
        intensity = intensity_score(source, polarity)
        # The rim scores 0 in every map, so its pixels count as brain that is never marked.
        ours.setdefault(patient, []).append(anomaly[brain])
        plain.setdefault(patient, []).append(intensity[brain])
        spacing_mm = (slice_mm, pixel_mm, pixel_mm)
        smooth = smoothed(intensity, brain, smooth_mm=scoring.smooth_mm, spacing_mm=spacing_mm)
        alike.setdefault(patient, []).append(smooth[brain])
        slices += len(rows)
    return {
        **thresholds_of(_by_patient(ours), config.source, scoring, slices=slices),
        "intensity_baseline": {
            "polarity": polarity,
            "smooth_mm": scoring.smooth_mm,
            **{
                kind: {"plain": choose(_by_patient(plain)).value, "smoothed": choose(_by_patient(alike)).value}
                for kind, choose in (
                    ("threshold", partial(voxel_threshold, rate=_false_positive_rate(config.source, scoring))),
                    ("scan_threshold", partial(scan_threshold, rate=scoring.false_alarm_rate)),
                )
            },
        },
    }


def _by_patient(scores: Mapping[str, Sequence[NDArray[np.float32]]]) -> list[NDArray[np.float32]]:
    return [np.concatenate(scans) for scans in scores.values()]


def thresholds_of(
    healthy: Sequence[NDArray[np.float32]], source: str, scoring: ScoringConfig, *, slices: int
) -> dict[str, Any]:
    """Both thresholds and the scores of healthy subjects, for a card.

    Args:
        healthy: Of each validation patient the map over the brain pixels of its healthy slices.
        source: Modality, for a rate that depends on it.
        scoring: The rates.
        slices: How many healthy slices these are.
    """
    of = {"chosen_on": "healthy validation slices", "slices": slices}
    return {
        "threshold": voxel_threshold(healthy, rate=_false_positive_rate(source, scoring)).as_dict() | of,
        "scan_threshold": scan_threshold(healthy, rate=scoring.false_alarm_rate).as_dict() | of,
        "healthy_scores": sorted(float(np.quantile(one, SCORE_QUANTILE)) for one in healthy if one.size),
        "score_definition": SCORE_DEFINITION,
    }


def _false_positive_rate(source: str, scoring: ScoringConfig) -> float:
    rate = scoring.false_positive_rate
    return typical_false_positive_rate(source) if rate == "typical" else rate
