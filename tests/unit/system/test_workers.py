"""Worker processes that end when they should."""

import os
import subprocess
import sys
import time

import pytest

from mmccd.errors import DataError
from mmccd.system.workers import AHEAD_EACH, each, each_in_order, idle_cores, worker_processes


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
        "import os\nfrom mmccd.system.workers import each, idle_cores, worker_processes\nprint('begun')\n"
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


@pytest.mark.parametrize("workers", [1, 2])
def test_each_item_is_done_once(workers):
    with each(abs, [-3, 2, -1], workers) as answers:
        assert sorted(answers) == [(-3, 3), (-1, 1), (2, 2)]


@pytest.mark.parametrize("workers", [1, 2])
def test_answers_come_in_the_order_of_the_items_and_few_are_begun_ahead(workers):
    begun = []

    def items():
        for seconds in (0.3, *[0.0] * 40):
            begun.append(seconds)
            yield seconds

    with each_in_order(time.sleep, items(), workers) as answers:
        assert next(answers) == (0.3, None)
        assert len(begun) <= AHEAD_EACH * workers + 1
        assert [item for item, _ in answers] == [0.0] * 40


def test_an_error_of_an_item_is_that_of_the_whole():
    with pytest.raises(TypeError), each(abs, ["a", "b"], 2) as answers:
        list(answers)


def test_workers_compute_with_one_thread():
    with each(os.getenv, ["OMP_NUM_THREADS"] * 2, 2) as answers:
        assert list(answers) == [("OMP_NUM_THREADS", "1")] * 2


def test_idle_cores_are_those_that_nothing_works_on(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    for load, expected in ((0.1, 6), (5.2, 3), (20.0, 1)):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 0, 0))
        assert idle_cores() == expected
