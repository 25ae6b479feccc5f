"""Scans as a user's folder holds them, and what becomes of them."""

import csv
import shutil

import pytest


@pytest.fixture
def scans(tmp_path, healthy_scan, lesioned_scan):
    """A folder of loose files."""
    folder = tmp_path / "scans"
    folder.mkdir()
    shutil.copy(healthy_scan, folder / "a.nii.gz")
    shutil.copy(lesioned_scan, folder / "b.nii.gz")
    return folder


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def no_pictures(monkeypatch):
    """Previews take longer than the toy model."""
    monkeypatch.setattr("mmccd.prediction.preview.write_preview", lambda *_, **__: None)


@pytest.fixture
def table():
    """A function that reads the summary in a folder."""

    def read(output):
        with (output / "summary.csv").open(newline="") as stream:
            return list(csv.DictReader(stream))

    return read
