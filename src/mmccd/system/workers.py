"""Worker processes that never outlive the one that started them, and do not make it wait for what is queued."""

import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, TypeVar

from mmccd.errors import DataError
from mmccd.system.complaints import warnings_as_lines
from mmccd.system.own_process import settle
from mmccd.system.streams import steady_streams

Item = TypeVar("Item")
Made = TypeVar("Made")
THREADS = "OMP_NUM_THREADS"
ITEMS_EACH = 4
"""A process takes seconds to start: for fewer scans each it is not worth it."""
AHEAD_EACH = 4
"""Items of one process that `each_in_order` has begun while it waits for an earlier one."""
_starting = threading.Lock()
_function: Callable[..., Any] | None = None
"""Of a worker process: what `each` asked for."""
MEMORY = "often too little memory: the same command with --workers 1"


def idle_cores() -> int:
    """How many cores of those that this process may use nothing else works on, about; at least 1."""
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, min(ours, round((os.cpu_count() or 1) - busy)))


def chosen_workers(asked: int | None, items: int) -> int:
    """How many processes: those that were asked for, else as many as cores are idle, with some items for each."""
    return max(1, min(idle_cores(), items // ITEMS_EACH)) if asked is None else asked


@contextmanager
def each(
    function: Callable[[Item], Made], items: Sequence[Item], workers: int
) -> Iterator[Iterator[tuple[Item, Made]]]:
    """What a function makes of every item: in their order in this process, or as it is done by several.

    The function goes to each process once, with all that it holds. It must lie in a module.

    Raises:
        DataError: a process died.
    """
    if workers <= 1 or len(items) <= 1:
        yield ((item, function(item)) for item in items)
        return
    with each_apart(function, items, workers) as answers:
        yield answers


@contextmanager
def each_apart(
    function: Callable[[Item], Made], items: Sequence[Item], workers: int
) -> Iterator[Iterator[tuple[Item, Made]]]:
    """As `each`, never in this process: what kills one, as a lack of memory does, is an error here, also of one alone.

    Raises:
        DataError: a process died.
    """
    with worker_processes(max(1, min(workers, len(items))), function) as pool:
        waiting = {pool.submit(_apply, item): item for item in items}
        # What is done is not held: of many items it may be much.
        yield ((waiting.pop(done), done.result()) for done in as_completed(list(waiting)))


@contextmanager
def each_in_order(
    function: Callable[[Item], Made], items: Iterable[Item], workers: int
) -> Iterator[Iterator[tuple[Item, Made]]]:
    """As `each`, in the order of the items; few of them are begun ahead, so that what is made need not fit into memory.

    Raises:
        DataError: a process died.
    """
    if workers <= 1:
        yield ((item, function(item)) for item in items)
        return
    with worker_processes(workers, function) as pool:
        yield _few_ahead(pool, items, AHEAD_EACH * workers)


def _few_ahead(pool: ProcessPoolExecutor, items: Iterable[Item], most: int) -> Iterator[tuple[Item, Any]]:
    waiting: deque[tuple[Item, Future[Any]]] = deque()
    for item in items:
        if len(waiting) == most:
            begun, made = waiting.popleft()
            yield begun, made.result()
            del made  # and what it holds
        waiting.append((item, pool.submit(_apply, item)))
    while waiting:
        begun, made = waiting.popleft()
        yield begun, made.result()


@contextmanager
def worker_processes(count: int, function: Callable[..., Any] | None = None) -> Iterator[ProcessPoolExecutor]:
    """A pool of ``count`` processes; where its block is left by an error, what has not begun is dropped.

    They are spawned, because a forked child may inherit locks that PyTorch's threads hold. What they are given to do
    must lie in a module: the script that began all this is not run again in them, so it needs no `__main__` guard.
    Each computes with one thread: threads of several processes on the same cores wait for each other.

    Args:
        count: How many.
        function: What `each` has them do.

    Raises:
        DataError: one of them died, and the block did not answer to that.
    """
    begun_with = (pickle.dumps(function),)
    with ProcessPoolExecutor(count, mp_context=_Context(), initializer=_begin, initargs=begun_with) as pool:
        try:
            yield pool
        except BaseException as error:
            pool.shutdown(cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise DataError("a worker process died", f"{MEMORY} needs least") from error
            raise


class _Worker(SpawnProcess):
    """A process that does not import the caller's script, which would start workers of its own."""

    def start(self) -> None:
        script: dict[str, Any] = vars(sys.modules["__main__"])
        with _starting:  # the script is told by these two, for as long as the process is described
            told: dict[str, Any] = {name: script.pop(name) for name in ("__file__", "__spec__") if name in script}
            script["__spec__"] = None
            try:
                with _one_thread():
                    super().start()
            finally:
                del script["__spec__"]
                script.update(told)


class _Context(SpawnContext):
    Process = _Worker


def _begin(function: bytes) -> None:
    global _function
    settle()
    _function = pickle.loads(function)
    steady_streams()
    warnings_as_lines().__enter__()  # until the end
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: the parent answers it
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _apply(item: Any) -> Any:
    assert _function is not None, "of a pool of `each`"
    return _function(item)


@contextmanager
def _one_thread() -> Iterator[None]:
    """What is started meanwhile computes with one thread."""
    usual = os.environ.get(THREADS)
    os.environ[THREADS] = "1"
    try:
        yield
    finally:
        if usual is None:
            del os.environ[THREADS]
        else:
            os.environ[THREADS] = usual


def _end_with_parent() -> None:
    """The queue alone would not tell: each worker holds its other end too, and waits for ever on a killed parent."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
