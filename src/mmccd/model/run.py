"""Running a method over slices: batches, device, precision, and what to do when memory runs out."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmccd.errors import ConfigError, MmccdWarning
from mmccd.method.cycle import Error, cycle_map
from mmccd.model.build import Method
from mmccd.model.config import ScoringConfig
from mmccd.scoring.maps import scored_region, smoothed

T = TypeVar("T")  # the bracket syntax needs Python 3.12
Slices = NDArray[np.floating[Any]]


def anomaly_volume(
    method: Method,
    error: Error,
    slices: Slices,
    brain: NDArray[np.bool_],
    scoring: ScoringConfig,
    *,
    pixel_mm: float,
    slice_mm: float,
    device: torch.device,
    batch_size: int,
    bf16: bool,
) -> NDArray[np.float32]:
    """The anomaly map of one scan on the model's grid: errors where they are scored, smoothed; 0 elsewhere.

    Args:
        method: Trained networks, on ``device``.
        error: Of x and what was restored.
        slices: (n, height, width) normalised, neighbours next to each other.
        brain: Of the same shape.
        scoring: Rim and smoothing.
        pixel_mm: Side of a pixel.
        slice_mm: Distance between slices.
        device: Where to compute.
        batch_size: Slices at a time.
        bf16: Whether to compute in bf16.
    """
    region = scored_region(brain, edge_mm=scoring.edge_mm, pixel_mm=pixel_mm)
    occupied = np.flatnonzero(region.any(axis=(1, 2)))
    errors = np.zeros(slices.shape, np.float32)

    def scored(source: Tensor) -> Tensor:
        return cycle_map(source, method.restorations(source), error)

    for rows, maps in in_batches(scored, slices[occupied], device, batch_size=batch_size, bf16=bf16):
        errors[occupied[rows]] = maps[:, 0].float().cpu().numpy()
    return smoothed(errors, region, smooth_mm=scoring.smooth_mm, spacing_mm=(slice_mm, pixel_mm, pixel_mm))


def in_batches(
    function: Callable[[Tensor], T], slices: Slices, device: torch.device, *, batch_size: int, bf16: bool
) -> Iterator[tuple[slice, T]]:
    """A function of (batch, 1, height, width) over (n, height, width) slices, in float32 or under bf16 autocast.

    Where the device runs out of memory the batch is halved, with a warning, for the rest of these slices.

    Yields:
        The rows of a batch, and the result.

    Raises:
        ConfigError: there is no memory for a single slice.
    """
    start = 0
    while start < len(slices):
        rows = slice(start, min(start + batch_size, len(slices)))
        source = torch.from_numpy(np.ascontiguousarray(slices[rows], dtype=np.float32))[:, None]
        try:
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                result = function(source.to(device, memory_format=torch.channels_last))
        except RuntimeError as error:
            if not _is_lack_of_memory(error):
                raise
            if batch_size == 1:
                raise ConfigError(
                    f"{device} is out of memory with one slice at a time",
                    "end what else uses its memory, or choose another --device",
                ) from error
            batch_size //= 2
            message = f"{device} is out of memory: going on with batches of {batch_size}"
            warnings.warn(message, MmccdWarning, stacklevel=2)
            continue
        yield rows, result
        start = rows.stop


def _is_lack_of_memory(error: RuntimeError) -> bool:
    """PyTorch has an error of its own for GPUs only; on CPUs its allocator says so in words."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in ("can't allocate memory", "not enough memory")
    )
