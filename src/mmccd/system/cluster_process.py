"""What a process of a cluster does: it holds the function that it was given once, and applies it to items."""

from collections.abc import Callable
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from mmccd.system.complaints import warnings_as_lines
from mmccd.system.devices import one_thread
from mmccd.system.own_process import settle


class Work(WorkerPlugin):
    """The function, in each process that is at work or joins later."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def setup(self, worker: Worker) -> None:  # noqa: ARG002 - dask gives it
        """Make a process of it that is as those of `mmccd.system.workers`."""
        settle()


def apply(item: Any, work: str) -> Any:
    """What the function of this work makes of an item, with one thread, as `mmccd.system.workers` has it."""
    with warnings_as_lines(), one_thread():
        held: Any = get_worker().plugins[work]
        return held.function(item)
