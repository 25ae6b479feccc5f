"""Code hidden in every kind of file that a command reads: never run, and refused where it is no data.

Each payload makes one file, the marker, when it runs. That it does so in a loader that trusts its input is shown first.
"""

import gzip
import importlib
import json
import os
import pickle
import shutil
import struct
import sys

import joblib
import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser

from mmccd.cli.app import main
from mmccd.data.cohort import read_cohort
from mmccd.data.store import open_store
from mmccd.data.volumes import read_volume
from mmccd.model.folder import load_model
from mmccd.system.files import sha256_of_file

FINE, USAGE, SOME_FAILED, NONE_WORKED = 0, 2, 3, 4


class Trap:
    """Makes the marker, a folder, when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return (os.mkdir, (self.marker,))


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "it_ran"


def assert_it_runs(marker):
    """What was done to the payload before this line ran it; the marker is taken away again."""
    assert marker.exists()
    marker.rmdir()


@pytest.fixture
def refused(capsys, marker):
    """Run a command that must fail with an error and a remedy, and must not have run the payload."""

    def call(*arguments, code):
        assert main([str(argument) for argument in arguments]) == code
        error = capsys.readouterr().err
        assert "Traceback" not in error
        assert "this is a bug" not in error
        assert error.startswith(("error: ", "failed: ", "warning: ")), error
        assert not marker.exists()
        return error

    return call


def raw_pickle(trap, path):
    path.write_bytes(pickle.dumps(trap))


def torch_zip(trap, path):
    torch.save({"state_dict": {"weight": torch.zeros(2)}, "global_step": 4, "mmccd": trap}, path)


def torch_legacy(trap, path):
    torch.save({"mmccd": trap}, path, _use_new_zipfile_serialization=False)


def joblib_file(trap, path):
    with path.open("wb") as stream:
        joblib.dump({"weights": trap}, stream)


def numpy_objects(trap, path):
    with path.open("wb") as stream:
        np.save(stream, np.array([trap], dtype=object), allow_pickle=True)


def numpy_archive(trap, path):
    with path.open("wb") as stream:
        np.savez(stream, flair=np.array([trap], dtype=object))


def gzipped_pickle(trap, path):
    path.write_bytes(gzip.compress(pickle.dumps(trap)))


def trusting_torch(path):
    torch.load(path, weights_only=False)


def trusting_numpy(path):
    found = np.load(path, allow_pickle=True)
    if isinstance(found, np.lib.npyio.NpzFile):
        found["flair"]


PAYLOADS = {
    "raw pickle": (raw_pickle, lambda path: pickle.loads(path.read_bytes())),
    "torch zip": (torch_zip, trusting_torch),
    "torch before 1.6": (torch_legacy, trusting_torch),
    "joblib": (joblib_file, joblib.load),
    "npy of objects": (numpy_objects, trusting_numpy),
    "npz of objects": (numpy_archive, trusting_numpy),
    "gzipped pickle": (gzipped_pickle, lambda path: pickle.loads(gzip.decompress(path.read_bytes()))),
}
each_payload = pytest.mark.parametrize("write", [write for write, _ in PAYLOADS.values()], ids=list(PAYLOADS))
# Where a file is read as text or as a scan, bytes that are neither are refused alike.
two_payloads = pytest.mark.parametrize("write", [raw_pickle, numpy_objects])


@pytest.mark.parametrize(("write", "trusting"), list(PAYLOADS.values()), ids=list(PAYLOADS))
def test_the_payload_runs_in_a_loader_that_trusts_its_file(write, trusting, marker, tmp_path):
    write(Trap(marker), tmp_path / "evil")
    assert not marker.exists()
    trusting(tmp_path / "evil")
    assert_it_runs(marker)


# --- models ---


@pytest.fixture
def model(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "model")


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


# --- scans, tables and earlier results ---


def test_extension_of_a_scan(healthy_scan, detector, model, marker, tmp_path):
    """NIfTI has a number, 16, for extensions that are pickles."""
    path = tmp_path / "evil.nii.gz"
    image = nib.load(healthy_scan)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("pypickle", pickle.dumps(Trap(marker))))
    nib.save(image, path)
    content = gzip.decompress(path.read_bytes())
    size, number = struct.unpack_from("<ii", content, 352)
    assert number == 16
    pickle.loads(content[360 : 352 + size])
    assert_it_runs(marker)

    np.testing.assert_array_equal(read_volume(path).data, read_volume(healthy_scan).data)
    assert detector.detect(path).score == detector.detect(healthy_scan).score
    assert main(["predict", str(model), str(path), "-o", str(tmp_path / "out"), "-q", "--device", "cpu"]) == FINE
    assert not marker.exists()


@two_payloads
def test_scan(write, marker, model, refused, tmp_path):
    for name in ("evil.nii.gz", "evil.nii"):
        write(Trap(marker), tmp_path / name)
        refused("predict", model, tmp_path / name, "-o", tmp_path / "out", "-q", code=NONE_WORKED)
        assert f"{name} " in (tmp_path / "out" / "summary.csv").read_text()


@two_payloads
def test_manifest_and_split(write, marker, model, phantom_folder, refused, tmp_path):
    write(Trap(marker), tmp_path / "evil.csv")
    refused("validate", tmp_path / "evil.csv", code=NONE_WORKED)
    refused("prepare", phantom_folder, tmp_path / "new", "--split", tmp_path / "evil.csv", code=NONE_WORKED)
    refused("predict", model, tmp_path / "evil.csv", "-o", tmp_path / "out", code=NONE_WORKED)


@pytest.mark.parametrize("name", ["../escaped", "..", "a/../../escaped", "/escaped", "a\\..\\escaped"])
def test_subject_that_is_a_path(name, model, healthy_scan, refused, tmp_path):
    output = tmp_path / "results" / "deep"
    manifest = tmp_path / "scans.csv"
    manifest.write_text(f"subject,flair\n{name},{healthy_scan}\n")
    before = sorted(tmp_path.rglob("*"))
    error = refused("predict", model, manifest, "-o", output, "-q", code=NONE_WORKED)
    assert "not safe as a file name" in error
    made = set(tmp_path.rglob("*")) - set(before)
    assert made == {tmp_path / "results", output, output / "summary.csv"}


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1+1", "@SUM(1+1)", "=cmd!A1"])
def test_subject_that_is_a_formula(name, model, healthy_scan, capsys, tmp_path):
    """A spreadsheet runs a cell that begins with one of these signs, so no cell of a table does."""
    manifest = tmp_path / "scans.csv"
    manifest.write_text(f"subject,flair\n{name},{healthy_scan}\n")
    assert [subject.id for subject in read_cohort(manifest).subjects] == [name]
    assert main(["predict", str(model), str(manifest), "-o", str(tmp_path / "out"), "-q", "--device", "cpu"]) == FINE
    capsys.readouterr()
    for path in tmp_path.joinpath("out").glob("*.csv"):
        for line in path.read_text().splitlines():
            assert not any(cell.strip('"').startswith(("=", "+", "@")) for cell in line.split(",")), line
    assert (tmp_path / "out" / f"{name}.json").is_file()


@two_payloads
def test_record_of_an_earlier_prediction(write, model, marker, healthy_scan, lesioned_scan, phantom_folder, capsys,
                                         refused, tmp_path):  # fmt: skip
    output = tmp_path / "out"
    scans = shutil.copytree(phantom_folder / "Phantom_0007", tmp_path / "scans" / "Phantom_0007").parent
    predict = ["predict", str(model), str(scans), "-o", str(output), "-q", "--device", "cpu"]
    assert main(predict) == FINE
    capsys.readouterr()
    write(Trap(marker), output / "Phantom_0007.json")
    planted = (output / "Phantom_0007.json").read_bytes()
    error = refused(*predict, code=NONE_WORKED)
    assert "no record of `mmccd predict` says that it is a result" in error
    assert (output / "Phantom_0007.json").read_bytes() == planted  # whoever wrote it, it is not ours to remove
    refused("evaluate", output, scans, "-o", tmp_path / "tables", "-q", code=NONE_WORKED)


@pytest.mark.parametrize("text", ["[]", "3", '"text"', "null", '{"origin": 1, "case": "../../x"}', "{}"])
def test_record_that_is_no_record(text, model, lesioned_scan, refused, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    record = output / "Phantom_0007_flair.json"
    record.write_text(text)
    error = refused("predict", model, lesioned_scan, "-o", output, "-q", code=NONE_WORKED)
    assert "Phantom_0007_flair.json: already there, and no record of `mmccd predict`" in error
    assert record.read_text() == text


# --- benchmarks ---

BENCHMARK = ("--methods", "dae", "--sources", "flair", "--no-paper-sampler", "--device", "cpu", "-q")


@pytest.fixture(scope="module")
def benchmarked(store_of_three, toy_settings, tmp_path_factory):
    """A miniature benchmark by the command, and the command."""
    output = tmp_path_factory.mktemp("benchmark") / "out"
    changes = toy_settings | {"training.steps": 1, "training.batch_size": 2}
    settings = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    command = ["benchmark", str(store_of_three.path), str(output), *BENCHMARK, *settings]
    assert main(command) == FINE
    return output, command


@pytest.fixture
def copied(benchmarked, tmp_path):
    output, command = benchmarked
    copy = shutil.copytree(output, tmp_path / "bench")
    return copy, [str(copy) if part == str(output) else part for part in command]


@two_payloads
def test_settings_of_a_benchmark(write, copied, marker, refused):
    output, command = copied
    write(Trap(marker), output / "settings.json")
    assert "settings.json" in refused(*command, code=USAGE)


@two_payloads
def test_records_and_maps_of_a_benchmark(write, copied, marker):
    output, command = copied
    before = (output / "results.csv").read_text()
    record = output / "scores" / "flair" / "intensity.json"
    kept = json.loads(record.read_text())
    write(Trap(marker), record)
    assert main(command) == FINE  # done again
    assert (output / "results.csv").read_text() == before
    assert json.loads(record.read_text())["rows"] == kept["rows"]
    write(Trap(marker), record.with_suffix(".npy"))
    assert main(command) == FINE
    assert (output / "results.csv").read_text() == before
    assert not marker.exists()


def test_the_store_of_a_benchmark_opens_without_running_anything(store, marker):
    """`open_store` reads the manifest, arrays follow when they are asked for."""
    numpy_objects(Trap(marker), store / "flair.npy")
    opened = open_store(store)
    assert opened.array("t2").dtype == np.float16
    assert not marker.exists()
