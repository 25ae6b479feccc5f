import json
import os
import stat

import pytest

from mmccd.errors import DataError
from mmccd.system.files import sha256_of_file, sha256_of_json, write_atomically, write_csv, write_json


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_atomically(path, b"old")

    def killed(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_written_files_are_readable_and_folders_are_made(tmp_path):
    path = tmp_path / "b" / "c" / "a.txt"
    write_atomically(path, b"x")
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_who_may_read_a_file_is_what_the_umask_says(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_json(tmp_path / "a.json", 1)
        write_json(tmp_path / "key.json", 1, mode=0o600)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.json", "key.json")]
    assert modes == [mode, 0o600]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot write .*file/a\.txt: ") as caught:
        write_atomically(tmp_path / "file" / "a.txt", b"x")
    assert "writable" in caught.value.hint


def test_json_has_null_for_nan_at_any_depth(tmp_path):
    write_json(tmp_path / "a.json", {"é": [float("nan"), 1.5, {"b": float("nan")}], 3: (None, "x")})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"é": [None, 1.5, {"b": None}], "3": [None, "x"]}
    assert "é" in text


def test_csv_has_the_keys_of_the_first_row(tmp_path):
    write_csv(tmp_path / "a.csv", [{"a": 1, "b": "x,y"}, {"a": None, "b": "z\n"}])
    assert (tmp_path / "a.csv").read_bytes() == b'a,b\n1,"x,y"\n,z\\n\n'
    write_csv(tmp_path / "c.csv", [], ["a", "b"])
    assert (tmp_path / "c.csv").read_text() == "a,b\n"
    write_csv(tmp_path / "b.csv", [])
    assert (tmp_path / "b.csv").read_bytes() == b""


def test_digests(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "a").startswith("ba7816bf")
    assert sha256_of_json({"a": 1, "b": [2]}) == sha256_of_json({"b": [2], "a": 1})
    assert sha256_of_json({"a": 1}) != sha256_of_json({"a": 2})
