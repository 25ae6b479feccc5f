"""Trainings of two processes, which meet by gloo on this machine as two nodes would: launched, refused and stopped."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from forked_commands import PATIENCE_S, check_complaint, rubbish, sha256

from mmccd.system.locks import sole_use

LEFT_OVER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
SLURM = {"JOB_ID": "1", "JOB_NAME": "train", "NTASKS": "2", "NTASKS_PER_NODE": "1", "NNODES": "2", "LOCALID": "0",
         "STEP_NUM_TASKS": "2", "STEP_NUM_NODES": "2"}  # fmt: skip


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


class Process:
    """One of several, or what starts them."""

    def __init__(self, arguments, log, variables):
        self.log = log
        kept = {name: value for name, value in os.environ.items() if name not in LEFT_OVER}
        with log.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *map(str, arguments)], stdout=stream, stderr=stream,
                env=kept | {"OMP_NUM_THREADS": "1"} | variables, start_new_session=True,
            )  # fmt: skip

    def said(self):
        return self.log.read_text()

    def wait_until_said(self, text):
        until = time.monotonic() + PATIENCE_S
        while text not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < until, self.said()
            time.sleep(0.01)

    def ended(self, within_s=PATIENCE_S):
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"hangs: {self.said()}")


@pytest.fixture
def begin(tmp_path):
    """A function that starts a process with variables of a launcher; what still runs at the end is killed."""
    begun = []

    def start(*arguments, **variables):
        begun.append(Process(arguments, tmp_path / f"{len(begun)}.log", variables))
        return begun[-1]

    yield start
    for one in begun:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()


def by_hand(begin, arguments):
    """As on each of two nodes."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    return [
        begin("mmccd", *arguments, "--num-nodes", 2, "--devices", 1, NODE_RANK=f"{node}", **place) for node in (0, 1)
    ]


def by_torchrun(begin, arguments):
    return [
        begin("torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}", "-m", "mmccd", *arguments)
    ]


def by_srun(begin, arguments):
    """With the variables that it sets."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    slurm = {f"SLURM_{name}": value for name, value in SLURM.items()} | place
    return [
        begin("mmccd", *arguments, "--num-nodes", 2, SLURM_PROCID=f"{node}", SLURM_NODEID=f"{node}", **slurm)
        for node in (0, 1)
    ]


def by_lightning(begin, arguments):
    return [begin("mmccd", *arguments, "--devices", 2, "--strategy", "ddp")]


@pytest.mark.parametrize(
    "launch",
    [by_torchrun, pytest.param(by_srun, marks=pytest.mark.slow), pytest.param(by_lightning, marks=pytest.mark.slow)],
)
def test_each_way_to_launch_trains_the_same_model(begin, training, tmp_path, launch):
    weights = []
    for name, way in (("nodes", by_hand), ("other", launch)):
        processes = way(begin, training(tmp_path / name))
        assert [one.ended() for one in processes] == [0] * len(processes), [one.said() for one in processes]
        weights.append(sha256(tmp_path / name / "model.safetensors"))
        assert rubbish(tmp_path / name) == []
        assert sum(one.said().count("model      ") for one in processes) == 1
    assert weights[0] == weights[1]


def test_where_the_folder_is_in_use_all_end(begin, training, tmp_path):
    with sole_use(tmp_path / "model"):
        first, second = by_hand(begin, training(tmp_path / "model"))
        assert first.ended() == 2
        check_complaint(first.said(), "another mmccd process .* works in")
        assert second.ended(within_s=20) == 4
        assert "start all of them again" in check_complaint(second.said(), "another of the 2 processes .* ended")


def test_a_node_that_waits_for_others_says_so_and_hears_signals(begin, training, tmp_path):
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "NODE_RANK": "0"}
    alone = begin("mmccd", *training(tmp_path / "model"), "--num-nodes", 2, "--devices", 1, **place)
    alone.wait_until_said(
        f"waits for 1 more of the processes of this training, which meet at 127.0.0.1:{place['MASTER_PORT']}"
    )
    alone.process.terminate()
    assert alone.ended(within_s=10) == 143
    check_complaint(alone.said(), "stopped by SIGTERM, while waiting for another process")
    assert rubbish(tmp_path) == []


@pytest.mark.parametrize(
    ("told", "number", "codes"),
    [
        (0, signal.SIGTERM, [143, 143]),
        pytest.param(1, signal.SIGTERM, [143, 143], marks=pytest.mark.slow),
        pytest.param(1, signal.SIGKILL, [4, -9], marks=pytest.mark.slow),
        pytest.param(0, signal.SIGKILL, [-9, 4], marks=pytest.mark.slow),
    ],
)
def test_where_one_is_stopped_all_end_and_go_on_later(begin, training, tmp_path, told, number, codes):
    processes = by_hand(begin, training(tmp_path / "model", steps=100_000, validate_every=5))
    processes[0].wait_until_said("train: ")
    until = time.monotonic() + PATIENCE_S
    while not (tmp_path / "model" / "training" / "last.ckpt").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    processes[told].process.send_signal(number)
    assert [one.ended(within_s=30) for one in processes] == codes, [one.said() for one in processes]
    assert all("this is a bug" not in one.said() for one in processes)
    processes = by_hand(begin, training(tmp_path / "model", "--resume", steps=100_000, validate_every=5))
    processes[0].wait_until_said("train: ")
    for one in processes:
        one.process.terminate()
    assert [one.ended(within_s=30) for one in processes] == [143, 143], [one.said() for one in processes]
