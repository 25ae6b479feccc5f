"""What healthy validation slices say about a trained method: its threshold, and that of plain intensity."""

from functools import partial
from typing import Any

import numpy as np
import torch

from mmccd.config import Config
from mmccd.devices import uses_bf16
from mmccd.inference import anomaly_maps
from mmccd.methods import Method
from mmccd.scoring import POLARITY, SCORE_DEFINITION, intensity_score, scored_region, threshold_at_rate
from mmccd.store import Store

BATCH = 32


def calibrate(method: Method, store: Store, config: Config, device: torch.device) -> dict[str, Any]:
    """Thresholds for the model card, chosen on the healthy validation slices of the store; no lesion is looked at."""
    rows = store.rows("validation", healthy=True)
    brain = store.array("brain")[rows]
    scored = scored_region(brain, edge_mm=config.scoring.edge_mm, pixel_mm=store.manifest["pixel_mm"])
    source = store.array(config.source)[rows]
    bf16 = uses_bf16(config.training.precision, device)
    batches = anomaly_maps(method.to(device).eval(), source, device, batch_size=BATCH, bf16=bf16)
    maps = [maps for _, maps in batches]
    choose = partial(
        threshold_at_rate,
        false_positive_rate=config.scoring.false_positive_rate,
        chosen_on="healthy validation slices",
        subjects=int(store.index["subject"].iloc[rows].nunique()),
        slices=int(rows.size),
    )
    polarity = POLARITY.get(config.source, "bright")
    return {
        # The rim scores 0 in every map, so its pixels count as brain that is never marked.
        "threshold": choose(np.where(scored, np.concatenate(maps), 0)[brain]).as_dict(),
        "intensity_baseline": {
            "polarity": polarity,
            "threshold": choose(intensity_score(source.astype(np.float32), polarity)[brain]).value,
        },
        "score_definition": SCORE_DEFINITION,
    }
