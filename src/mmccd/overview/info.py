"""`mmccd info`: what is installed here, and what a model or a store holds."""

from pathlib import Path
from typing import Any

from mmccd.data.own_folders import kind_of
from mmccd.data.store import open_store
from mmccd.errors import DataError
from mmccd.system.provenance import versions


def info(path: Path | None = None) -> dict[str, Any]:
    """Facts about this installation, or about the model or store in ``path``; ``builtin:flair`` is a model, too.

    Raises:
        DataError: ``path`` is neither.
    """
    if path is None:
        return _installation()
    if kind_of(path) == "store":
        store = open_store(path)
        store.verify()
        return {
            "store": store.grid.protocol,
            "slices": len(store.index),
            "size_px": store.size_px,
            "pixel_mm": store.grid.pixel_mm,
            "modalities": list(store.modalities),
            "subjects": {part: len(ids) for part, ids in store.manifest.subjects.items()},
            "failures": store.manifest.failures,
            "digest": f"{store.digest} (verified)",
        }
    from mmccd.model.folder import load_any, model_folder

    if kind_of(model_folder(path)) == "model" or path.suffix.lower() == ".zip":
        return load_any(path).card.as_json()
    raise DataError(f"{path} is neither a model nor a store", "give a folder that `mmccd train` or `prepare` wrote")


def _installation() -> dict[str, Any]:
    import torch

    from mmccd.method.registry import METHODS
    from mmccd.model.config import presets
    from mmccd.model.folder import builtin_models
    from mmccd.system.devices import choose_device, has_bf16

    device = choose_device("auto")
    return {
        **versions(),
        "device": str(device),
        "bf16 in hardware": has_bf16(device),
        "threads": torch.get_num_threads(),
        "presets": list(presets()),
        "methods": list(METHODS),
        "models": list(builtin_models()),
    }
