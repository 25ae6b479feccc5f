"""Predictions to report."""

import shutil

import pytest


@pytest.fixture
def folder(predictions_folder, tmp_path):
    return shutil.copytree(predictions_folder, tmp_path / "predictions")
