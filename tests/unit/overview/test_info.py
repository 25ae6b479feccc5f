import json

import pytest

from mmccd.errors import DataError
from mmccd.method.registry import METHODS
from mmccd.model.config import presets
from mmccd.overview.info import info


def test_installation():
    found = info(None)
    assert found["presets"] == list(presets())
    assert found["methods"] == list(METHODS)
    assert found["device"] in ("cpu", "cuda", "mps")
    assert found["threads"] >= 1
    assert {"mmccd", "python", "torch"} <= set(found)
    json.dumps(found)


def test_store(phantom_store):
    found = info(phantom_store.path)
    assert (found["size_px"], found["pixel_mm"], found["modalities"]) == (48, 5.0, ["flair", "t2"])
    assert found["subjects"] == {"train": 5, "validation": 1, "test": 2}
    assert found["slices"] == len(phantom_store.index)
    assert phantom_store.digest in found["digest"]
    json.dumps(found)


def test_model(model_folder):
    assert info(model_folder) == json.loads((model_folder / "card.json").read_text())


def test_neither(tmp_path):
    with pytest.raises(DataError, match="neither a model nor a store"):
        info(tmp_path)
