"""Worker processes that end when they should."""

import os
import subprocess
import sys
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


@pytest.mark.parametrize("how", ["script", "standard input", "module"])
def test_a_script_without_a_guard_may_start_workers(tmp_path, how):
    """It is not run again in each of them, where it would start workers of its own."""
    code = (
        "import os\nfrom mmccd.system.workers import worker_processes\nprint('begun')\n"
        "with worker_processes(1) as pool:\n    print(pool.submit(os.getpid).result() != os.getpid(), __spec__)\n"
    )
    (tmp_path / "script.py").write_text(code)
    arguments = {"script": ["script.py"], "standard input": ["-"], "module": ["-m", "script"]}[how]

    done = subprocess.run(
        [sys.executable, *arguments], input=code, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )

    begun, worked = done.stdout.splitlines()
    assert (begun, worked.split()[0], done.stderr) == ("begun", "True", "")
    assert ("ModuleSpec" in worked) == (how == "module")
