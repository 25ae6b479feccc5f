"""Trainings that stop early or diverge."""

import math
from contextlib import contextmanager

import pytest
import torch
from interrupted import CPU, KilledError, change, kill_at, steps_into

from mmccd.errors import ConfigError
from mmccd.training.task import TranslationTask
from mmccd.training.train import train

# --- stopped early ---


@contextmanager
def scripted_errors(later=1.0):
    """The healthy cycle error after 2, 4, ... steps: lowest at 4, where 6 is higher and 8 is the same."""
    errors = {2: 3.0, 4: 1.0, 6: 2.0, 8: later, 10: 0.5, 12: 0.1}

    def validation_step(self, batch, batch_idx):
        self.log("validation/cycle", torch.tensor(errors.get(self.global_step, 9.0)), batch_size=len(batch["source"]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TranslationTask, "validation_step", validation_step)
        yield


@pytest.fixture(scope="module")
def patient(toy_config):
    return change(toy_config, steps=12, patience=2)


@pytest.fixture(scope="module")
def stopped(phantom_store, patient, tmp_path_factory):
    """A model whose training stopped early, and what was told meanwhile."""
    output, told = tmp_path_factory.mktemp("stopped") / "model", []
    with scripted_errors():
        return train(phantom_store, output, patient, hardware=CPU, progress=steps_into(told)), told


def test_training_stops_when_the_healthy_error_no_longer_falls(stopped):
    model, told = stopped
    assert model.card.training.as_json() == {"steps": 8, "validation/cycle": 1.0}
    assert [step[1:] for step in told] == [*((done, 12) for done in range(1, 9)), (8, 8)]
    assert told[-1][0].startswith("stopped early at step 8")


@pytest.mark.parametrize(("patience", "later", "steps"), [(1, 1.0, 6), (3, math.nan, 12), (3, 1.0, 12)])
def test_a_new_lowest_error_renews_the_patience(phantom_store, patient, tmp_path, patience, later, steps):
    told = []
    with scripted_errors(later):
        model = train(
            phantom_store, tmp_path, change(patient, patience=patience), hardware=CPU,
            progress=steps_into(told),
        )  # fmt: skip
    assert model.card.training.steps == steps
    assert ("stopped early" in told[-1][0]) == (steps < 12)


def test_an_interrupted_run_stops_where_it_would_have(phantom_store, patient, stopped, tmp_path):
    """The last checkpoint is that of step 6, whose error had not fallen."""
    with scripted_errors():
        with pytest.raises(KilledError):
            train(phantom_store, tmp_path, patient, hardware=CPU, progress=kill_at(7))
        resumed = train(phantom_store, tmp_path, patient, resume=True, hardware=CPU)
    assert resumed.card.training == stopped[0].card.training
    assert resumed.card.weights_sha256 == stopped[0].card.weights_sha256


def test_a_run_killed_after_it_stopped_is_finished_by_resume(phantom_store, patient, stopped, tmp_path, monkeypatch):
    def killed(*_, **__):
        raise KilledError

    seen = []
    with scripted_errors():
        with monkeypatch.context() as patch:
            patch.setattr("mmccd.training.train.calibration_of", killed)
            with pytest.raises(KilledError):
                train(phantom_store, tmp_path, patient, hardware=CPU)
        resumed = train(phantom_store, tmp_path, patient, resume=True, hardware=CPU, progress=steps_into(seen))
    assert seen == []
    assert resumed.card.training.steps == 8
    assert resumed.card.weights_sha256 == stopped[0].card.weights_sha256


# --- diverged ---


def check_refused(store, config, output, message):
    with pytest.raises(ConfigError, match=message) as caught:
        train(store, output, config, resume=True, hardware=CPU)
    assert "training.learning_rate" in caught.value.hint
    assert not (output / "card.json").exists()


def test_a_training_that_diverged_is_refused(phantom_store, toy_config, tmp_path, monkeypatch):
    training_step = TranslationTask.training_step

    def diverging(self, batch, batch_idx):
        return training_step(self, batch, batch_idx) * (math.nan if self.global_step == 3 else 1)

    monkeypatch.setattr(TranslationTask, "training_step", diverging)
    message = "diverged: after step 4 these are not finite: weights, validation/forward"
    check_refused(phantom_store, toy_config, tmp_path, message)
    check_refused(phantom_store, toy_config, tmp_path, message)  # also where only the model file was missing


def test_a_healthy_error_that_is_no_number_ends_no_sooner_and_is_refused(phantom_store, patient, tmp_path):
    """It counts as one that has not fallen, so that patience ends the training after step 8."""
    with scripted_errors(math.nan):
        check_refused(phantom_store, patient, tmp_path, "after step 8 these are not finite: validation/cycle$")
