"""Where to compute, and in which precision."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mmccd.errors import ConfigError

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str) -> torch.device:
    """``auto`` is the first of cuda, mps and cpu that is there; ``cuda:1`` names one of several.

    Raises:
        ConfigError: the device is unknown, or not on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in DEVICES[1:] or (":" in name and not (kind == "cuda" and index.isdecimal())):
        raise ConfigError(f"device is {name!r}, expected one of {', '.join(DEVICES)}", "auto is a safe choice")
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.mps.is_available()}
    if not present[kind]:
        raise ConfigError(f"device {name} is not on this machine", "use --device auto, or check the driver")
    return torch.device(name)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread: how many there are changes last digits, as do processes that get in each other's way."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Whether a `training.precision` setting means bf16 on this device; it holds for inference too."""
    return precision == "bf16" or (precision == "auto" and has_bf16(device))


def has_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies in bf16, so that it is faster and not merely smaller."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return False
