"""Which process saves and speaks, when launchers and schedulers have left their variables behind."""

import pytest
from interrupted import CPU, change
from lightning.pytorch.utilities import rank_zero_only

from mmccd.errors import ConfigError
from mmccd.training.processes import environment, is_first, started_alone
from mmccd.training.train import train


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch):
    """What is kept for the life of a process is looked up again."""
    monkeypatch.setattr(rank_zero_only, "rank", 0, raising=False)
    started_alone.cache_clear()
    yield
    started_alone.cache_clear()


@pytest.mark.parametrize("left", ["RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK"])
def test_a_rank_that_is_left_over_is_forgotten(monkeypatch, left):
    monkeypatch.setenv(left, "1")
    monkeypatch.setattr(rank_zero_only, "rank", 1)

    assert is_first()
    assert rank_zero_only.rank == 0


@pytest.mark.parametrize("count", ["WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"])
def test_one_of_several_keeps_its_rank(monkeypatch, count):
    monkeypatch.setenv(count, "2")
    monkeypatch.setattr(rank_zero_only, "rank", 1)

    assert not is_first()

    monkeypatch.delenv(count)  # as Lightning does at the end of a training
    assert not is_first()


@pytest.mark.parametrize(
    ("variables", "own"),
    [
        ({}, False),
        ({"SLURM_NTASKS": "2"}, True),
        ({"SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "1"}, True),
        ({"SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2"}, False),
        ({"SLURM_NTASKS": "2", "TORCHELASTIC_RUN_ID": "none"}, False),
    ],
)
def test_a_job_of_several_tasks_without_srun_is_one_process(monkeypatch, variables, own):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert bool(environment()) == own


def test_training_inside_a_job_of_two_tasks(phantom_store, toy_config, tmp_path, monkeypatch):
    for name, value in {"JOB_ID": "1", "JOB_NAME": "train", "NTASKS": "2", "PROCID": "1"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setattr(rank_zero_only, "rank", 1)

    train(phantom_store, tmp_path, change(toy_config, steps=1), hardware=CPU)

    assert (tmp_path / "card.json").is_file()
    assert (tmp_path / "training" / "last.ckpt").is_file()


def test_tasks_of_srun_that_do_not_fit_are_refused(phantom_store, toy_config, tmp_path, monkeypatch):
    for name, value in {"JOB_ID": "1", "JOB_NAME": "train", "NTASKS": "2", "STEP_NUM_TASKS": "2"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)

    with pytest.raises(ConfigError, match="--ntasks=2") as caught:
        train(phantom_store, tmp_path, change(toy_config, steps=1), hardware=CPU)

    assert "--ntasks-per-node" in caught.value.hint
