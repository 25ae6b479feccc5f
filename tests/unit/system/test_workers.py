"""Worker processes that end when they should."""

import os
import time

import pytest

from mmccd.errors import DataError
from mmccd.system.workers import worker_processes


def test_an_error_drops_what_has_not_begun():
    started = time.monotonic()
    waiting = []
    with pytest.raises(ZeroDivisionError), worker_processes(1) as pool:
        waiting.extend(pool.submit(time.sleep, 0.2) if n else 1 / n for n in range(100, -1, -1))
    assert time.monotonic() - started < 10
    assert sum(future.cancelled() for future in waiting) > 90


def test_a_dead_worker_is_an_error_with_a_remedy():
    with pytest.raises(DataError, match="a worker process died") as caught, worker_processes(1) as pool:
        pool.submit(os._exit, 9).result()
    assert "--workers 1" in caught.value.hint
