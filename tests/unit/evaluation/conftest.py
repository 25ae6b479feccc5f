"""Folders to evaluate."""

import pytest


@pytest.fixture
def folders(tmp_path):
    data, predictions = tmp_path / "data", tmp_path / "predictions"
    data.mkdir()
    predictions.mkdir()
    return data, predictions, tmp_path / "out"
