"""What a process of ours sets for itself, and a program that imports this package decides for itself."""

import ctypes
import os

SPINS = "30000"
"""How often a thread looks whether there is more to do before it sleeps, a tenth of what is usual.

On idle cores nothing is lost. Where other processes are at work, threads that look on keep them, and the one thread
that they wait for, from their cores."""
BLAS_THREADS = "OPENBLAS_NUM_THREADS"
"""Of NumPy, whose products here are small: for hundreds of them a second thread is waited for each time."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""


def settle() -> None:
    """Share the cores with others, and keep memory at hand; to be called before NumPy and PyTorch are imported."""
    os.environ.setdefault(BLAS_THREADS, "1")
    if not os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        os.environ["GOMP_SPINCOUNT"] = SPINS
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """What a network lets go of, its next layer needs again a millisecond later; a new block the system clears first.

    Of glibc; elsewhere nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 2**30)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
