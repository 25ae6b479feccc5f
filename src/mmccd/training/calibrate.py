"""`mmccd calibrate`: trained networks sampled or scored in another way, or matched to another site's healthy scans."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmccd.data.store import Store
from mmccd.errors import ConfigError, DataError
from mmccd.model.build import build_method, masks_of
from mmccd.model.config import Config, override_config
from mmccd.model.model import Model, check_vacant, load_model, save_model
from mmccd.system.devices import choose_device
from mmccd.system.locks import sole_use
from mmccd.system.provenance import provenance
from mmccd.training.calibration import calibrate, fit_error

SECTIONS = ("diffusion", "scoring")
TRAINED = ("train_masks", "train_on", "schedule_steps")
"""Settings of the section ``diffusion`` that the weights have in them."""
SAMPLED = ("sampling_steps", "spacing")
"""These, too, where ``train_on`` is ``sampling-steps``: other steps were never trained."""


def recalibrate(
    model: Path,
    store: Store,
    output: Path,
    *,
    presets: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
    device: str = "auto",
) -> Model:
    """Write a model with the same weights, but with settings, evidence and threshold of its own.

    Args:
        model: Folder written by `mmccd train`.
        store: Its healthy validation slices say what is ordinary: those of the training, or of another site.
        output: Folder of the new model.
        presets: Presets or YAML files, of which only the sections ``diffusion`` and ``scoring`` are taken.
        overrides: Settings of these two sections, for example ``{"scoring.smooth_mm": 4}``.
        device: Where to compute.

    Raises:
        ConfigError: a setting was given that training has decided, the store does not fit the model, or the output
            is a store or holds a model, or another process works there.
        DataError: the store has no healthy validation slice.
    """
    with sole_use(output):
        return _recalibrate(model, store, output, presets, overrides or {}, device)


def _recalibrate(
    model: Path,
    store: Store,
    output: Path,
    presets: Sequence[str | Path],
    overrides: Mapping[str, Any],
    device: str,
) -> Model:
    old = load_model(model)
    config = override_config(old.config, presets, overrides, sections=SECTIONS)
    _check(old, config, store, output)
    method = build_method(config)
    method.load_state_dict(old.method.state_dict())
    chosen = choose_device(device)
    error, errors = fit_error(method, store, config, chosen)
    calibrated = {
        "store_digest": store.digest,
        "split_digest": store.manifest["split_digest"],
        "scans_sha256": store.scans_sha256(("validation",), config.source),
        "provenance": provenance(device=str(chosen)),
    }
    facts = old.card | calibrate(method, errors, store, config, chosen) | {"calibration": calibrated}
    save_model(output, method, error, config, facts)
    return load_model(output)


def _check(old: Model, config: Config, store: Store, output: Path) -> None:
    grid = {key: store.manifest[key] for key in ("protocol", "size_px", "pixel_mm")}
    if grid != old.card["grid"]:
        raise ConfigError(
            f"the store has slices of {grid}, the model was trained on {old.card['grid']}",
            "prepare a store with the --size and --protocol of the model",
        )
    decided = TRAINED + SAMPLED * (old.config.diffusion.train_on == "sampling-steps")
    for name in decided:
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
    if store.rows("validation", healthy=True).size == 0:
        raise DataError(
            "the store has no healthy validation slice",
            "prepare healthy subjects with --fractions 0 1 0, or name them by --validation-list if they have a split",
        )
    if config.method == "mmccd":
        masks_of(config.diffusion, store.size_px)
    check_vacant(output)
