"""`mmccd fuse`: where a subject has several modalities at test time, use them all."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mmccd.data.store import Store
from mmccd.errors import ConfigError, DataError
from mmccd.method.cycle import Error
from mmccd.model.model import Fusion, Model, check_vacant, load_model, save_fusion
from mmccd.model.run import anomaly_volume
from mmccd.system.devices import choose_device, uses_bf16
from mmccd.system.locks import sole_use
from mmccd.system.provenance import provenance
from mmccd.training.calibration import Rows, fit_error, healthy_maps, healthy_runs, intensity_baseline, thresholds_of

BATCH = 32


def fuse(
    models: Sequence[Path | str],
    store: Store,
    output: Path,
    *,
    device: str = "auto",
) -> Fusion:
    """Join models of different sources: their evidence, in nats, is added, as if it were independent.

    Args:
        models: Two or more, which score by evidence; results belong to the source of the first.
        store: Its healthy validation slices give the sum thresholds of its own, at the rates of the first model.
        output: Folder of the fusion.
        device: Where to compute.

    Raises:
        ConfigError: the models cannot be joined, the store does not fit them, or the output is a store, holds a
            model or is in use by another process.
        DataError: the store has no healthy validation slice.
    """
    with sole_use(output):
        return _fuse(models, store, output, device)


def _fuse(models: Sequence[Path | str], store: Store, output: Path, device: str) -> Fusion:
    members = tuple(load_model(model) for model in models)
    sources = [member.config.source for member in members]
    if len(set(sources)) < max(2, len(sources)):
        raise ConfigError(
            f"models of {', '.join(sources) or 'nothing'} cannot be fused", "give two or more, each of another modality"
        )
    for member in members:
        if member.config.scoring.evidence != "tail":
            raise ConfigError(
                f"the model of {member.config.source} scores by the square, which has no common unit",
                "`mmccd calibrate MODEL STORE OUT --config best` makes it score by evidence",
            )
        if member.card["grid"] != {key: store.manifest[key] for key in ("protocol", "size_px", "pixel_mm")}:
            raise ConfigError(
                f"the store does not have the slices of the model of {member.config.source}: {member.card['grid']}",
                "prepare a store with the --size and --protocol of the models",
            )
    check_vacant(output)
    if store.rows("validation", healthy=True).size == 0:
        raise DataError("the store has no healthy validation slice", "prepare it with validation subjects")
    chosen = choose_device(device)
    errors = [_errors(member, store, chosen) for member in members]
    for member in members:
        member.method.to(chosen)

    def score(patient: str, rows: Rows, brain: NDArray[np.bool_], slice_mm: float) -> NDArray[np.float32]:
        maps = [
            anomaly_volume(
                member.method,
                error[patient],
                store.array(member.config.source)[rows].astype(np.float32),
                brain,
                member.config.scoring,
                pixel_mm=store.manifest["pixel_mm"],
                slice_mm=slice_mm,
                device=chosen,
                batch_size=BATCH,
                bf16=uses_bf16(member.config.training.precision, chosen),
            )
            for member, error in zip(members, errors, strict=True)
        ]
        return np.asarray(np.sum(maps, axis=0), dtype=np.float32)

    scoring = members[0].config.scoring
    facts = {
        "grid": members[0].card["grid"],
        **thresholds_of(healthy_maps(store, score), store, sources[0], scoring),
        "intensity_baseline": intensity_baseline(store, sources[0], scoring),
        "calibration": {
            "store_digest": store.digest,
            "split_digest": store.manifest["split_digest"],
            "scans_sha256": [digest for name in sources for digest in store.scans_sha256(("validation",), name)],
        },
        "provenance": provenance(device=str(chosen)),
    }
    return save_fusion(output, members, facts)


def _errors(member: Model, store: Store, device: torch.device) -> Mapping[str, Error]:
    """By patient, the evidence of a member as it is used, but for the patient's own pixels where they are in it.

    They are where the member was calibrated on this store; on another one, its evidence knows nobody here.
    """
    calibrated = member.card.get("calibration", member.card["training_data"])
    if calibrated["store_digest"] == store.digest:
        return fit_error(member.method, store, member.config, device)[1]
    return dict.fromkeys((patient for patient, _, _ in healthy_runs(store)), member.error)
