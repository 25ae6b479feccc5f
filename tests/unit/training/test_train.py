"""Training that is reproducible, resumable, and leaves what it should."""

import csv
import errno
import json
import re
import weakref
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from interrupted import CPU, KilledError, change, kill_at, steps_into
from lightning.pytorch.callbacks import EMAWeightAveraging

from mmccd.data.healthy import HealthyTissue
from mmccd.data.store import Store
from mmccd.errors import ConfigError, DataError, MmccdWarning
from mmccd.model.folder import load_model
from mmccd.model.losses import logged_losses
from mmccd.training.kept import KeptArrays
from mmccd.training.pictures import PictureCallback
from mmccd.training.task import TranslationTask
from mmccd.training.train import train


@pytest.fixture(scope="module")
def uninterrupted(phantom_store, six_steps, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "model"
    return output, train(phantom_store, output, six_steps, hardware=CPU)


# --- reproducible ---


def test_the_same_seed_gives_the_same_weights(phantom_store, toy_config, trained_folder, tmp_path):
    again = train(phantom_store, tmp_path / "again", toy_config, hardware=CPU)
    assert again.card.weights_sha256 == load_model(trained_folder).card.weights_sha256
    other = train(phantom_store, tmp_path / "other", toy_config.model_copy(update={"seed": 1}), hardware=CPU)
    assert other.card.weights_sha256 != again.card.weights_sha256


@pytest.mark.parametrize("step", [1, 3, 5])
def test_an_interrupted_run_ends_with_the_same_weights(phantom_store, six_steps, uninterrupted, tmp_path, step):
    """Checkpoints are written after steps 2, 4 and 6: before the first, and twice between two."""
    whole_folder, whole = uninterrupted
    output = tmp_path / "model"
    with pytest.raises(KilledError):
        train(phantom_store, output, six_steps, hardware=CPU, progress=kill_at(step))
    assert not (output / "card.json").exists()
    assert (output / "training" / "last.ckpt").exists() == (step > 1)
    seen = []

    resumed = train(phantom_store, output, six_steps, resume=True, hardware=CPU, progress=steps_into(seen))

    assert resumed.card.weights_sha256 == whole.card.weights_sha256
    assert resumed.card.threshold == whole.card.threshold
    assert [told[1:] for told in seen] == [(done, 6) for done in range(step // 2 * 2 + 1, 7)]
    pictures = sorted(path.name for path in (output / "training" / "pictures").iterdir())
    assert pictures == sorted(path.name for path in (whole_folder / "training" / "pictures").iterdir())
    curves = logged_losses(output / "training")  # also of the steps before the interruption
    assert curves["validation/forward"][0] == [2, 4, 6]
    assert curves == logged_losses(whole_folder / "training")


def test_a_run_killed_after_its_last_step_is_finished_by_resume(
    phantom_store, six_steps, uninterrupted, tmp_path, monkeypatch
):
    def killed(*_, **__):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr("mmccd.training.train.calibration_of", killed)
        with pytest.raises(KilledError):
            train(phantom_store, tmp_path / "model", six_steps, hardware=CPU)
    resumed = train(phantom_store, tmp_path / "model", six_steps, resume=True, hardware=CPU)
    assert resumed.card.weights_sha256 == uninterrupted[1].card.weights_sha256
    assert resumed.card.training.steps == 6


def test_a_run_killed_in_its_calibration_goes_on_there(phantom_store, six_steps, uninterrupted, tmp_path):
    """With a sampler of many evaluations this is hours; what was done is kept until the model is written."""
    made = []

    def kill(what, done, _total):
        if what == "calibrating" and done:
            raise KilledError

    class Counted(KeptArrays):
        def get(self, name, make):
            return super().get(name, lambda: (made.append(name), make())[1])

    output = tmp_path / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmccd.training.train.KeptArrays", Counted)
        with pytest.raises(KilledError):
            train(phantom_store, output, six_steps, hardware=CPU, progress=kill)
        assert len(made) == 1
        assert len(list((output / "training" / "calibration").rglob("*.npy"))) == 1
        resumed = train(phantom_store, output, six_steps, resume=True, hardware=CPU)
    assert len(made) == len(set(made))
    assert resumed.card.threshold == uninterrupted[1].card.threshold
    assert not (output / "training" / "calibration").exists()


def test_the_cost_of_the_calibration_is_said_before_it_begins(phantom_store, toy_config, tmp_path):
    told = []
    train(phantom_store, tmp_path, change(toy_config, steps=2), hardware=CPU, progress=lambda *one: told.append(one))
    (first, *_), slices = told[2], len(phantom_store.rows("validation", healthy=True))
    assert first.startswith(f"calibrating: 2 network evaluations for each of {slices} slices, about ")
    assert told[2][1:] == (0, slices)
    assert told[-1][1:] == (slices, slices)


def test_resume_without_a_checkpoint_begins(phantom_store, toy_config, trained_folder, tmp_path):
    model = train(phantom_store, tmp_path / "new", toy_config, resume=True, hardware=CPU)
    assert model.card.weights_sha256 == load_model(trained_folder).card.weights_sha256


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_what_is_saved_is_the_running_average(phantom_store, toy_config, tmp_path, monkeypatch, decay):
    raw = []

    class Recorder(EMAWeightAveraging):
        def on_train_batch_end(self, trainer, pl_module, *rest):
            super().on_train_batch_end(trainer, pl_module, *rest)
            raw.append({name: w.detach().clone() for name, w in pl_module.method.state_dict().items()})

    monkeypatch.setattr("mmccd.training.fitting.EMAWeightAveraging", Recorder)
    saved = train(phantom_store, tmp_path, change(toy_config, ema_decay=decay), hardware=CPU).method.state_dict()

    assert len(raw) == 4
    moved = max((raw[-1][name] - raw[0][name]).abs().max().item() for name in saved)
    assert moved > 1e-3
    for name, weight in saved.items():
        average = raw[0][name]
        for later in raw[1:]:
            average = decay * average + (1 - decay) * later[name]
        torch.testing.assert_close(weight, average, rtol=1e-5, atol=1e-6)
    if decay:
        assert max((saved[name] - raw[-1][name]).abs().max().item() for name in saved) > 1e-4


def test_pictures_show_the_running_average(phantom_store, toy_config, tmp_path, monkeypatch):
    seen = []

    class Recorder(PictureCallback):
        def on_validation_epoch_end(self, trainer, pl_module):
            seen.append({name: weight.clone() for name, weight in pl_module.method.state_dict().items()})

    monkeypatch.setattr("mmccd.training.fitting.PictureCallback", Recorder)
    saved = train(phantom_store, tmp_path, change(toy_config, ema_decay=0.5), hardware=CPU).method.state_dict()

    assert len(seen) == 2
    assert all(torch.equal(weight, saved[name]) for name, weight in seen[-1].items())


def test_resume_with_another_threshold_is_not_refused(phantom_store, six_steps, uninterrupted, tmp_path):
    """What is made after the training decides no weight, and may have another default in a later version."""
    with pytest.raises(KilledError):
        train(phantom_store, tmp_path, six_steps, hardware=CPU, progress=kill_at(3))
    scoring = six_steps.scoring.model_copy(update={"false_positive_rate": 0.2})
    other = six_steps.model_copy(update={"scoring": scoring})
    resumed = train(phantom_store, tmp_path, other, resume=True, hardware=CPU)
    assert resumed.card.threshold.value < uninterrupted[1].card.threshold.value
    assert resumed.card.threshold.criterion.startswith("0.2 of the brain")
    for name, tensor in uninterrupted[1].method.state_dict().items():
        assert torch.equal(tensor, resumed.method.state_dict()[name])


# --- out of memory ---


@contextmanager
def memory_for(batch_size, *, steps=0):
    """A device on which larger batches run out of memory, after so many steps."""
    training_step, alive = TranslationTask.training_step, weakref.WeakSet()

    def limited(self, batch, batch_idx):
        alive.add(self)
        assert len(alive) == 1  # else the attempt before still holds its memory
        if len(batch["source"]) > batch_size and self.global_step >= steps:
            raise torch.OutOfMemoryError
        return training_step(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TranslationTask, "training_step", limited)
        yield


@pytest.mark.parametrize(("fits", "steps", "tried"), [(1, 0, [2, 1]), (2, 1, [2])])
def test_a_batch_beyond_memory_is_halved(phantom_store, toy_config, tmp_path, fits, steps, tried):
    with memory_for(fits, steps=steps), pytest.warns(MmccdWarning, match="out of memory") as warned:
        model = train(phantom_store, tmp_path / "model", toy_config, hardware=CPU)

    said = " ".join(str(each.message) for each in warned)
    assert re.findall(r"training\.batch_size=(\d+)", said) == [str(size) for size in tried]
    direct = train(phantom_store, tmp_path / "direct", change(toy_config, batch_size=fits), hardware=CPU)
    assert model.config == direct.config
    assert model.card.weights_sha256 == direct.card.weights_sha256
    left, expected = (sorted(path.parent.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*.*"))
                      for name in ("model", "direct"))  # fmt: skip
    assert left == expected


def test_memory_that_runs_out_after_a_checkpoint_loses_nothing(phantom_store, six_steps, uninterrupted, tmp_path):
    with memory_for(1, steps=3), pytest.raises(ConfigError, match="out of memory at step 3, in batches of 4") as caught:
        train(phantom_store, tmp_path, six_steps, hardware=CPU)
    assert "training.batch_size=2" in caught.value.hint
    assert (
        train(phantom_store, tmp_path, six_steps, resume=True, hardware=CPU).card.weights_sha256
        == uninterrupted[1].card.weights_sha256
    )


def test_one_slice_that_is_beyond_memory_is_refused(phantom_store, toy_config, tmp_path):
    with memory_for(0), pytest.raises(ConfigError, match="in batches of 1") as caught:
        train(phantom_store, tmp_path, change(toy_config, batch_size=1), hardware=CPU)
    assert "smaller network" in caught.value.hint


def test_the_batch_is_not_halved_on_several_devices(phantom_store, toy_config, tmp_path, monkeypatch):
    monkeypatch.setattr("lightning.pytorch.Trainer.world_size", 2)
    with memory_for(0), pytest.raises(ConfigError, match="out of memory"):
        train(phantom_store, tmp_path, toy_config, hardware=CPU)


def test_a_batch_that_was_halved_stays_when_the_training_resumes(phantom_store, six_steps, tmp_path):
    with memory_for(2), pytest.warns(MmccdWarning, match="out of memory"), pytest.raises(KilledError):
        train(phantom_store, tmp_path / "model", six_steps, hardware=CPU, progress=kill_at(3))
    with pytest.warns(MmccdWarning, match=r"going on with training\.batch_size=2 instead of 4"):
        resumed = train(phantom_store, tmp_path / "model", six_steps, resume=True, hardware=CPU)
    direct = train(phantom_store, tmp_path / "direct", change(six_steps, batch_size=2), hardware=CPU)
    assert resumed.config == direct.config
    assert resumed.card.weights_sha256 == direct.card.weights_sha256


# --- what is left behind ---


def test_logs_and_pictures_are_there(trained_folder):
    training = trained_folder / "training"
    assert [path.name for path in sorted((training / "pictures").iterdir())] == ["step_000002.png", "step_000004.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (training / "pictures").iterdir())
    assert (training / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert any(path.name.startswith("events.out") for path in (training / "tensorboard").iterdir())
    with (training / "log_from_step_000000" / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    logged = {key for row in rows for key, value in row.items() if value}
    assert {"train/forward", "train/backward", "validation/forward", "validation/cycle", "step"} <= logged


def test_the_card_says_what_was_done_and_names_no_place(trained_folder, phantom_store, toy_config):
    card = json.loads((trained_folder / "card.json").read_text())
    assert card["config"] == toy_config.model_dump(mode="json")
    assert card["grid"] == {"protocol": "volume", "size_px": 48, "pixel_mm": 5.0}
    assert card["training"]["steps"] == 4
    assert card["training_data"]["store_digest"] == phantom_store.digest
    known = phantom_store.scans_sha256(("train", "validation"), "flair")
    assert len(known) == 6
    assert card["training_data"]["scans_sha256"] == known
    seen = {"subjects": 5, "healthy_slices": len(phantom_store.rows("train")), "seen_by_height": [1.0] * 10}
    assert card["training_data"]["train"] == seen  # nobody who trains has a lesion
    assert card["training_data"]["validation"]["subjects"] == 1
    assert card["threshold"]["value"] > 0
    text = json.dumps(card)
    assert str(Path.home()) not in text
    assert str(phantom_store.path) not in text


def test_a_trained_network_has_learnt_something(trained_folder):
    with (trained_folder / "training" / "log_from_step_000000" / "metrics.csv").open(newline="") as stream:
        losses = [float(row["validation/forward"]) for row in csv.DictReader(stream) if row["validation/forward"]]
    assert len(losses) == 2
    assert losses[1] < losses[0]


class Lesioned(Store):
    """The patients of the phantom are there to train and to validate on."""

    @property
    def index(self):
        table, parts = super().index, {"Phantom_0007": "train", "Phantom_0008": "validation"}
        return table.assign(split=table["subject"].map(parts).fillna(table["split"]))


def test_healthy_regions_of_patients_teach_and_decide(phantom_store, toy_config, tmp_path):
    store = Lesioned(phantom_store.path, phantom_store.manifest)
    model = train(store, tmp_path / "regions", change(toy_config, healthy="regions"), hardware=CPU)
    tissue = HealthyTissue(store, 13)
    parts = (model.card.training_data.train, model.card.training_data.validation)
    assert [part.healthy_slices for part in parts] == [len(tissue.rows("train")), len(tissue.rows("validation"))]
    assert len(tissue.rows("validation")) > len(store.rows("validation", healthy=True))
    for threshold in (model.card.threshold, model.card.scan_threshold, model.card.relative_threshold):
        assert "healthy regions (more than 13 mm from a lesion)" in threshold.guarantee
        assert threshold.slices == len(tissue.rows("validation"))
    slices = train(store, tmp_path / "slices", toy_config, hardware=CPU)
    assert slices.card.weights_sha256 != model.card.weights_sha256
    assert "brain in healthy slices of" in slices.card.threshold.guarantee


def test_precision_follows_the_setting(phantom_store, toy_config, tmp_path, monkeypatch):
    config = change(toy_config, steps=1, precision="bf16")
    assert "bf16" in train(phantom_store, tmp_path / "a", config, hardware=CPU).card.provenance["precision"]
    monkeypatch.setattr("mmccd.system.devices.has_bf16", lambda device: False)
    config = change(toy_config, steps=1, precision="auto")
    assert train(phantom_store, tmp_path / "b", config, hardware=CPU).card.provenance["precision"] == "32-true"


def test_ctrl_c_reaches_the_caller(phantom_store, toy_config, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(phantom_store, tmp_path, toy_config, hardware=CPU, progress=interrupt)


@pytest.mark.parametrize(
    ("error", "complaint"),
    [
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "worker died at step 1: .*Killed"),
        (ConnectionResetError(errno.ECONNRESET, "reset by peer"), "worker died at step 1: .*reset by peer"),
        (EOFError("half a batch"), "worker died at step 1: half a batch"),
        (OSError(errno.ENOSPC, "No space left on device"), "cannot write .*No space left"),
    ],
)
def test_a_dead_worker_is_told_from_a_full_disk(phantom_store, toy_config, tmp_path, monkeypatch, error, complaint):
    training_step = TranslationTask.training_step

    def failing(self, batch, batch_idx):
        if self.global_step == 1:
            raise error
        return training_step(self, batch, batch_idx)

    monkeypatch.setattr(TranslationTask, "training_step", failing)
    with pytest.raises(DataError, match=complaint):
        train(phantom_store, tmp_path, toy_config, hardware=CPU)
