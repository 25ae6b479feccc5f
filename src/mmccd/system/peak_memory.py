"""The most memory that was in use, of this process or of a GPU."""

from pathlib import Path

import torch


def reset_peak_memory(device: torch.device) -> None:
    """Begin to measure the peak anew; does nothing where the system cannot."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_gb(device: torch.device) -> float:
    """Of the device if it is a GPU, else resident memory of this process; NaN where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peak = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak[0]) * 1024 / 1e9 if peak else float("nan")
