"""What a contender costs: network evaluations and memory."""

from pathlib import Path
from typing import Any

import torch

from mmccd.method.code_network import CodeNetwork
from mmccd.method.method import Method


class Counter:
    """Counts the slices that pass through the networks of a method."""

    def __init__(self, method: Method) -> None:
        self.passed = 0
        self._hooks = [network.register_forward_hook(self._count) for network in _networks(method)]

    def close(self) -> None:
        """Stop counting."""
        for hook in self._hooks:
            hook.remove()

    def _count(self, _network: torch.nn.Module, inputs: tuple[Any, ...], _output: Any) -> None:
        self.passed += len(inputs[0])


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


def _networks(method: Method) -> list[torch.nn.Module]:
    """What an evaluation is one pass of: U-Nets, and of an autoencoder its decoder."""
    return [child.autoencoder.decoder if isinstance(child, CodeNetwork) else child for child in method.children()]
