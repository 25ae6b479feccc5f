"""Trainings that cannot work are refused."""

import json
import shutil

import pytest
from interrupted import CPU, KilledError, change, kill_at

from mmccd.data.store import Store, open_store
from mmccd.errors import ConfigError, DataError, ModelError
from mmccd.model.config import load_config
from mmccd.training.train import Hardware, train


def test_resume_with_other_settings_is_refused(phantom_store, six_steps, tmp_path):
    with pytest.raises(KilledError):
        train(phantom_store, tmp_path, six_steps, hardware=CPU, progress=kill_at(3))
    with pytest.raises(ConfigError, match="unfinished training") as caught:
        train(phantom_store, tmp_path, six_steps, hardware=CPU)
    assert "--resume" in caught.value.hint
    other = change(six_steps, learning_rate=1e-5).model_copy(update={"seed": 9})
    with pytest.raises(ConfigError, match="another seed, training"):
        train(phantom_store, tmp_path, other, resume=True, hardware=CPU)
    with pytest.raises(ConfigError, match="another training"):  # only a larger batch is a halved one's origin
        train(phantom_store, tmp_path, change(six_steps, batch_size=2), resume=True, hardware=CPU)


def test_resume_with_another_store_is_refused(phantom_store, six_steps, tmp_path):
    with pytest.raises(KilledError):
        train(phantom_store, tmp_path / "model", six_steps, hardware=CPU, progress=kill_at(3))
    other = shutil.copytree(phantom_store.path, tmp_path / "store")
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["arrays"]["flair"]["sha256"] = "0" * 64
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError):
        train(open_store(other), tmp_path / "model", six_steps, resume=True, hardware=CPU)


def test_resume_from_a_damaged_checkpoint_is_refused(phantom_store, six_steps, tmp_path):
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "last.ckpt").write_bytes(b"PK not a checkpoint")
    with pytest.raises(ModelError, match="damaged"):
        train(phantom_store, tmp_path, six_steps, resume=True, hardware=CPU)


def test_a_folder_with_a_model_is_refused(phantom_store, toy_config, model_folder):
    with pytest.raises(ConfigError, match="already holds a model"):
        train(phantom_store, model_folder, toy_config, hardware=CPU)


class Without(Store):
    """A store without healthy slices in one part."""

    part = "validation"

    def rows(self, split, *, healthy=None):
        found = super().rows(split, healthy=healthy)
        return found[:0] if split == self.part else found


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_store_without_healthy_slices_is_refused(phantom_store, toy_config, tmp_path, monkeypatch, part):
    monkeypatch.setattr(Without, "part", part)
    with pytest.raises(DataError, match=f"no healthy {part} slice"):
        train(Without(phantom_store.path, phantom_store.manifest), tmp_path / "model", toy_config, hardware=CPU)
    assert not (tmp_path / "model").exists()


class LesionedAlone(Store):
    """The slices with a lesion of the glioma patient are all that there is to train on."""

    @property
    def index(self):
        table = super().index.copy()
        lesioned = (table["subject"] == "Phantom_0007") & ~table["healthy"]
        return table.assign(split=table["split"].mask(table["split"] == "train", "test").mask(lesioned, "train"))


def test_a_margin_that_leaves_no_region_is_refused(phantom_store, toy_config, tmp_path):
    store = LesionedAlone(phantom_store.path, phantom_store.manifest)
    regions = change(toy_config, healthy="regions", lesion_margin_mm=200)
    with pytest.raises(DataError, match=r"no train slice .* more than 200 mm from a lesion") as caught:
        train(store, tmp_path / "model", regions, hardware=CPU)
    assert "smaller training.lesion_margin_mm" in caught.value.hint
    with pytest.raises(DataError, match="no healthy train slice") as caught:
        train(store, tmp_path / "model", toy_config, hardware=CPU)
    assert "margin" not in caught.value.hint


def test_slices_that_the_network_cannot_halve_are_refused(phantom_store, toy_settings, tmp_path):
    settings = {"network.channels": [16] * 4, "network.attention": [False] * 4, "network.patch_px": 4}
    config = load_config("tiny", toy_settings | settings)
    with pytest.raises(ConfigError, match=r"slices of 48 px do not fit .* multiple of 32"):
        train(phantom_store, tmp_path, config, hardware=CPU)


def test_modalities_that_the_store_lacks_are_refused(phantom_store, toy_config, tmp_path):
    config = toy_config.model_copy(update={"targets": ("t1",)})
    with pytest.raises(ConfigError, match="no modality 't1'"):
        train(phantom_store, tmp_path, config, hardware=CPU)


@pytest.mark.parametrize("name", ["lesion", "brain"])
def test_masks_are_no_modalities(phantom_store, toy_config, tmp_path, name):
    config = change(toy_config, steps=1).model_copy(update={"source": name})
    with pytest.raises(ConfigError):
        train(phantom_store, tmp_path, config, hardware=CPU)


@pytest.mark.parametrize(
    "hardware",
    [
        Hardware("cpu", devices="two"),
        pytest.param(
            Hardware("cpu", strategy="nonsense"),
        ),
    ],
)
def test_hardware_that_lightning_does_not_know(phantom_store, toy_config, tmp_path, hardware):
    with pytest.raises(ConfigError):
        train(phantom_store, tmp_path, toy_config, hardware=hardware)


@pytest.mark.parametrize("resume", [False, True])
def test_a_store_is_no_folder_for_a_model(phantom_store, toy_settings, resume):
    before = sorted(phantom_store.path.iterdir())
    with pytest.raises(ConfigError, match="is a prepared store, a model needs a folder of its own"):
        train(phantom_store, phantom_store.path, load_config("tiny", toy_settings), resume=resume)
    assert sorted(phantom_store.path.iterdir()) == before
