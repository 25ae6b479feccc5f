"""Processes of dask, real ones: what they do, and what becomes of the work when they die."""

import logging
import operator
import os
import sys

import dask.config
import pytest
from distributed import LocalCluster

from mmccd.data.cohort import read_cohort
from mmccd.data.prepare import prepare
from mmccd.data.slices import StoreSettings
from mmccd.data.splits import Split
from mmccd.errors import ConfigError, DataError
from mmccd.evaluation.evaluate import evaluate
from mmccd.system.cluster import Cluster, each_on, parse_cluster
from mmccd.system.slurm import SlurmJobs

QUIET = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}


@pytest.fixture(scope="module")
def scheduler():
    """The address of a scheduler with two processes."""
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, memory_limit=0, **QUIET) as cluster:
        yield cluster.scheduler_address


# --- what is asked for ---


def test_ways_to_name_a_cluster(tmp_path):
    (tmp_path / "jobs.yaml").write_text("{jobs: 3, cores: 2, memory: 4GB}")

    assert parse_cluster(None, workers=3) is None
    assert parse_cluster("local:4") == Cluster(processes=4)
    assert parse_cluster("tls://head.example:8786") == Cluster(address="tls://head.example:8786")
    assert parse_cluster(f"slurm:{tmp_path}/jobs.yaml") == Cluster(jobs=SlurmJobs(jobs=3, cores=2, memory="4GB"))


@pytest.mark.parametrize(
    "text", ["", "local", "local:0", "local:-1", "local:x", "tcp://head", "http://head:1", "pbs:a"]
)
def test_anything_else_is_refused_with_what_may_be_given(text):
    with pytest.raises(ConfigError, match="is no cluster") as caught:
        parse_cluster(text)
    assert "local:N" in caught.value.hint


def test_workers_of_this_machine_and_a_cluster_are_not_mixed():
    with pytest.raises(ConfigError, match="--workers 2 is for this machine, and --cluster local:2 for another"):
        parse_cluster("local:2", workers=2)


# --- what becomes of the work ---


def test_what_several_processes_died_of_is_lost_and_nothing_else():
    cluster = parse_cluster("local:1")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        each_on(cluster, os._exit, [9], lost=lambda item: f"lost {item}") as answers,
    ):
        assert list(answers) == [(9, "lost 9")]


@pytest.mark.filterwarnings("ignore:the model was trained or calibrated on:mmccd.errors.MmccdWarning")
def test_the_evaluation_is_that_of_one_process(predictions_folder, phantom_folder, tmp_path, scheduler, monkeypatch):
    alone = evaluate(predictions_folder, phantom_folder, tmp_path / "alone", workers=1)
    monkeypatch.chdir(tmp_path)

    spread = evaluate(predictions_folder, phantom_folder, tmp_path / "spread", cluster=scheduler)

    assert repr(spread) == repr(alone)  # NaN is not equal to itself
    for name in ("metrics.csv", "table.md", "montage.png"):
        assert (tmp_path / "spread" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_the_store_is_that_of_one_process(phantom_folder, tmp_path, scheduler):
    cohort, settings = read_cohort(phantom_folder), StoreSettings("volume", 32, ("flair", "t2"))
    split = Split(train=("Phantom_0001", "Phantom_0002"), validation=("Phantom_0003",), test=("Phantom_0007",))

    alone, _ = prepare(cohort, split, tmp_path / "alone", settings, workers=1)
    spread, failures = prepare(cohort, split, tmp_path / "spread", settings, cluster=scheduler)

    assert failures == {}
    assert spread.digest == alone.digest


# --- clusters that are not as they should be ---


def test_no_scheduler(monkeypatch):
    monkeypatch.setattr("mmccd.system.cluster.CONNECT_SECONDS", 0.5)
    with (
        pytest.raises(ConfigError, match=r"no scheduler answers at tcp://127.0.0.1:9") as caught,
        each_on(Cluster(address="tcp://127.0.0.1:9"), operator.neg, [1], lost=str),
    ):
        pass
    assert "dask scheduler" in caught.value.hint


def test_another_version_there_is_refused_by_name(scheduler, monkeypatch):
    monkeypatch.setattr("mmccd.system.cluster.__version__", "99.0")
    with (
        pytest.raises(ConfigError, match=r"worker tcp://\S+ has mmccd 0\.\d+\.\d+, expected 99\.0"),
        each_on(Cluster(address=scheduler), operator.neg, [1], lost=str),
    ):
        pass


@pytest.mark.parametrize(("workers", "threads", "what"), [(0, 1, "no worker has joined"), (1, 2, "has 2 threads")])
def test_processes_that_are_not_as_ours(workers, threads, what):
    with (
        LocalCluster(n_workers=workers, threads_per_worker=threads, processes=False, protocol="tcp", **QUIET) as one,
        pytest.raises(ConfigError, match=what),
        each_on(Cluster(address=one.scheduler_address), operator.neg, [1], lost=str),
    ):
        pass


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(ConfigError, match="--cluster needs distributed") as caught,
        each_on(Cluster(processes=1), operator.neg, [1], lost=str),
    ):
        pass
    assert "mmccd[cluster]" in caught.value.hint


def test_an_error_there_is_the_error_here(scheduler):
    with (
        pytest.raises(ZeroDivisionError),
        each_on(Cluster(address=scheduler), (1).__truediv__, [1, 0], lost=str) as answers,
    ):
        list(answers)


def test_a_scheduler_that_goes_away_is_an_error_that_says_how_to_go_on(monkeypatch):
    monkeypatch.setattr("mmccd.system.cluster.CONNECT_SECONDS", 1)
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", **QUIET) as one:
        address = Cluster(address=one.scheduler_address)
        with each_on(address, abs, range(9), lost=str) as answers:
            next(answers)
            one.close()
            with pytest.raises(DataError, match="scheduler of the cluster is gone") as caught:
                list(answers)
    assert "goes on" in caught.value.hint
