"""Running a method over many slices: batches, device, precision, and what to do when memory runs out."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmccd.cycle import Error, cycle_map, squared_error
from mmccd.errors import MmccdWarning
from mmccd.methods import Method


def anomaly_maps(
    method: Method,
    slices: NDArray[np.floating[Any]],
    device: torch.device,
    *,
    batch_size: int,
    bf16: bool,
    error: Error = squared_error,
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Anomaly maps of (n, height, width) slices, batch by batch, in float32 or under bf16 autocast.

    Where the device runs out of memory the batch is halved, with a warning, and stays so.
    """
    start = 0
    while start < len(slices):
        rows = slice(start, min(start + batch_size, len(slices)))
        source = torch.from_numpy(np.ascontiguousarray(slices[rows], dtype=np.float32))[:, None]
        try:
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                x: Tensor = source.to(device, memory_format=torch.channels_last)
                maps = cycle_map(x, method.restorations(x), error)
        except torch.OutOfMemoryError:
            if batch_size == 1:
                raise
            batch_size //= 2
            warnings.warn(f"{device} is out of memory: going on with {batch_size} slices at a time", MmccdWarning, 2)
            continue
        yield rows, maps.float().cpu().numpy()[:, 0]
        start = rows.stop
