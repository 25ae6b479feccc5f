import numpy as np
import pytest

from mmccd import training_pictures
from mmccd.store import Store
from mmccd.task import TranslationTask
from mmccd.training_pictures import PictureCallback


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
    callback.on_validation_end(Trainer, TranslationTask(toy_config).eval())

    assert (tmp_path / "pictures" / "step_000125.png").read_bytes() == b"png"
    assert "125" in seen["title"]
    assert len(seen["panels"]) == len(seen["names"]) == len(callback.rows) == 5
    for row, panels in zip(callback.rows, seen["panels"], strict=True):
        x, y, _, x_hat, error = (panel.image for panel in panels)
        np.testing.assert_array_equal(x, store.array("flair")[row])
        np.testing.assert_array_equal(y, store.array("t2")[row])
        np.testing.assert_allclose(error, (x - x_hat) ** 2)
    assert seen["panels"][-1][4].outlines[0][1].any()


@pytest.mark.parametrize(("zero", "module"), [(False, "task"), (True, "other")])
def test_only_the_first_process_draws(phantom_store, toy_config, tmp_path, zero, module):
    callback = PictureCallback(phantom_store, tmp_path)

    class Other(Trainer):
        is_global_zero = zero
        global_step = 1

    callback.on_validation_end(Other, TranslationTask(toy_config) if module == "task" else None)
    assert not (tmp_path / "pictures").exists()
