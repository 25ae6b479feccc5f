"""Maps of whole scans for a study, over the brain: of test subjects, and of healthy slices of validation patients."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from mmccd.comparison.scores import Scan
from mmccd.data.store import Store
from mmccd.method.anomaly_map import Error
from mmccd.model.scorer import ModelScorer, Scorer
from mmccd.scoring.thresholds import HealthyScores
from mmccd.training.calibration import healthy_scores, healthy_tissue

CPU = torch.device("cpu")
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def over_brain(scorer: Scorer, scan: Scan, slices: Mapping[str, Floats]) -> tuple[Floats, Mask]:
    """Map and lesion of a scan, each (voxels,) of its brain."""
    found = scorer.anomaly_map(slices, scan.brain, scan.spacing_mm)
    return found[scan.brain], lesion_of(scan)[scan.brain]


def lesion_of(scan: Scan) -> Mask:
    """Slices first, as the brain."""
    return np.moveaxis(scan.expert.lesion, 2, 0)


def healthy_apart(scorer: ModelScorer, errors: Mapping[str, Error], store: Store) -> HealthyScores:
    """Of each validation patient, scored by an error of its own, which its pixels had no part in: see `fit_error`."""

    def anomaly_map_of(run, brain, healthy):
        slices = {scorer.config.source: store.slices(scorer.config.source, run.rows)}
        return replace(scorer, error=errors[run.patient]).anomaly_map(slices, brain, run.spacing_mm, healthy=healthy)

    return healthy_scores(healthy_tissue(store, scorer.config), anomaly_map_of)
