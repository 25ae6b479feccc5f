"""`mmccd fuse`: where a subject has several modalities at test time, or a modality several trainings, use them all."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mmccd.data.healthy import HealthyTissue
from mmccd.data.own_folders import check_vacant
from mmccd.data.store import Store
from mmccd.errors import ConfigError, DataError
from mmccd.method.anomaly_map import Error
from mmccd.model.card import FORMAT, Card, Data, on_card
from mmccd.model.folder import load_model, save_fusion
from mmccd.model.model import Fusion, Model
from mmccd.model.scorer import FusedScorer, ModelScorer
from mmccd.scoring.maps import SCORE_DEFINITION
from mmccd.system.claims import Claim
from mmccd.system.devices import choose_device
from mmccd.system.locks import sole_use
from mmccd.system.progress import ProgressCallback, no_progress
from mmccd.system.provenance import provenance
from mmccd.training.calibration import (
    BATCH,
    Mask,
    Run,
    fit_error,
    healthy_runs,
    healthy_scores,
    healthy_tissue,
    intensity_thresholds,
    thresholds_of,
)


def fuse(
    models: Sequence[Path | str],
    store: Store,
    output: Path,
    *,
    device: str = "auto",
    progress: ProgressCallback = no_progress,
) -> Fusion:
    """Join models: evidence of different sources, in nats, is added as if independent; of one source it is averaged.

    Args:
        models: Two or more, which score by evidence; results belong to the source of the first.
        store: Its healthy validation slices give the whole thresholds of its own, at the rates of the first model.
        output: Folder of the fusion.
        device: Where to compute.
        progress: Called with what is done, the slices done, and how many there are.

    Raises:
        ConfigError: the models cannot be joined, the store does not fit them, or the output is a store, holds a
            model or is in use by another process.
        DataError: the store has no healthy validation slice.
    """
    with sole_use(output) as claim:
        return _fuse(models, store, output, device, progress, claim)


def _fuse(
    models: Sequence[Path | str], store: Store, output: Path, device: str, progress: ProgressCallback, claim: Claim
) -> Fusion:
    members = tuple(load_model(model) for model in models)
    sources = list(dict.fromkeys(member.config.source for member in members))
    if len({member.card.weights_sha256 for member in members}) < max(2, len(members)):
        raise ConfigError(
            f"models of {', '.join(sources) or 'nothing'} cannot be fused", "give two or more, and none of them twice"
        )
    for member in members:
        if member.config.scoring.error != "tail":
            raise ConfigError(
                f"the model of {member.config.source} scores by the squared error, which has no common unit",
                "`mmccd calibrate MODEL STORE OUT --config best` makes it score by evidence",
            )
        if member.grid != store.grid:
            raise ConfigError(
                f"the store does not have the slices of the model of {member.config.source}: {member.grid}",
                "prepare a store with the --size and --protocol of the models",
            )
    check_vacant(output)
    tissue = healthy_tissue(store, members[0].config)
    if tissue.rows("validation").size == 0:
        raise DataError(tissue.none_in("validation"), "prepare it with validation subjects")
    chosen, scoring = choose_device(device), members[0].config.scoring
    total, done = sum(len(run.rows) for run in healthy_runs(tissue)), 0
    progress("what is ordinary for each model", done, total)
    scorers = [
        (
            member.config.source,
            ModelScorer(member.method.to(chosen), member.error, member.config, chosen, BATCH),
            _errors(member, tissue, chosen),
        )
        for member in members
    ]

    def anomaly_map_of(run: Run, brain: Mask, healthy: Mask) -> NDArray[np.float32]:
        nonlocal done
        whole = FusedScorer([(source, replace(scorer, error=own[run.patient])) for source, scorer, own in scorers])
        slices = {name: store.slices(name, run.rows) for name in sources}
        found = whole.anomaly_map(slices, brain, run.spacing_mm, healthy=healthy)
        done += len(run.rows)
        progress("thresholds of the whole", done, total)
        return found

    thresholds = thresholds_of(healthy_scores(tissue, anomaly_map_of), tissue, scoring)
    card = Card(
        format=FORMAT,
        grid=members[0].grid,
        **on_card(thresholds),
        score_definition=SCORE_DEFINITION,
        intensity_baseline=intensity_thresholds(tissue, sources[0], scoring),
        calibration=Data(
            store_digest=store.digest,
            split_digest=store.manifest.split_digest,
            scans_sha256=tuple(digest for name in sources for digest in store.scans_sha256(("validation",), name)),
        ),
        provenance=provenance(device=str(chosen)),
    )
    claim.check()
    return save_fusion(output, members, card)


def _errors(member: Model, tissue: HealthyTissue, device: torch.device) -> Mapping[str, Error]:
    """By patient, the evidence of a member as it is used, but for the patient's own pixels where they are in it.

    They are where the member was calibrated on this store. Of another store it knows nobody; nor does a member that
    counted whole slices know a patient who has none without a lesion.
    """
    errors = dict.fromkeys((run.patient for run in healthy_runs(tissue)), member.error)
    if member.card.calibrated_on.store_digest == tissue.store.digest:
        errors |= fit_error(member.method, tissue.store, member.config, device)[1]
    return errors
