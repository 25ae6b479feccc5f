"""Work spread over the machines of a cluster by dask: who is at work, retries and encryption are its own."""

import gc
import logging
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mmccd.errors import ConfigError, DataError
from mmccd.system.extra import needed
from mmccd.system.slurm import SlurmJobs, read_jobs, slurm_cluster
from mmccd.system.workers import each
from mmccd.version import __version__

Item = TypeVar("Item")
Made = TypeVar("Made")
CONNECT_SECONDS = 15
RESTART_SECONDS = 15
WHAT_FOR = "--cluster"
LOST = (
    "the processes that worked on it died, one after the other",
    "often too little memory for each: allow them more",
)
"""What is said of an item that came to that, and the remedy."""
_AGAIN = "the same command goes on where this one stopped"


@dataclass(frozen=True)
class Cluster:
    """Where work is to be done: one of the three.

    Attributes:
        processes: Of this machine.
        jobs: Of SLURM.
        address: Of a scheduler.
    """

    processes: int = 0
    jobs: SlurmJobs | None = None
    address: str = ""


def parse_cluster(text: str | None, workers: int | None = None) -> Cluster | None:
    """From ``local:4``, ``slurm:jobs.yaml`` or ``tcp://head:8786``; None means this machine, without dask.

    Raises:
        ConfigError: it is none of these, the file is no description of jobs, or workers are asked for, too.
    """
    if text is None:
        return None
    if workers is not None:
        raise ConfigError(f"--workers {workers} is for this machine, and --cluster {text} for another", "give one")
    if found := re.fullmatch(r"local:([1-9]\d{0,3})", text):
        return Cluster(processes=int(found[1]))
    if re.fullmatch(r"(tcp|tls)://[^\s/]+:\d{1,5}", text):
        return Cluster(address=text)
    if text.startswith("slurm:"):
        return Cluster(jobs=read_jobs(Path(text.removeprefix("slurm:"))))
    raise ConfigError(
        f"--cluster {text!r} is no cluster",
        "give local:N for N processes of this machine, slurm:FILE, or the address of a scheduler, tcp://HOST:PORT",
    )


@contextmanager
def spread(
    function: Callable[[Item], Made],
    items: Sequence[Item],
    workers: int,
    cluster: Cluster | None,
    *,
    lost: Callable[[Item], Made],
    told: Callable[[str], None] = lambda _: None,
) -> Iterator[Iterator[tuple[Item, Made]]]:
    """What a function makes of every item, by `each_on` where there is a cluster, else by `mmccd.system.workers.each`.

    Args:
        function: What is done.
        items: What with.
        workers: Processes of this machine.
        cluster: Where, instead.
        lost: What stands for an item that several processes of a cluster died of.
        told: Called with who is at work, where it is not this process.

    Raises:
        ConfigError, DataError: as they do.
    """
    if cluster is None:
        if workers > 1:
            told(f"{workers} processes of one thread each")
        with each(function, items, workers) as answers:
            yield answers
    else:
        with each_on(cluster, function, items, lost=lost, told=told) as answers:
            yield answers


@contextmanager
def each_on(
    cluster: Cluster,
    function: Callable[[Item], Made],
    items: Sequence[Item],
    *,
    lost: Callable[[Item], Made],
    told: Callable[[str], None] = lambda _: None,
) -> Iterator[Iterator[tuple[Item, Made]]]:
    """What a function makes of every item, as the processes of a cluster have done it, each with one thread.

    An item whose process dies, or is lost, is given to another. The function goes to each process once. Both must be
    found in modules there, and files at the same paths.

    Args:
        cluster: Where.
        function: What each process does.
        items: What with.
        lost: What stands for an item that several processes died of.
        told: Called with who is at work.

    Raises:
        ConfigError: dask is not installed, no scheduler answers, or its processes are not as ours are.
        DataError: the scheduler is gone.
    """
    distributed = needed("distributed", WHAT_FOR, extra="cluster")
    process = needed("mmccd.system.cluster_process", WHAT_FOR, extra="cluster")
    with _client(distributed, cluster, told) as client:
        _check_workers(client, cluster)
        work = f"mmccd-{uuid.uuid4()}"
        client.register_plugin(process.Work(function), name=work)
        count = len(client.nthreads())
        told(f"{count} {'process' if count == 1 else 'processes'} of one thread each")
        try:
            futures = client.map(process.apply, items, work=work, pure=False)
            with client.as_current():
                yield _answers(distributed, dict(zip(futures, items, strict=True)), lost)
        finally:
            with suppress(OSError):  # the scheduler is gone, and the plugin with it
                client.unregister_worker_plugin(work)


def _answers(distributed: Any, waiting: dict[Any, Item], lost: Callable[[Item], Made]) -> Iterator[tuple[Item, Made]]:
    ended = distributed.as_completed(list(waiting))
    for future in ended:
        item = waiting.pop(future)  # what it made is kept there no longer
        try:
            made = future.result()
        except distributed.KilledWorker:
            made = lost(item)
        except distributed.client.FutureCancelledError as error:
            raise DataError(f"the scheduler of the cluster is gone: {error}", _AGAIN) from error
        del future
        yield item, made


@contextmanager
def _client(distributed: Any, cluster: Cluster, told: Callable[[str], None]) -> Iterator[Any]:
    with _quiet():
        if cluster.address:
            try:
                client = distributed.Client(cluster.address, timeout=CONNECT_SECONDS, set_as_default=False)
            except (OSError, ValueError) as error:
                raise ConfigError(
                    f"no scheduler answers at {cluster.address}: {error}", "start one with `dask scheduler`"
                ) from error
            with client:
                yield client
        elif cluster.jobs is not None:
            with slurm_cluster(cluster.jobs) as jobs, distributed.Client(jobs, set_as_default=False) as client:
                jobs.scale(jobs=cluster.jobs.jobs)
                told(f"{cluster.jobs.jobs} jobs sent; waiting for the first to begin")
                client.wait_for_workers(1)
                yield client
        else:
            # Encrypted although it is this machine alone: whoever reaches a scheduler may have it run anything.
            with (
                distributed.LocalCluster(
                    n_workers=cluster.processes, threads_per_worker=1, processes=True, host="127.0.0.1",
                    dashboard_address="127.0.0.1:0", security=distributed.Security.temporary(), memory_limit=0,
                    silence_logs=logging.CRITICAL,
                ) as processes,
                distributed.Client(processes, set_as_default=False) as client,
            ):  # fmt: skip
                try:
                    yield client
                finally:  # a process that is just being started again cannot be closed
                    with suppress(OSError):
                        client.wait_for_workers(cluster.processes, timeout=RESTART_SECONDS)


@contextmanager
def _quiet() -> Iterator[None]:
    """What becomes of items is said by those who asked for them; of lost processes dask would tell in many lines."""
    usual = {logger: logger.level for logger in map(logging.getLogger, ("distributed", "asyncio"))}
    for logger in usual:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        gc.collect()  # what was broken off complains when it is forgotten
        for logger, level in usual.items():
            logger.setLevel(level)


def _check_workers(client: Any, cluster: Cluster) -> None:
    """Other versions would score otherwise, and threads of one process would share what is not theirs to share."""
    threads = client.nthreads()
    if not threads:
        raise ConfigError(
            f"no worker has joined the scheduler at {cluster.address}", "start some: `dask worker ADDRESS --nthreads 1`"
        )
    if several := [address for address, count in threads.items() if count != 1]:
        raise ConfigError(
            f"the worker {several[0]} has {threads[several[0]]} threads, expected 1",
            "start workers with `--nthreads 1`, and `--nworkers` as many as there are cores",
        )
    for address, version in client.run(_version_there()).items():
        if version != __version__:
            raise ConfigError(
                f"the worker {address} has {f'mmccd {version}' if version else 'no mmccd'}, expected {__version__}",
                "install the same version wherever work is done",
            )


def _version_there() -> Callable[[], str]:
    def version() -> str:  # in here, so that it is sent as text: mmccd may not be installed there
        from importlib import metadata

        try:
            return metadata.version("mmccd")
        except metadata.PackageNotFoundError:
            return ""

    return version
