"""Networks at work: the slices of one scan in, its anomaly map out, in batches that fit the memory."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmccd.errors import ConfigError, MmccdWarning
from mmccd.method.anomaly_map import Error, anomaly_map
from mmccd.method.method import Method
from mmccd.model.config import Config
from mmccd.scoring.maps import scored_region, smoothed
from mmccd.scoring.total_variation import total_variation
from mmccd.system.devices import uses_bf16
from mmccd.system.memory import is_lack_of_memory

Slices = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]
"""Distance of slices, of rows and of columns, in millimetres."""


class Scorer(Protocol):
    """Whatever makes an anomaly map of one scan: a model, several, or an intensity that has learnt nothing."""

    def anomaly_map(
        self, slices: Mapping[str, Slices], brain: Mask, spacing_mm: Spacing, *, healthy: Mask | None = None
    ) -> NDArray[np.float32]:
        """The map of normalised slices, on their own grid; 0 where nothing is scored.

        Args:
            slices: By modality, (n, height, width), neighbours next to each other.
            brain: Of the same shape.
            spacing_mm: Distance of slices, of rows and of columns.
            healthy: What of the brain is scored; None is all of it.
        """


@dataclass(frozen=True)
class ModelScorer:
    """The networks of one model, with what is made of their errors.

    Attributes:
        method: Trained networks, on ``device``.
        error: Of x and what was restored.
        config: Source modality and scoring.
        device: Where to compute.
        batch_size: Slices at a time.
    """

    method: Method
    error: Error
    config: Config
    device: torch.device
    batch_size: int = 32

    def anomaly_map(
        self, slices: Mapping[str, Slices], brain: Mask, spacing_mm: Spacing, *, healthy: Mask | None = None
    ) -> NDArray[np.float32]:
        """As `Scorer.anomaly_map`: errors where they are scored, smoothed."""
        region = self.region(brain, spacing_mm)
        region = region if healthy is None else region & healthy
        return self.smoothed(self.errors(slices[self.config.source], region), region, spacing_mm)

    def region(self, brain: Mask, spacing_mm: Spacing) -> Mask:
        """What is scored: the brain less its rim; (n, height, width)."""
        return scored_region(brain, edge_mm=self.config.scoring.edge_mm, pixel_mm=spacing_mm[1])

    def errors(self, source: Slices, region: Mask) -> NDArray[np.float32]:
        """Errors of slices, (n, height, width), each by itself; 0 in slices without anything to score."""
        errors = np.zeros(source.shape, np.float32)
        occupied = np.flatnonzero(region.any(axis=(1, 2)))
        for batch in self.batches(source[occupied]):
            with batch as x:
                found = anomaly_map(x, self.method.restorations(x), self.error)
                errors[occupied[batch.rows]] = found[:, 0].float().cpu().numpy()
        return errors

    def smoothed(self, errors: NDArray[np.float32], region: Mask, spacing_mm: Spacing) -> NDArray[np.float32]:
        """The map of errors of neighbouring slices; 0 outside the region."""
        scoring = self.config.scoring
        if not scoring.total_variation:
            return smoothed(errors, region, smooth_mm=scoring.smooth_mm, spacing_mm=spacing_mm)
        denoised = partial(total_variation, errors, region, spacing_mm=spacing_mm)
        with ThreadPoolExecutor(min(len(scoring.total_variation), torch.get_num_threads())) as threads:
            found = list(threads.map(lambda weight: denoised(weight=weight), scoring.total_variation))
        return np.asarray(np.mean(found, axis=0), dtype=np.float32)

    def batches(self, slices: Slices) -> "Iterator[SliceBatch]":
        """Slices of the source in the precision of the training, see `batches_of`."""
        bf16 = uses_bf16(self.config.training.precision, self.device)
        return batches_of(slices, self.device, batch_size=self.batch_size, bf16=bf16)


@dataclass(frozen=True)
class FusedScorer:
    """Several scorers, each with its source modality.

    Maps of one source are averaged, so that what one training got wrong by chance counts less. Those of several sources
    are added: nats of evidence, as if they were independent.
    """

    scorers: Sequence[tuple[str, Scorer]]

    def anomaly_map(
        self, slices: Mapping[str, Slices], brain: Mask, spacing_mm: Spacing, *, healthy: Mask | None = None
    ) -> NDArray[np.float32]:
        """As `Scorer.anomaly_map`."""
        maps: dict[str, list[NDArray[np.float32]]] = {}
        for source, scorer in self.scorers:
            maps.setdefault(source, []).append(scorer.anomaly_map(slices, brain, spacing_mm, healthy=healthy))
        return np.asarray(np.sum([np.mean(of_one, axis=0) for of_one in maps.values()], axis=0), dtype=np.float32)


class SliceBatch:
    """Some slices on the device, for the time of a `with` block, which a lack of memory ends without an error.

    Attributes:
        rows: Which of the slices they are.
        out_of_memory: Whether the block was ended by a lack of memory.
    """

    def __init__(self, slices: Slices, rows: slice, device: torch.device, *, bf16: bool) -> None:
        self.rows, self.out_of_memory = rows, False
        self._slices, self._device, self._bf16 = slices, device, bf16
        self._open = ExitStack()

    def __enter__(self) -> Tensor:
        """(batch, 1, height, width), computed with in float32 or under bf16 autocast, without gradients."""
        source = torch.from_numpy(np.ascontiguousarray(self._slices[self.rows], dtype=np.float32))[:, None]
        source = source.to(self._device, memory_format=torch.channels_last)
        self._open.enter_context(torch.inference_mode())
        self._open.enter_context(torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16))
        return source

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._open.__exit__(kind, error, trace)
        # The error itself is not kept: it leads to all that lies in the memory.
        self.out_of_memory = error is not None and is_lack_of_memory(error)
        return self.out_of_memory


def batches_of(slices: Slices, device: torch.device, *, batch_size: int, bf16: bool) -> Iterator[SliceBatch]:
    """Slices, (n, height, width), in batches; each is to be entered by `with` and used there.

    Where the device runs out of memory the batch is halved, with a warning, for the rest of these slices.

    Raises:
        ConfigError: there is no memory for a single slice.
    """
    start = 0
    while start < len(slices):
        batch = SliceBatch(slices, slice(start, min(start + batch_size, len(slices))), device, bf16=bf16)
        yield batch
        if not batch.out_of_memory:
            start = batch.rows.stop
            continue
        if batch_size == 1:
            raise ConfigError(
                f"{device} is out of memory with one slice at a time",
                "end what else uses its memory, or choose another --device",
            )
        batch_size //= 2
        message = f"{device} is out of memory: going on with batches of {batch_size}"
        warnings.warn(message, MmccdWarning, stacklevel=2)
