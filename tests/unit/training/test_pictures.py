import numpy as np
import pytest

from mmccd.data.store import Store
from mmccd.model.config import load_config
from mmccd.training import pictures as training_pictures
from mmccd.training.pictures import CurveCallback, PictureCallback
from mmccd.training.task import TranslationTask


class Trainer:
    class state:  # noqa: N801 - Lightning's name
        fn = "fit"

    is_global_zero = True
    global_step = 125


def as_validation(store, tmp_path):
    """The same store with its test subjects in validation, so that there are lesions to draw."""
    copy = Store(store.path, store.manifest)
    copy.index["split"] = copy.index["split"].replace("test", "validation")
    return copy


def test_rows_are_of_different_subjects_and_show_most(phantom_store, tmp_path):
    store = as_validation(phantom_store, tmp_path)
    callback = PictureCallback(store, tmp_path, healthy=3, lesioned=1)
    index = store.index.iloc[callback.rows]
    assert list(index["subject"]) == ["Phantom_0006", "Phantom_0007", "Phantom_0008", "Phantom_0007"]
    assert list(index["healthy"]) == [True, True, True, False]
    everything = store.index[store.index["subject"] == "Phantom_0007"]
    assert index["lesion_px"].iloc[3] == everything["lesion_px"].max() > 0


def test_picture_shows_x_y_and_the_cycle(phantom_store, toy_config, tmp_path, monkeypatch):
    store = as_validation(phantom_store, tmp_path)
    seen = {}

    def grid_png(panels, **labels):
        seen.update(panels=panels, **labels)
        return b"png"

    monkeypatch.setattr(training_pictures, "grid_png", grid_png)
    callback = PictureCallback(store, tmp_path)
    callback.on_validation_epoch_end(Trainer, TranslationTask(toy_config, 48).eval())

    assert (tmp_path / "pictures" / "step_000125.png").read_bytes() == b"png"
    assert "125" in seen["title"]
    assert len(seen["panels"]) == len(seen["names"]) == len(callback.rows) == 5
    for row, panels in zip(callback.rows, seen["panels"], strict=True):
        x, y, _, x_hat, error = (panel.image for panel in panels)
        np.testing.assert_array_equal(x, store.array("flair")[row])
        np.testing.assert_array_equal(y, store.array("t2")[row])
        np.testing.assert_allclose(error, (x - x_hat) ** 2)
    assert seen["panels"][-1][4].outlines[0][1].any()
    assert seen["columns"] == ["flair x", "t2 y", "t2 ŷ = f(x)", "x̂ = g(ŷ)", "(x − x̂)²"]


def test_picture_of_a_method_without_target_shows_x_and_what_it_restores(
    phantom_store, toy_settings, tmp_path, monkeypatch
):
    seen = {}
    monkeypatch.setattr(
        training_pictures, "grid_png", lambda panels, **labels: seen.update(panels=panels, **labels) or b""
    )
    callback = PictureCallback(phantom_store, tmp_path)
    task = TranslationTask(load_config("tiny", toy_settings | {"method": "dae"}), 48).eval()
    callback.on_validation_epoch_end(Trainer, task)
    assert seen["columns"] == ["flair x", "x̂", "(x − x̂)²"]
    for row, panels in zip(callback.rows, seen["panels"], strict=True):
        x, x_hat, error = (panel.image for panel in panels)
        np.testing.assert_array_equal(x, phantom_store.array("flair")[row])
        np.testing.assert_allclose(error, (x - x_hat) ** 2)


@pytest.mark.parametrize(("zero", "module"), [(False, "task"), (True, "other")])
def test_only_the_first_process_draws(phantom_store, toy_config, tmp_path, zero, module):
    class Other(Trainer):
        is_global_zero = zero
        global_step = 1

    task = TranslationTask(toy_config, 48) if module == "task" else None
    PictureCallback(phantom_store, tmp_path).on_validation_epoch_end(Other, task)
    CurveCallback(tmp_path).on_validation_end(Other, task)
    assert list(tmp_path.iterdir()) == []


def write_log(logs, first_step, *rows, columns="train/forward,validation/cycle,validation/forward"):
    """What Lightning writes: steps counted from 0, a row for training and one for validation."""
    folder = logs / f"log_from_step_{first_step:06d}"
    folder.mkdir()
    (folder / "metrics.csv").write_text("\n".join([f"epoch,step,{columns}", *rows]) + "\n")


@pytest.fixture
def drawn(monkeypatch):
    """What `curves_png` was asked to draw: the values of each curve by panel, and the labels."""
    seen = {}

    def curves_png(panels, **labels):
        curves = [
            (panel.title, {curve.name: (list(curve.steps), list(curve.values)) for curve in panel.curves})
            for panel in panels
        ]
        seen.update(panels=curves, quantities=[panel.quantity for panel in panels], **labels)
        return b"png"

    monkeypatch.setattr(training_pictures, "curves_png", curves_png)
    return seen


def test_curves_are_those_of_the_logs(toy_config, tmp_path, drawn):
    write_log(
        tmp_path, 0, "0,24,0.5,,,", "0,49,0.4,,,", "0,49,,3,0.6,0.7",
        columns="train/forward,validation/cycle,validation/forward,validation/backward",
    )  # fmt: skip
    CurveCallback(tmp_path).on_validation_end(Trainer, TranslationTask(toy_config, 48))

    assert (tmp_path / "curves.png").read_bytes() == b"png"
    assert "125" in drawn["title"]
    assert drawn["panels"] == [
        ("Forward network, flair → t2", {"training": ([25, 50], [0.5, 0.4]), "validation": ([50], [0.6])}),
        ("Backward network, t2 → flair", {"validation": ([50], [0.7])}),
        ("Healthy tissue, restored by the cheapest sampler", {"validation": ([50], [3.0])}),
    ]


def test_curves_of_a_method_without_target(toy_settings, tmp_path, drawn):
    write_log(
        tmp_path, 0, "0,24,0.5,0.1,,,", "0,24,,,3,0.2,0.6",
        columns="train/reconstruction,train/divergence,validation/cycle,validation/divergence,validation/reconstruction",
    )  # fmt: skip
    task = TranslationTask(load_config("tiny", toy_settings | {"method": "vae"}), 48)
    CurveCallback(tmp_path).on_validation_end(Trainer, task)
    assert drawn["panels"] == [
        ("Reconstruction of flair", {"training": ([25], [0.5]), "validation": ([25], [0.6])}),
        ("Divergence of the code", {"training": ([25], [0.1]), "validation": ([25], [0.2])}),
        ("Healthy tissue, restored by the cheapest sampler", {"validation": ([25], [3.0])}),
    ]
    assert drawn["quantities"] == [
        "mean squared error",
        "Kullback-Leibler divergence per pixel, doubled",
        "mean squared error",
    ]
