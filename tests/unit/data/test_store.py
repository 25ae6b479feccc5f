import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmccd.data.grid import ModelGrid
from mmccd.data.store import open_store
from mmccd.data.volumes import read_volume
from mmccd.errors import ConfigError, DataError


def as_on_windows(path, encoding="cp1252"):
    return path.read_bytes().decode(encoding)


@pytest.fixture
def copy(phantom_store, tmp_path):
    return shutil.copytree(phantom_store.path, tmp_path / "store")


def test_index_and_arrays_agree(phantom_store):
    index = phantom_store.index
    assert phantom_store.modalities == ("flair", "t2")
    for name, dtype in (("flair", np.float16), ("t2", np.float16), ("brain", bool), ("lesion", bool)):
        array = phantom_store.array(name)
        assert isinstance(array, np.memmap)
        assert (array.shape, array.dtype) == ((len(index), 48, 48), dtype)
    np.testing.assert_array_equal(phantom_store.array("brain").sum(axis=(1, 2)), index["brain_px"])
    np.testing.assert_array_equal(phantom_store.array("lesion").sum(axis=(1, 2)), index["lesion_px"])
    assert index["subject"].iloc[0] == "Phantom_0001"
    assert (index[["spacing_x_mm", "spacing_y_mm", "spacing_z_mm"]] == 4.0).all(axis=None)


def test_rows_by_split_and_health(phantom_store):
    parts = {part: phantom_store.rows(part) for part in ("train", "validation", "test")}
    np.testing.assert_array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(len(phantom_store.index)))
    assert set(phantom_store.index["subject"].iloc[parts["validation"]]) == {"Phantom_0006"}
    healthy, ill = (phantom_store.rows("test", healthy=healthy) for healthy in (True, False))
    assert sorted([*healthy, *ill]) == list(parts["test"])
    assert ill.size > 5
    assert not phantom_store.array("lesion")[healthy].any()
    assert phantom_store.rows("train", healthy=False).size == 0
    assert phantom_store.rows("nothing").size == 0


def test_slices_are_single_precision_of_the_rows_asked_for(phantom_store):
    rows = phantom_store.rows("test")[3:5]
    found = phantom_store.slices("flair", rows)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, phantom_store.array("flair")[rows[0] : rows[-1] + 1])


def test_scans_are_known_by_their_voxels(phantom_store, phantom_folder):
    subjects = phantom_store.manifest.subjects
    digests = {
        subject: read_volume(phantom_folder / subject / f"{subject}_t2.nii.gz").voxels_sha256
        for part in subjects.values() for subject in part
    }  # fmt: skip
    assert len(set(digests.values())) == len(digests)
    for parts in (["test"], ["train", "validation"]):
        expected = sorted(digests[subject] for part in parts for subject in subjects[part])
        assert phantom_store.scans_sha256(parts, "t2") == expected
    assert phantom_store.scans_sha256(["test"], "t1") == []
    older = replace(phantom_store, manifest=phantom_store.manifest.model_copy(update={"scans_sha256": {}}))
    assert older.scans_sha256(["test"], "t2") == []


def test_unknown_array_lists_what_there_is(phantom_store):
    with pytest.raises(ConfigError, match="no 't1ce', it has brain, flair, lesion, t2"):
        phantom_store.array("t1ce")


def test_verify_finds_one_changed_byte(copy):
    open_store(copy).verify()
    content = bytearray((copy / "t2.npy").read_bytes())
    content[-7] ^= 1
    (copy / "t2.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"t2\.npy of the store is missing or differs from its digest"):
        open_store(copy).verify()


def test_digest_is_of_content_and_not_of_the_folder(copy, phantom_store):
    assert open_store(copy).digest == phantom_store.digest
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["arrays"]["t2"]["sha256"] = "0"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert open_store(copy).digest != phantom_store.digest


@pytest.mark.parametrize(
    ("protocol", "today"), [("volume", "volume"), ("published", "paper-slices"), ("paper-slices", "paper-slices")]
)
def test_the_grid_is_that_of_the_manifest_also_by_its_old_name(copy, protocol, today):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"protocol": protocol}))
    assert open_store(copy).grid == ModelGrid(today, 48, 5.0)


def test_a_manifest_is_written_as_it_was_read(phantom_store):
    assert phantom_store.manifest.as_json() == json.loads((phantom_store.path / "manifest.json").read_text())


def test_folders_that_are_no_store(copy, tmp_path):
    with pytest.raises(DataError, match=r"not a prepared store: it has no manifest\.json"):
        open_store(tmp_path)
    (copy / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match="store format 99, expected 1"):
        open_store(copy)


def test_damaged_manifest(copy):
    (copy / "manifest.json").write_text('{"format": 1,')
    with pytest.raises(DataError):
        open_store(copy)


def test_a_manifest_is_read_as_utf8_whatever_the_locale(copy, monkeypatch):
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["failures"] = {"Müller": "fehlt"}
    (copy / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False), encoding="utf-8")
    monkeypatch.setattr(Path, "read_text", as_on_windows)
    assert open_store(copy).manifest.failures == {"Müller": "fehlt"}


def test_missing_array(copy):
    (copy / "t2.npy").unlink()
    with pytest.raises(DataError):
        open_store(copy).array("t2")


@pytest.mark.parametrize("content", ["[]", '{"format": 1}', '{"format": 1, "protocol": "all"}'])
def test_manifest_that_is_json_but_no_manifest(copy, content):
    (copy / "manifest.json").write_text(content)
    with pytest.raises(DataError):
        open_store(copy).verify()


@pytest.mark.parametrize("content", [None, b"\xff\x00"])
def test_missing_and_damaged_index(copy, content):
    (copy / "index.csv").unlink()
    if content:
        (copy / "index.csv").write_bytes(content)
    with pytest.raises(DataError):
        open_store(copy).rows("train")
