"""Running a method over many slices: batches, device, precision."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmccd.methods import Method


def anomaly_maps(
    method: Method,
    slices: NDArray[np.floating[Any]],
    device: torch.device,
    *,
    batch_size: int,
    bf16: bool,
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Anomaly maps of (n, height, width) slices, batch by batch, in float32 or under bf16 autocast."""
    for start in range(0, len(slices), batch_size):
        rows = slice(start, min(start + batch_size, len(slices)))
        source = torch.from_numpy(np.ascontiguousarray(slices[rows], dtype=np.float32))[:, None]
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            maps = method.anomaly_map(source.to(device, memory_format=torch.channels_last))
        yield rows, maps.float().cpu().numpy()[:, 0]
