"""Folders that can be written and locked, and those that cannot."""

import errno
import shutil
import tempfile
from collections import namedtuple
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmccd.errors import LockError
from mmccd.overview import places
from mmccd.overview.places import folder_check, folder_checks


def test_a_good_folder_and_nothing_stays_in_it(tmp_path):
    found = folder_check("cache", tmp_path / "not" / "there", "~/c", "elsewhere")
    assert found.state == "ok"
    assert found.found.startswith("~/c; writable; ")
    assert found.found.endswith(("locks of the system", "locks by signs of life"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("is_needed", "state"), [(True, "broken"), (False, "warning")])
def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch, is_needed, state):
    def refuse(**_):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    found = folder_check("current", tmp_path, "", "go elsewhere", is_needed=is_needed)
    assert (found.state, found.found) == (state, "cannot be written: Permission denied")
    assert found.remedy == "go elsewhere"


def test_a_disk_without_locks(tmp_path, monkeypatch):
    @contextmanager
    def refuse(folder, *_, **__):
        raise LockError(folder, OSError(errno.ENOLCK, "No locks available"))
        yield

    monkeypatch.setattr(places, "one_at_a_time", refuse)
    found = folder_check("current", tmp_path, "", "go elsewhere")
    assert (found.state, found.found) == ("warning", "cannot be locked: No locks available")
    assert "another disk" in found.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_warning(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 10**8))
    found = folder_check("current", tmp_path, "", "go elsewhere")
    assert found.state == "warning"
    assert "0.1 GB free" in found.found
    assert found.remedy == "make space, or go elsewhere"


def test_the_three_folders_and_the_path_of_the_current_one_is_not_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = {check.what: check for check in folder_checks()}
    assert list(found) == ["temporary", "cache", "current"]
    assert str(tmp_path) not in found["current"].found
    assert str(Path(tempfile.gettempdir())) in found["temporary"].found


def test_no_temporary_folder_at_all_is_broken(monkeypatch):
    def none():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.setattr(places, "folder_check", lambda what, *_, **__: places.Check("folders", what, "ok", ""))
    first = folder_checks()[0]
    assert first.state == "broken"
    assert "TMPDIR" in first.remedy
