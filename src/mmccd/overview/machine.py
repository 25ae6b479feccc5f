"""What this machine computes with, and what it prints on."""

import os
import sys
from pathlib import Path

from mmccd.overview.check import Check
from mmccd.system.memory import available_mb, limit_mb

DEVICES, TERMINAL = "devices", "terminal"
BRAIN_EXTRACTION_MB = 2500
"""What HD-BET takes, the most that any step of `mmccd predict` needs."""
_DRIVER = Path("/proc/driver/nvidia/version")


def device_checks() -> list[Check]:
    """CPU, GPUs and memory.

    Raises:
        ImportError: PyTorch cannot be imported.
    """
    return [_cpu(), *_gpus(), _memory()]


def terminal_check() -> Check:
    """Where standard output goes, and which characters it takes."""
    stream = "a terminal" if sys.stdout is not None and sys.stdout.isatty() else "no terminal"
    encoding = getattr(sys.stdout, "encoding", None) or "none"
    names = sys.getfilesystemencoding()
    found = f"{stream}, encoding {encoding}, names of files {names}"
    if names.replace("-", "").lower() != "utf8":
        return Check(TERMINAL, "encoding", "warning", found, "set LC_ALL=C.UTF-8, else some names cannot be written")
    return Check(TERMINAL, "encoding", "ok", found)


def _cpu() -> Check:
    import torch

    from mmccd.system.devices import has_bf16

    cores = os.cpu_count() or 1
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    bf16 = "bf16 in hardware" if has_bf16(torch.device("cpu")) else "no bf16 in hardware"
    found = f"{ours} of {cores} cores{load}, {torch.get_num_threads()} threads, {bf16}"
    return Check(DEVICES, "CPU", "ok", found)


def _gpus() -> list[Check]:
    import torch

    from mmccd.system.devices import has_bf16

    checks = []
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        facts = torch.cuda.get_device_properties(number)
        bf16 = "bf16 in hardware" if has_bf16(torch.device("cuda", number)) else "no bf16 in hardware"
        found = f"{facts.name}, {facts.total_memory / 2**30:.1f} GiB, {bf16}"
        checks.append(Check(DEVICES, f"GPU cuda:{number}", "ok", found))
    if torch.mps.is_available():
        checks.append(Check(DEVICES, "GPU mps", "ok", "Metal"))
    if checks:
        return checks
    if _DRIVER.exists():
        found = f"a driver of NVIDIA is there, and PyTorch {torch.__version__} sees no GPU"
        return [Check(DEVICES, "GPU", "warning", found, "install the build of PyTorch for CUDA that suits the driver")]
    return [Check(DEVICES, "GPU", "ok", "none")]


def _memory() -> Check:
    available, limit = available_mb(), limit_mb()
    said = [] if limit is None else [f"`ulimit -v` allows {limit / 1024:.1f} GiB"]
    if available is not None:
        said.insert(0, f"{available / 1024:.1f} GiB available")
    least = min((mb for mb in (available, limit) if mb is not None), default=None)
    found = ", ".join(said) or "this system does not say"
    if least is not None and least < BRAIN_EXTRACTION_MB:
        remedy = f"end what else uses memory: extraction of a brain takes {BRAIN_EXTRACTION_MB / 1000:g} GB"
        return Check(DEVICES, "memory", "warning", found, remedy)
    return Check(DEVICES, "memory", "ok", found)
