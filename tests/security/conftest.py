"""The marker of a payload that ran, and what a command says instead."""

import shutil

import pytest

from mmccd.cli.app import main


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "it_ran"


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


@pytest.fixture
def model(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "model")
