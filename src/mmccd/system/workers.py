"""Worker processes that never outlive the one that started them, and do not make it wait for what is queued."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process

from mmccd.errors import DataError

MEMORY = "often too little memory: the same command with --workers 1"


@contextmanager
def worker_processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of ``count`` processes; where its block is left by an error, what has not begun is dropped.

    They are spawned, because a forked child may inherit locks that PyTorch's threads hold.

    Raises:
        DataError: one of them died, and the block did not answer to that.
    """
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin) as pool:
        try:
            yield pool
        except BaseException as error:
            pool.shutdown(cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise DataError("a worker process died", f"{MEMORY} goes on where this one stopped") from error
            raise


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: the parent answers it
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """The queue alone would not tell: each worker holds its other end too, and waits for ever on a killed parent."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
