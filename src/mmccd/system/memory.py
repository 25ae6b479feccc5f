"""A lack of memory, which comes as many kinds of error; and what limits it."""

import errno
from contextlib import suppress
from pathlib import Path

from mmccd.errors import ConfigError

_WORDS = (
    "can't allocate memory", "cannot allocate memory", "not enough memory", "out of memory", "bad_alloc",
    "failed to map segment", "can't start new thread",
    "could not create a primitive",  # oneDNN, which says no more
)  # fmt: skip
REMEDY = "end what else uses memory, or give fewer --workers or a smaller --batch-size where the command has them"


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short: Python's own, the system's, or that of a library, in words."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError | ImportError) and any(words in str(error).lower() for words in _WORDS)


def lacking(error: BaseException) -> tuple[str, str]:
    """What is wrong, and what to do about it: names the limit that this process was given, if it was."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__  # MemoryError often says nothing
    limit = limit_mb()
    return f"too little memory: {said}", REMEDY + (f"; `ulimit -v` allows {limit} MB here" if limit else "")


def check_limit(least_mb: int) -> None:
    """Refuse a limit under which libraries cannot even start: some of them then wait for ever, or end the process.

    Raises:
        ConfigError: says what is allowed and what is needed.
    """
    limit = limit_mb()
    if limit is not None and limit < least_mb:
        what = f"too little memory: `ulimit -v` allows {limit} MB, and this command needs {least_mb} MB at least"
        raise ConfigError(what, "raise the limit, as by `ulimit -v unlimited`, or ask the scheduler for more memory")


def limit_mb() -> int | None:
    """MB of address space that `ulimit -v` allows this process; None where nothing limits it."""
    try:
        import resource
    except ImportError:  # Windows has none
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft // 2**20


def available_mb() -> int | None:
    """MB of memory that new work could have, also under the limit of a container; None where the system is silent."""
    found = []
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:")]
    with suppress(OSError, ValueError):  # "max" is no number, and no limit
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()) // 2**20)
    return min(found, default=None)
