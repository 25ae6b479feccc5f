"""A model as one file for those who download it: what a zip may hold, and what it may not."""

import json
import os
import shutil
import stat
import struct
import warnings
import zipfile

import pytest
import torch

from mmccd.cli.app import main
from mmccd.errors import ConfigError, ModelError
from mmccd.model import files as model_package
from mmccd.model.export import export
from mmccd.model.files import open_model
from mmccd.model.folder import load_any, load_model, save_fusion, save_model
from mmccd.system.files import sha256_of_file


@pytest.fixture
def package(model_folder, tmp_path):
    """A function that makes a package of the toy model's files, some of them changed, and of others."""

    def make(others=(), *, compression=zipfile.ZIP_DEFLATED, **changed):
        path = tmp_path / "model.zip"
        content = {name: (model_folder / name).read_bytes() for name in ("card.json", "model.safetensors")} | changed
        with zipfile.ZipFile(path, "w", compression) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zipfile's own, of names twice
            for name, text in [*content.items(), *others]:
                if text is not None:
                    file.writestr(name, text)
        return path

    return make


def refused(path, match):
    before = sorted(path.parent.rglob("*")), sorted(path.parent.parent.iterdir())
    with pytest.raises(ModelError, match=match) as caught:
        load_any(path)
    assert caught.value.hint
    assert (sorted(path.parent.rglob("*")), sorted(path.parent.parent.iterdir())) == before  # nothing was unpacked


# --- there and back ---


def same_weights(one, other):
    theirs = other.method.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in one.method.state_dict().items())


def test_a_package_is_the_model(model_folder, healthy_scan, tmp_path, capsys):
    package = tmp_path / "model.zip"
    assert main(["export", str(model_folder), str(package)]) == 0
    assert sha256_of_file(package) in capsys.readouterr().out.replace("\n", "")
    assert same_weights(load_model(package), load_model(model_folder))
    assert load_model(package).card == load_model(model_folder).card
    assert main(["info", str(package), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["weights_sha256"] == load_model(model_folder).card.weights_sha256

    scores = []
    for model in (model_folder, package):
        output = tmp_path / model.name
        output = output.with_name(f"of_{model.name}")
        assert main(["predict", str(model), str(healthy_scan), "-o", str(output), "-q", "--device", "cpu"]) == 0
        scores.append((output / "Phantom_0006_flair_anomaly.nii.gz").read_bytes())
    assert scores[0] == scores[1]


def test_the_same_model_gives_the_same_bytes(model_folder, tmp_path):
    copy = shutil.copytree(model_folder, tmp_path / "copy")
    (copy / "training").mkdir()
    (copy / "training" / "secret.txt").write_text("Jane Doe")
    for path in copy.iterdir():
        os.utime(path, (1, 1))
    first, second = export(model_folder, tmp_path / "a.zip"), export(copy, tmp_path / "b.zip")
    assert first == second
    with zipfile.ZipFile(tmp_path / "b.zip") as file:
        assert file.namelist() == ["card.json", "model.safetensors"]


def test_a_fusion_is_one_package(model_folder, tmp_path):
    model = load_model(model_folder)
    other = model.config.model_copy(update={"source": "t2", "targets": ("flair",)})
    members = [
        save_model(tmp_path / source, model.method, model.error, config, model.card)
        for source, config in (("flair", model.config), ("t2", other))
    ]
    save_fusion(tmp_path / "fused", tuple(members), model.card.model_copy(update={"config": None, "training": None}))
    export(tmp_path / "fused", tmp_path / "fused.zip")
    found = load_any(tmp_path / "fused.zip")
    assert [member.config.source for member in found.members] == ["flair", "t2"]
    assert same_weights(found.members[1], model)
    with pytest.raises(ModelError, match="is a fusion of several models"):
        load_model(tmp_path / "fused.zip")


def test_what_ships_with_the_package_can_be_exported(tmp_path):
    export("builtin:flair", tmp_path / "flair.zip")
    assert load_model(tmp_path / "flair.zip").card.digest == load_model("builtin:flair").card.digest


def test_nothing_is_overwritten_and_the_name_says_what_it_is(model_folder, tmp_path):
    (tmp_path / "there.zip").write_text("mine")
    for name, match in (("there.zip", "exists"), ("model.tar", "does not end in .zip")):
        with pytest.raises(ConfigError, match=match):
            export(model_folder, tmp_path / name)
    assert (tmp_path / "there.zip").read_text() == "mine"
    with pytest.raises(ModelError, match="is not a model"):
        export(tmp_path, tmp_path / "new.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.zip"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_made_by_hand_is_read(package, model_folder, compression):
    assert load_any(package(compression=compression)).card.digest == load_model(model_folder).card.digest


# --- what is refused ---


@pytest.mark.parametrize(
    "name",
    [
        *("../card.json", "/card.json", "t2/../../card.json", "..\\card.json", "C:\\card.json", "C:/card.json"),
        *("a/b/card.json", ".hidden/card.json", "../", "./card.json", "card.json/", "card.json.py", " "),
        *("model.pkl", "training/last.ckpt"),
    ],
)
def test_members_that_no_model_has(package, name):
    refused(package([(name, b"x")]), "it holds .* expected card.json and model.safetensors")


def test_a_name_with_a_zero_byte(package):
    """Python's zipfile ends a name there, other readers do not."""
    path = package([("t2/card.jsonX.py", b"{}")])
    path.write_bytes(path.read_bytes().replace(b"t2/card.jsonX.py", b"t2/card.json\0.py"))
    refused(path, r"it holds 't2/card\.json\\x00\.py'")


@pytest.mark.parametrize("name", ["card.json", "model.safetensors"])
def test_a_name_twice(package, name):
    refused(package([(name, b"{}")]), f"it holds {name} twice")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFDIR])
def test_a_link_or_device(package, kind):
    entry = zipfile.ZipInfo("t2/card.json")
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    refused(package([(entry, b"/etc/passwd")]), "t2/card.json is a link or device")


def test_a_bomb_that_says_so(package):
    refused(package(**{"card.json": b" " * 2**20}), "card.json would grow from")


def test_a_bomb_of_stored_files(package, monkeypatch):
    monkeypatch.setitem(model_package.LARGEST_BYTES, "card.json", 1000)
    refused(package(), "card.json in the package claims")
    monkeypatch.setitem(model_package.LARGEST_BYTES, "card.json", 2**20)
    monkeypatch.setitem(model_package.LARGEST_BYTES, "model.safetensors", 1000)
    refused(package(), "model.safetensors in the package claims")


def test_small_files_that_are_large_together(package, monkeypatch, model_folder):
    monkeypatch.setitem(
        model_package.LARGEST_BYTES, "model.safetensors", (model_folder / "model.safetensors").stat().st_size
    )
    refused(package(), "together larger than any model")


@pytest.mark.parametrize("claimed", [1, 2**31])
def test_a_size_that_is_a_lie(package, claimed, model_folder):
    """The true content is longer or shorter than both headers of the zip say."""
    path = package(compression=zipfile.ZIP_DEFLATED)
    true = (model_folder / "model.safetensors").stat().st_size
    content = path.read_bytes()
    assert content.count(struct.pack("<I", true)) >= 2
    path.write_bytes(content.replace(struct.pack("<I", true), struct.pack("<I", claimed)))
    refused(path, "is damaged|would grow")


def test_too_many_files(package):
    refused(package([(f"m{number}/card.json", b"{}") for number in range(40)]), "it holds 42 files")


def test_an_encrypted_member(package):
    path = package()
    content = bytearray(path.read_bytes())
    content[6] |= 1  # flags of the first local header
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    refused(path, "card.json is encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_compression(package, method):
    refused(package(compression=method), "compressed by method")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip", b"PK\x05\x06" + bytes(18)], ids=repr)
def test_what_is_no_zip(content, tmp_path):
    path = tmp_path / "deep" / "model.zip"
    path.parent.mkdir()
    path.write_bytes(content)
    refused(path, "is damaged|it holds 0 files")


def test_a_byte_that_was_changed_anywhere(package):
    """In a stored file the checksum of the zip finds it; where it does not, the digest on the card does."""
    path = package(compression=zipfile.ZIP_STORED)
    good, expected = path.read_bytes(), load_any(path)
    for position in range(0, len(good), 997):
        path.write_bytes(good[:position] + bytes([good[position] ^ 0x20]) + good[position + 1 :])
        try:
            found = load_any(path)
        except ModelError:
            continue
        assert found.card == expected.card  # a date or an attribute
        assert same_weights(found, expected)


def test_weights_that_differ_from_the_card(package, model_folder):
    content = bytearray((model_folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    refused(package(**{"model.safetensors": bytes(content)}), "differs from its card")


@pytest.mark.parametrize("name", ["card.json", "model.safetensors"])
def test_a_file_that_is_missing(package, name):
    refused(package(**{name: None}), f"it has no {name}")


def test_a_card_larger_than_any_in_a_folder(model_folder, tmp_path):
    copy = shutil.copytree(model_folder, tmp_path / "model")
    with (copy / "card.json").open("ab") as stream:
        stream.truncate(5 * 2**20)
    refused(copy, r"card\.json in .* claims 5242880 bytes")


def test_a_folder_is_no_package_whatever_its_name(model_folder, tmp_path):
    copy = shutil.copytree(model_folder, tmp_path / "model.zip")
    assert load_any(copy).card.digest == load_model(model_folder).card.digest
    assert isinstance(open_model(copy), model_package.Folder)
