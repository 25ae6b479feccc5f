"""`mmccd calibrate`: trained networks sampled or scored in another way, or matched to another site's healthy scans."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save as save_tensors

from mmccd.data.own_folders import check_vacant
from mmccd.data.store import Store
from mmccd.errors import ConfigError, DataError
from mmccd.method.method import Method
from mmccd.model.build import build_method, check_fits
from mmccd.model.card import Card, Data, on_card
from mmccd.model.config import Config, override_config
from mmccd.model.folder import load_model, save_model
from mmccd.model.model import Model
from mmccd.system.devices import choose_device
from mmccd.system.locks import sole_use
from mmccd.system.progress import ProgressCallback, no_progress
from mmccd.system.provenance import provenance
from mmccd.training.calibration import Calibrated, calibration_of, healthy_tissue
from mmccd.training.kept import KeptArrays
from mmccd.version import __version__

SECTIONS = ("diffusion", "scoring")
TRAINED = ("schedule_steps",)
"""Settings of the section ``diffusion`` that the weights have in them."""
KEPT = "calibration"
"""Folder in which a killed calibration left what it had done."""


def calibrate(
    model: Path | str,
    store: Store,
    output: Path,
    *,
    presets: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
    progress: ProgressCallback = no_progress,
) -> Model:
    """Write a model with the same weights, but with settings, evidence and thresholds of its own.

    A killed calibration goes on where it was.

    Args:
        model: Folder written by `mmccd train`, or for example ``builtin:flair``.
        store: Its healthy validation slices say what is ordinary: those of the training, or of another site.
        output: Folder of the new model.
        presets: Presets or YAML files, of which only the sections ``diffusion`` and ``scoring`` are taken.
        overrides: Settings of these two sections, for example ``{"scoring.smooth_mm": 4}``.
        device: Where to compute.
        progress: Called with what is done, the slices done, and how many there are.

    Raises:
        ConfigError: a setting was given that training has decided, the store does not fit the model, or the output
            is a store or holds a model, or another process works there.
        DataError: the store has no healthy validation slice.
    """
    with sole_use(output) as claim:
        old = load_model(model)
        config = override_config(old.config, presets, overrides or {}, sections=SECTIONS)
        _check(old, config, store, output)
        method = build_method(config, store.size_px)
        method.load_state_dict(old.method.state_dict())
        chosen = choose_device(device)
        kept = KeptArrays(output / KEPT, deciding(method, config, store))
        found = calibration_of(method, store, config, chosen, kept=kept, progress=progress)
        data = Data(
            store_digest=store.digest,
            split_digest=store.manifest.split_digest,
            scans_sha256=tuple(store.scans_sha256(("validation",), config.source)),
            provenance=provenance(device=str(chosen)),
        )
        card = with_thresholds(old.card.model_copy(update={"calibration": data}), found)
        claim.check()
        save_model(output, method, found.error, config, card)
        kept.clear()
        return load_model(output)


def with_thresholds(card: Card, found: Calibrated) -> Card:
    """A card with what a calibration found."""
    return card.model_copy(update=on_card(found.thresholds) | {"intensity_baseline": found.intensity})


def deciding(method: Method, config: Config, store: Store) -> dict[str, Any]:
    """All that decides what a calibration finds, for `KeptArrays`."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in method.state_dict().items()}
    return {
        "config": config.model_dump(mode="json"),
        "weights": hashlib.sha256(save_tensors(weights)).hexdigest(),
        "store": store.digest,
        "version": __version__,
    }


def _check(old: Model, config: Config, store: Store, output: Path) -> None:
    if old.grid != store.grid:
        raise ConfigError(
            f"the store has slices of {store.grid}, the model was trained on {old.grid}",
            "prepare a store with the --size and --protocol of the model",
        )
    for name in TRAINED:
        trained = getattr(old.config.diffusion, name)
        if getattr(config.diffusion, name) != trained:
            raise ConfigError(
                f"diffusion.{name} was {trained} in training and cannot change",
                "train a model with it",
            )
    if config.source not in store.modalities:
        raise ConfigError(
            f"the model scores {config.source}, the store has {', '.join(store.modalities)}",
            f"prepare a store with {config.source}",
        )
    tissue = healthy_tissue(store, config)
    if tissue.rows("validation").size == 0:
        raise DataError(
            tissue.none_in("validation"),
            "prepare healthy subjects with --fractions 0 1 0, or name them by --validation-list if they have a split",
        )
    check_fits(config, store.size_px)
    check_vacant(output)
