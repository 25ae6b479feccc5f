"""`mmccd info`: what is installed here, and what a model or a store holds."""

from pathlib import Path
from typing import Any

from mmccd.data.store import MANIFEST, open_store
from mmccd.errors import DataError
from mmccd.system.provenance import versions


def describe(path: Path | None) -> dict[str, Any]:
    """Facts about this installation, or about the model or store in ``path``; ``builtin:flair`` is a model, too.

    Raises:
        DataError: ``path`` is neither.
    """
    if path is None:
        return _installation()
    if (path / MANIFEST).is_file():
        store = open_store(path)
        store.verify()
        return {
            "store": store.manifest["protocol"],
            "slices": len(store.index),
            "size_px": store.size_px,
            "pixel_mm": store.manifest["pixel_mm"],
            "modalities": list(store.modalities),
            "subjects": {part: len(ids) for part, ids in store.manifest["subjects"].items()},
            "failures": store.manifest["failures"],
            "digest": f"{store.digest} (verified)",
        }
    from mmccd.model.files import CARD
    from mmccd.model.model import load_any, model_folder

    if (model_folder(path) / CARD).is_file() or path.suffix.lower() == ".zip":
        return load_any(path).card
    raise DataError(f"{path} is neither a model nor a store", "give a folder that `mmccd train` or `prepare` wrote")


def _installation() -> dict[str, Any]:
    import torch

    from mmccd.model.config import METHODS, presets
    from mmccd.model.model import builtin_models
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
