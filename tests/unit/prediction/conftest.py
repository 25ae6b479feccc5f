"""Scans as a user's folder holds them."""

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
