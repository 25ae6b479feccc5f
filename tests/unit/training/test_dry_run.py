"""What a training will cost: measured by its own steps, and nothing is left behind."""

from dataclasses import replace

import pytest
import torch
from interrupted import CPU, KilledError, change, kill_at

from mmccd.errors import ConfigError, MmccdWarning
from mmccd.model.folder import load_model
from mmccd.training.calibration import healthy_tissue
from mmccd.training.dry_run import TIMED, WARM_UP, Scoring, dry_run, scoring_of
from mmccd.training.fitting import Hardware
from mmccd.training.task import TranslationTask
from mmccd.training.train import train


@pytest.fixture(scope="module")
def cost(phantom_store, toy_config, tmp_path_factory):
    return dry_run(phantom_store, tmp_path_factory.mktemp("dry") / "model", toy_config, hardware=CPU)


@pytest.fixture(scope="module")
def trained(phantom_store, toy_config, tmp_path_factory):
    """Of this module alone: what others share has pictures, which are not drawn here."""
    output = tmp_path_factory.mktemp("real") / "model"
    train(phantom_store, output, toy_config, hardware=CPU)
    return output


def test_it_runs_the_steps_of_the_training_and_writes_nothing(phantom_store, toy_config, tmp_path, monkeypatch):
    sizes, looked_at = [], []
    step, validation = TranslationTask.training_step, TranslationTask.validation_step

    def training_step(task, batch, number):
        sizes.append(len(batch["source"]))
        return step(task, batch, number)

    def validation_step(task, batch, number):
        looked_at.append(len(batch["source"]))
        return validation(task, batch, number)

    monkeypatch.setattr(TranslationTask, "training_step", training_step)
    monkeypatch.setattr(TranslationTask, "validation_step", validation_step)
    dry_run(phantom_store, tmp_path / "model", toy_config, hardware=CPU)
    assert sizes == [4] * (WARM_UP + TIMED)
    assert sum(looked_at) == 4  # as few as the real one can afford between two of its validations
    assert list(tmp_path.iterdir()) == []


def test_sizes_are_those_of_the_real_training(cost, trained):
    model = load_model(trained)
    assert cost.parameters == model.card.parameters
    real = (trained / "training" / "last.ckpt").stat().st_size
    assert cost.checkpoint_bytes == pytest.approx(real, rel=0.01)
    assert cost.model_bytes == pytest.approx((trained / "model.safetensors").stat().st_size, rel=0.05)
    assert cost.calibration_slices == model.card.training_data.validation.healthy_slices


def test_twice_the_batch_takes_twice_the_operations(phantom_store, toy_config, cost, tmp_path):
    double = dry_run(phantom_store, tmp_path, change(toy_config, batch_size=8), hardware=CPU)
    assert cost.flops_per_step > 0
    assert double.flops_per_step == 2 * cost.flops_per_step


def test_the_sum_is_that_of_the_parts(cost):
    by_hand = replace(
        cost, steps=100, steps_done=40, validations_left=3, start_s=1.0, step_s=0.5, validation_s=2.0,
        scoring=Scoring(count_s=0.1, errors_s=0.2, smoothing_s=0.3, intensity_s=0.4),
        calibration_slices=10, scan_slices=20,
    )  # fmt: skip
    assert by_hand.training_s == pytest.approx(1 + 60 * 0.5 + 3 * 2)
    assert by_hand.calibration_s == pytest.approx(10 * 1.0)
    assert by_hand.whole_s == pytest.approx(47)
    assert by_hand.scan_s == pytest.approx(20 * 0.5)
    table = dict(by_hand.table())
    assert table["steps left"] == "60 of 4 slices each, 40 of 100 are done"
    assert (table["steps per second"], table["whole run"]) == ("2", "47 s")
    assert table["one scan to score"] == "10 s, 20 slices"


def test_every_time_was_measured(cost):
    assert min(cost.start_s, cost.step_s, cost.validation_s, cost.scoring.errors_s, cost.scoring.intensity_s) > 0
    assert cost.scoring.count_s == 0  # squared error counts no evidence
    assert (cost.steps_left, cost.validations_left, cost.threads) == (4, 2, torch.get_num_threads())
    assert 0.05 < cost.peak_memory_gb < 50


def test_evidence_takes_a_second_pass(phantom_store, toy_config, tmp_path):
    scoring = toy_config.scoring.model_copy(update={"error": "tail"})
    config = toy_config.model_copy(update={"scoring": scoring})
    method = TranslationTask(config, phantom_store.size_px).method
    found = scoring_of(method, healthy_tissue(phantom_store, config), config, torch.device("cpu"))
    assert found.count_s > 0
    assert found.calibration_s == pytest.approx(found.count_s + found.slice_s + found.intensity_s)


def test_of_an_unfinished_training_it_tells_what_is_left(phantom_store, six_steps, tmp_path):
    with pytest.raises(KilledError):
        train(phantom_store, tmp_path, six_steps, hardware=CPU, progress=kill_at(3))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    cost = dry_run(phantom_store, tmp_path, six_steps, hardware=CPU)
    assert (cost.steps, cost.steps_done, cost.steps_left, cost.validations_left) == (6, 2, 4, 2)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    with pytest.raises(ConfigError, match="another seed"):
        dry_run(phantom_store, tmp_path, six_steps.model_copy(update={"seed": 9}), hardware=CPU)


def test_what_the_training_would_refuse_is_refused(phantom_store, toy_config, trained, tmp_path):
    with pytest.raises(ConfigError, match="already holds a model"):
        dry_run(phantom_store, trained, toy_config, hardware=CPU)
    with pytest.raises(ConfigError, match="no modality 't1'"):
        dry_run(phantom_store, tmp_path, toy_config.model_copy(update={"source": "t1"}), hardware=CPU)
    with pytest.raises(ConfigError, match="measures one device, not 2 devices"):
        dry_run(phantom_store, tmp_path, toy_config, hardware=Hardware(device="cpu", devices="2"))


def test_where_memory_is_short_half_the_batch_is_measured(phantom_store, toy_config, tmp_path, monkeypatch):
    step = TranslationTask.training_step

    def training_step(task, batch, number):
        if len(batch["source"]) > 2:
            raise torch.OutOfMemoryError
        return step(task, batch, number)

    monkeypatch.setattr(TranslationTask, "training_step", training_step)
    with pytest.warns(MmccdWarning, match="out of memory: training again with training.batch_size=2"):
        cost = dry_run(phantom_store, tmp_path, toy_config, hardware=CPU)
    assert cost.batch_size == 2
