"""What healthy validation slices say about trained networks: ordinary errors, and thresholds that no label touched."""

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmccd.config import Config
from mmccd.conformal import scan_threshold, voxel_threshold
from mmccd.cycle import Error
from mmccd.devices import uses_bf16
from mmccd.evidence import count_pairs, no_pairs
from mmccd.inference import anomaly_volume, in_batches
from mmccd.intensity import BACKGROUND
from mmccd.methods import Method, build_error
from mmccd.scoring import SCORE_DEFINITION, SCORE_QUANTILE, intensity_score, smoothed, typical_polarity
from mmccd.store import Store

BATCH = 32


def count_healthy(method: Method, store: Store, config: Config, device: torch.device) -> Tensor:
    """How often each pair of x and x_hat occurs in healthy validation slices, as `TailEvidence` needs it."""
    rows = store.rows("validation", healthy=True)
    method = method.to(device).eval()

    def pairs(source: Tensor) -> Tensor:
        brain = source > BACKGROUND
        counts = no_pairs()
        for hidden, restored in method.restorations(source):
            seen = (hidden & brain).expand_as(restored)
            counts += count_pairs(source.expand_as(restored)[seen], restored[seen]).cpu()
        return counts

    source = store.array(config.source)[rows]
    bf16 = uses_bf16(config.training.precision, device)
    return sum((found for _, found in in_batches(pairs, source, device, batch_size=BATCH, bf16=bf16)), no_pairs())


def fit_error(method: Method, store: Store, config: Config, device: torch.device) -> Error:
    """The error that a config asks for, its evidence counted on the healthy validation slices of the store."""
    tail = config.scoring.evidence == "tail"
    return build_error(config, count_healthy(method, store, config, device) if tail else None)


def calibrate(method: Method, error: Error, store: Store, config: Config, device: torch.device) -> dict[str, Any]:
    """Thresholds for the model card, chosen on the healthy validation slices of the store."""
    method = method.to(device).eval()
    polarity = typical_polarity(config.source)
    pixel_mm, scoring = store.manifest["pixel_mm"], config.scoring
    bf16 = uses_bf16(config.training.precision, device)
    ours: list[NDArray[np.float32]] = []
    plain: list[NDArray[np.float32]] = []
    alike: list[NDArray[np.float32]] = []
    table = store.index[store.index["split"] == "validation"]
    for _, scan in (table if scoring.smooth_mm else table[table["healthy"]]).groupby("subject"):
        rows, slice_mm = scan.index.to_numpy(), float(scan["spacing_z_mm"].iloc[0])
        brain, source = store.array("brain")[rows], store.array(config.source)[rows].astype(np.float32)
        anomaly = anomaly_volume(
            method, error, source, brain, scoring, pixel_mm=pixel_mm, slice_mm=slice_mm, device=device,
            batch_size=BATCH, bf16=bf16,
        )  # fmt: skip
        intensity = intensity_score(source, polarity)
        # The rim scores 0 in every map, so its pixels count as brain that is never marked.
        healthy = brain & scan["healthy"].to_numpy()[:, None, None]
        ours.append(anomaly[healthy])
        plain.append(intensity[healthy])
        spacing_mm = (slice_mm, pixel_mm, pixel_mm)
        alike.append(smoothed(intensity, brain, smooth_mm=scoring.smooth_mm, spacing_mm=spacing_mm)[healthy])
    of = {"chosen_on": "healthy validation slices", "slices": int(table["healthy"].sum())}
    choose = partial(voxel_threshold, rate=scoring.false_positive_rate)
    return {
        "threshold": choose(ours).as_dict() | of,
        "scan_threshold": scan_threshold(ours, rate=scoring.false_alarm_rate).as_dict() | of,
        "healthy_scores": sorted(float(np.quantile(one, SCORE_QUANTILE)) for one in ours if one.size),
        "intensity_baseline": {
            "polarity": polarity,
            "threshold": choose(plain).value,
            "smooth_mm": scoring.smooth_mm,
            "smoothed_threshold": choose(alike).value,
        },
        "score_definition": SCORE_DEFINITION,
    }
