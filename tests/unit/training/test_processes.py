"""Which process saves and speaks, when launchers and schedulers have left their variables behind."""

import pytest
from interrupted import CPU, change
from lightning.pytorch.utilities import rank_zero_only

from mmccd.errors import ConfigError
from mmccd.training import processes
from mmccd.training.processes import check_launch, environment, is_first, started_alone
from mmccd.training.train import train


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch):
    """What is kept for the life of a process is looked up again."""
    monkeypatch.setattr(rank_zero_only, "rank", 0, raising=False)
    for kept in (started_alone, processes._found):
        kept.cache_clear()
    yield
    for kept in (started_alone, processes._found):
        kept.cache_clear()


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


def test_in_an_interactive_job_srun_is_still_believed(monkeypatch):
    """Lightning takes each of its processes for the only one there."""
    names = {"NTASKS": "2", "NTASKS_PER_NODE": "2", "STEP_NUM_TASKS": "2", "JOB_NAME": "bash", "PROCID": "1"}
    for name, value in names.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    (place,) = environment()
    assert (place.global_rank(), place.world_size()) == (1, 2)


NODES = {"MASTER_ADDR": "node1", "MASTER_PORT": "29500"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
SRUN = {"SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2"}


@pytest.mark.parametrize(
    ("variables", "num_nodes", "devices", "each"),
    [
        ({}, 1, "auto", None),
        ({}, 1, "2", None),
        ({"NODE_RANK": "0"}, 1, "auto", None),
        (NODES | {"NODE_RANK": "1"}, 2, "1", None),
        (NODES | {"NODE_RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}, 2, "2", None),  # which Lightning starts
        (TORCHRUN, 2, "auto", 2),
        (TORCHRUN, 2, "2", 2),
        (SRUN, 2, "auto", 2),
    ],
)
def test_launches_that_fit(monkeypatch, variables, num_nodes, devices, each):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert check_launch(num_nodes, devices) == each


@pytest.mark.parametrize(
    ("variables", "num_nodes", "devices", "error", "hint"),
    [
        ({}, 2, "1", "--num-nodes is 2, and MASTER_ADDR, MASTER_PORT, NODE_RANK not set", "NODE_RANK from 0 to N - 1"),
        (NODES, 2, "1", "and NODE_RANK not set", "NODE_RANK from 0"),
        (NODES | {"NODE_RANK": "2"}, 2, "1", "NODE_RANK is '2', expected a number from 0 to 1", "of the first"),
        (NODES | {"NODE_RANK": "-1"}, 2, "1", "NODE_RANK is '-1', expected", "of the first"),
        (NODES | {"NODE_RANK": "0", "MASTER_PORT": "http"}, 2, "1", "MASTER_PORT is 'http', expected", "of the first"),
        (NODES | {"NODE_RANK": "0", "WORLD_SIZE": "8"}, 2, "1", "WORLD_SIZE is 8, expected 2 nodes of 1 each", "unset"),
        (NODES | {"NODE_RANK": "1"}, 1, "1", "NODE_RANK is 1, expected 0 with --num-nodes 1", "unset NODE_RANK"),
        (NODES | {"RANK": "0", "WORLD_SIZE": "2"}, 1, "1", "RANK is 0 of 2", "several-devices.md"),
        (
            TORCHRUN,
            1,
            "auto",
            "torchrun started 2 on each of 2 nodes; expected auto on each of 1",
            "--num-nodes 2 --dev",
        ),
        (TORCHRUN, 2, "4", "torchrun started 2 on each of 2 nodes; expected 4 on each of 2", "--devices 2"),
        (SRUN, 1, "auto", "srun started 2 on each of 2 nodes", "--num-nodes 2"),
        (SRUN | {"SLURM_STEP_NUM_TASKS": "3"}, 2, "auto", "srun started 3 tasks on 2 nodes", "--ntasks-per-node"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, 1, "auto", "mpirun started 2 processes", "several-devices.md"),
    ],
)
def test_launches_that_would_wait_for_ever_are_refused(monkeypatch, variables, num_nodes, devices, error, hint):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        check_launch(num_nodes, devices)
    assert error in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("variables", "rank", "first"),
    [
        (NODES | {"NODE_RANK": "1"}, 0, False),
        (NODES | {"NODE_RANK": "0"}, 0, True),
        (NODES | {"NODE_RANK": "1", "LOCAL_RANK": "0", "WORLD_SIZE": "4"}, 0, False),
        (TORCHRUN | {"GROUP_RANK": "0"}, 1, False),
        (TORCHRUN | {"NODE_RANK": "7", "RANK": "0"}, 0, True),  # left over
    ],
)
def test_of_all_nodes_one_process_is_the_first(monkeypatch, variables, rank, first):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rank_zero_only, "rank", rank)
    assert is_first() == first
