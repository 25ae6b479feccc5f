"""What is asked wrongly, interrupted or broken: one line of error, and its exit code."""

import warnings

import pytest

from mmccd.cli import app as cli
from mmccd.cli.app import main
from mmccd.errors import MmccdWarning

# --- usage errors ---


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["nonsense"],
        ["--nonsense"],
        ["predict", "model"],
        ["predict", "model", "scan.nii.gz"],
        ["phantom", "out", "--subjects", "many"],
        ["evaluate", "a", "b", "-o", "c", "--resamples", "5"],
    ],
    ids=" ".join,
)
def test_usage_errors_have_exit_code_2(run, check_error, arguments):
    code, out, error = run(*arguments)
    assert (code, out) == (2, "")
    check_error(error)
    assert "--help`" in error


def test_no_command_shows_the_help(run):
    code, out, error = run()
    assert code in (0, 2)
    assert "mmccd demo" in out + error
    assert "bug" not in error


def test_wrong_settings_have_exit_code_2(run, check_error, phantom_store, tmp_path, model_folder, config_file):
    store = phantom_store.path
    calibrate = ["calibrate", model_folder, store, tmp_path / "m"]
    for arguments, text in (
        (["train", store, tmp_path / "m", "--config", "huge"], "no preset or file named 'huge'"),
        (["train", store, tmp_path / "m", "--config", config_file, "--set", "training.steps"], "key=value"),
        (["train", store, tmp_path / "m", "--config", config_file, "--set", "sead=1"], "unknown setting"),
        (["train", store, tmp_path / "m", "--config", config_file, "--target", "flair"], "name a modality twice"),
        (["train", store, tmp_path / "m", "--config", config_file, "--target", "t2,t2"], "name a modality twice"),
        (["train", store, tmp_path / "m", "--config", config_file, "--config", "huge"], "no preset or file named"),
        ([*calibrate, "--set", "training.steps=5"], "cannot change after training"),
        ([*calibrate, "--set", "scoring.smooth=5"], "unknown setting"),
        ([*calibrate, "--config", "huge"], "no preset or file named"),
        (["calibrate", model_folder, store, model_folder], "already holds a model"),
        (["calibrate", tmp_path, store, tmp_path / "m"], "is not a model"),
        (["train", store, tmp_path / "m", "--config", config_file, "--target", "t9"], "no modality 't9'"),
        (["train", store, model_folder, "--config", config_file], "already holds a model"),
        (["train", store, tmp_path / "m", "--config", config_file, "--device", "tpu"], "expected one of auto"),
        (["predict", tmp_path, tmp_path, "-o", tmp_path / "o"], "is not a model"),
        (["predict", model_folder, tmp_path, "-o", tmp_path / "o", "--runtime", "onnx"], "one of torch, openvino"),
        (
            ["predict", model_folder, tmp_path, "-o", tmp_path / "o", "--min-lesion-ml", "-1"],
            "min_lesion_ml is -1, expected millilitres from 0",
        ),
        (["phantom", tmp_path / "p", "--spacing", "9"], "spacing_mm is 9"),
        (["prepare", tmp_path / "nowhere", tmp_path / "m", "--protocol", "other"], "protocol is 'other'"),
    ):
        code, _, error = run(*arguments)
        assert code == 2, arguments
        assert text in check_error(error)
    assert not (tmp_path / "m").exists()


def test_wrong_data_has_exit_code_4(run, check_error, tmp_path, model_folder, config_file):
    for arguments, text in (
        (["validate", tmp_path / "nowhere"], "does not exist"),
        (["train", tmp_path, tmp_path / "m", "--config", config_file], "not a prepared store"),
        (["predict", model_folder, tmp_path / "none.csv", "-o", tmp_path / "o"], "does not exist"),
        (["evaluate", tmp_path, tmp_path, "-o", tmp_path / "o"], "holds no prediction"),
        (["info", tmp_path], "neither a model nor a store"),
    ):
        code, _, error = run(*arguments)
        assert code == 4, arguments
        assert text in check_error(error)


# --- interrupted and broken ---


def test_ctrl_c(run, check_error, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("mmccd.overview.info.info", interrupted)
    code, _, error = run("info")
    assert code == 130
    assert check_error(error) == "error: interrupted"


def test_bugs_are_one_line_unless_asked(run, monkeypatch):
    def broken(_):
        raise ZeroDivisionError("two\nlines")

    monkeypatch.delenv("MMCCD_DEBUG", raising=False)
    monkeypatch.setattr("mmccd.overview.info.info", broken)
    code, _, error = run("info")
    assert code == 1
    assert error.splitlines()[0] == "error: ZeroDivisionError: two lines"
    assert "MMCCD_DEBUG=1" in error

    monkeypatch.setenv("MMCCD_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["info"])


def test_our_warnings_are_one_line_without_python(run, monkeypatch):
    def short(_):
        warnings.warn("cuda is out of memory: going on with batches of 8", MmccdWarning, stacklevel=1)
        return {}

    monkeypatch.setattr("mmccd.overview.info.info", short)
    usual = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, _, error = run("info")
    assert (code, error) == (0, "warning: cuda is out of memory: going on with batches of 8\n")
    assert warnings.showwarning is usual


def test_entry_leaves_with_the_exit_code(monkeypatch):
    monkeypatch.setattr(cli, "main", lambda: 3)
    with pytest.raises(SystemExit) as left:
        cli.entry()
    assert left.value.code == 3
