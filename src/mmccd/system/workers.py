"""Worker processes that never outlive the one that started them, and do not make it wait for what is queued."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from mmccd.errors import DataError

_starting = threading.Lock()
MEMORY = "often too little memory: the same command with --workers 1"


@contextmanager
def worker_processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of ``count`` processes; where its block is left by an error, what has not begun is dropped.

    They are spawned, because a forked child may inherit locks that PyTorch's threads hold. What they are given to do
    must lie in a module: the script that began all this is not run again in them, so it needs no `__main__` guard.

    Raises:
        DataError: one of them died, and the block did not answer to that.
    """
    with ProcessPoolExecutor(count, mp_context=_Context(), initializer=_begin) as pool:
        try:
            yield pool
        except BaseException as error:
            pool.shutdown(cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise DataError("a worker process died", f"{MEMORY} goes on where this one stopped") from error
            raise


class _Worker(SpawnProcess):
    """A process that does not import the caller's script, which would start workers of its own."""

    def start(self) -> None:
        script: dict[str, Any] = vars(sys.modules["__main__"])
        with _starting:  # the script is told by these two, for as long as the process is described
            told: dict[str, Any] = {name: script.pop(name) for name in ("__file__", "__spec__") if name in script}
            script["__spec__"] = None
            try:
                super().start()
            finally:
                del script["__spec__"]
                script.update(told)


class _Context(SpawnContext):
    Process = _Worker


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: the parent answers it
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """The queue alone would not tell: each worker holds its other end too, and waits for ever on a killed parent."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
