"""Code hidden in every kind of file that a command reads: never run, and refused where it is no data.

That each payload runs in a loader that trusts its input is shown first.
"""

import importlib
import json
import shutil
import sys

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from payloads import FINE, NONE_WORKED, PAYLOADS, USAGE, Trap, assert_it_runs, each_payload, numpy_objects, two_payloads

from mmccd.cli.app import main
from mmccd.data.store import open_store
from mmccd.model.folder import load_model
from mmccd.system.files import sha256_of_file


@pytest.mark.parametrize(("write", "trusting"), list(PAYLOADS.values()), ids=list(PAYLOADS))
def test_the_payload_runs_in_a_loader_that_trusts_its_file(write, trusting, marker, tmp_path):
    write(Trap(marker), tmp_path / "evil")
    assert not marker.exists()
    trusting(tmp_path / "evil")
    assert_it_runs(marker)


# --- models ---


def change_card(folder, **changes):
    card = json.loads((folder / "card.json").read_text()) | changes
    (folder / "card.json").write_text(json.dumps(card))


@each_payload
def test_weights(write, model, marker, healthy_scan, phantom_store, refused, tmp_path):
    write(Trap(marker), model / "model.safetensors")
    change_card(model, weights_sha256=sha256_of_file(model / "model.safetensors"))
    refused("predict", model, healthy_scan, "-o", tmp_path / "out", code=USAGE)
    refused("calibrate", model, phantom_store.path, tmp_path / "other", code=USAGE)
    refused("fuse", phantom_store.path, tmp_path / "fused", model, model, code=USAGE)
    refused("info", model, code=USAGE)


@two_payloads
def test_card(write, model, marker, healthy_scan, refused, tmp_path):
    write(Trap(marker), model / "card.json")
    refused("predict", model, healthy_scan, "-o", tmp_path / "out", code=USAGE)


def test_weights_that_differ_from_the_digest_of_the_card(model, healthy_scan, refused, tmp_path):
    content = bytearray((model / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (model / "model.safetensors").write_bytes(content)
    error = refused("predict", model, healthy_scan, "-o", tmp_path / "out", code=USAGE)
    assert "differs from its card" in error


# --- checkpoints ---


@pytest.fixture
def training(trained_folder, tmp_path):
    """A training that was killed after its last checkpoint."""
    copy = shutil.copytree(trained_folder, tmp_path / "trained")
    (copy / "card.json").unlink()
    (copy / "model.safetensors").unlink()
    return copy


@pytest.fixture
def resume(phantom_store, toy_config, training, tmp_path):
    config = tmp_path / "toy.yaml"
    config.write_text(yaml.safe_dump(toy_config.model_dump(mode="json")))
    return ("train", phantom_store.path, training, "--config", config, "--device", "cpu", "--resume", "-q")


@each_payload
def test_checkpoint(write, training, resume, marker, refused):
    write(Trap(marker), training / "training" / "last.ckpt")
    error = refused(*resume, code=USAGE)
    assert "the checkpoint last.ckpt is damaged" in error


@pytest.mark.parametrize("content", [torch.zeros(3), {"state_dict": {}}, [1, 2], {"mmccd": 3}], ids=str)
def test_checkpoint_without_code_and_without_sense(content, training, resume, refused):
    torch.save(content, training / "training" / "last.ckpt")
    assert "checkpoint" in refused(*resume, code=USAGE)


def test_checkpoint_whose_hyper_parameters_name_a_function(training, resume, marker, monkeypatch, tmp_path, capsys):
    """As in CVE-2026-58659; it is a checkpoint in all other ways, so it is resumed, and the name stays a text."""
    (tmp_path / "trapped.py").write_text(f"import os\ndef spring(*_): os.mkdir({str(marker)!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = training / "training" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    evil = {"_instantiator": "trapped.spring", "_class_path": "trapped.spring", "config": {"class_path": "trapped.x"}}
    torch.save(content | {"hyper_parameters": evil, "hparams_name": "kwargs"}, path)

    module, name = evil["_instantiator"].split(".")
    getattr(importlib.import_module(module), name)()
    assert_it_runs(marker)
    del sys.modules["trapped"]
    assert main([str(argument) for argument in resume]) == FINE
    assert "threshold" in capsys.readouterr().out
    assert not marker.exists()
    assert "trapped" not in sys.modules


# --- settings ---

TAGS = {
    "call": "!!python/object/apply:os.mkdir [{marker}]",
    "new": "!!python/object/new:os.mkdir [{marker}]",
    "map": "!!python/object/apply:subprocess.check_call {{args: [[mkdir, {marker}]]}}",
    "nested": "{{steps: !!python/object/apply:os.mkdir [{marker}]}}",
}


@pytest.mark.parametrize("tag", TAGS.values(), ids=list(TAGS))
def test_yaml(tag, marker, phantom_store, refused, tmp_path):
    text = f"training: {tag.format(marker=marker)}\n"
    yaml.unsafe_load(text)
    assert_it_runs(marker)

    config = tmp_path / "evil.yaml"
    config.write_text(text)
    train = ("train", phantom_store.path, tmp_path / "model", "-q")
    assert "is not valid YAML" in refused(*train, "--config", config, code=USAGE)
    refused(*train, "--config", "tiny", "--set", text.replace(": ", "=", 1).strip(), code=USAGE)


def test_expression(marker, model, phantom_store, healthy_scan, refused, tmp_path):
    """What MONAI's bundles run: `$` and Python, or `_target_`."""
    for text in (f"$__import__('os').mkdir({str(marker)!r})", {"_target_": "os.mkdir", "path": str(marker)}):
        ConfigParser({"source": text}).get_parsed_content("source")
        assert_it_runs(marker)

        config = tmp_path / "evil.yaml"
        config.write_text(yaml.safe_dump({"source": text}))
        refused("train", phantom_store.path, tmp_path / "new", "--config", "tiny", "--config", config, "-q", code=USAGE)
        card = json.loads((model / "card.json").read_text())
        change_card(model, config=card["config"] | {"source": text})
        if isinstance(text, str):  # a modality of an odd name
            assert load_model(model).config.source == text
            assert not marker.exists()
        else:
            refused("predict", model, healthy_scan, "-o", tmp_path / "out", code=USAGE)


def test_json_that_names_a_class(marker, model, healthy_scan, refused, tmp_path):
    """As jsonpickle and others have it."""
    evil = {"__class__": "os.mkdir", "py/object": "os.mkdir", "args": [str(marker)]}

    def trusting(values):
        if "__class__" in values:
            module, name = values["__class__"].split(".")
            getattr(importlib.import_module(module), name)(*values["args"])
        return values

    json.loads(json.dumps(evil), object_hook=trusting)
    assert_it_runs(marker)

    change_card(model, note=evil)
    assert load_model(model).card.as_json()["note"] == evil
    change_card(model, grid=evil)
    refused("predict", model, healthy_scan, "-o", tmp_path / "out", code=USAGE)


# --- stores ---


@pytest.fixture
def store(phantom_store, tmp_path):
    return shutil.copytree(phantom_store.path, tmp_path / "store")


@each_payload
@pytest.mark.parametrize("name", ["flair.npy", "brain.npy", "index.csv", "manifest.json"])
def test_store(write, name, store, marker, model, refused, tmp_path):
    write(Trap(marker), store / name)
    refused("calibrate", model, store, tmp_path / "other", "-q", code=NONE_WORKED)


@pytest.mark.parametrize("name", ["flair.npy", "t2.npy", "index.csv", "manifest.json"])
def test_store_that_is_trained_on(name, store, marker, resume, refused, tmp_path):
    numpy_objects(Trap(marker), store / name)
    arguments = [tmp_path / "new" if argument == resume[2] else argument for argument in resume]
    arguments[1] = store
    refused(*arguments, code=NONE_WORKED)


def test_digest_of_a_store(store, marker, refused):
    numpy_objects(Trap(marker), store / "flair.npy")
    error = refused("info", store, code=NONE_WORKED)
    assert "flair.npy of the store is missing or differs from its digest" in error


def test_the_store_of_a_benchmark_opens_without_running_anything(store, marker):
    """`open_store` reads the manifest, arrays follow when they are asked for."""
    numpy_objects(Trap(marker), store / "flair.npy")
    opened = open_store(store)
    assert opened.array("t2").dtype == np.float16
    assert not marker.exists()
