import os
import subprocess
import sys

import pytest

ASK = "from mmccd.system.own_process import settle; settle(); import os; print(os.environ.get('GOMP_SPINCOUNT'))"


@pytest.mark.parametrize(
    ("theirs", "found"),
    [({}, "30000"), ({"OMP_WAIT_POLICY": "active"}, "None"), ({"GOMP_SPINCOUNT": "7"}, "7")],
)
def test_threads_soon_sleep_unless_the_user_says_otherwise(theirs, found):
    left = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run([sys.executable, "-c", ASK], env=left | theirs, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, found)


def test_numpy_multiplies_small_matrices_with_one_thread():
    ask = ASK.replace("GOMP_SPINCOUNT", "OPENBLAS_NUM_THREADS")
    for theirs, found in (({}, "1"), ({"OPENBLAS_NUM_THREADS": "4"}, "4")):
        left = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
        done = subprocess.run([sys.executable, "-c", ask], env=left | theirs, capture_output=True, text=True)
        assert (done.returncode, done.stdout.strip()) == (0, found)


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_memory_that_is_let_go_is_used_again():
    """The second time a large block is asked for the system gives, and clears, nothing."""
    faults = """
import resource, numpy as np
from mmccd.system.own_process import settle
settle()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(20_000_000, np.uint8)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    done = subprocess.run([sys.executable, "-c", faults], capture_output=True, text=True, check=True)
    first, second = map(int, done.stdout.split())
    assert first > 100
    assert second < 10
