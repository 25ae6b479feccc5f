"""Batches of slices for training, read from memory maps in an order that depends on the step alone."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mmccd.data.healthy import HealthyTissue
from mmccd.system.signals import ignore_in_worker


class SlicePairs(Dataset[dict[str, Tensor]]):
    """Source and target slices, brain and healthy tissue; an item is a whole batch, addressed by its row numbers."""

    def __init__(self, tissue: HealthyTissue, source: str, targets: Sequence[str]) -> None:
        names = {"source": [source], "target": targets, "brain": ["brain"]}
        self._tissue = tissue
        self._arrays = {kind: [tissue.store.array(name) for name in some] for kind, some in names.items()}

    def __getitem__(self, rows: NDArray[np.int64]) -> dict[str, Tensor]:
        """(batch, modalities, height, width), float16 and bool."""
        healthy = torch.from_numpy(self._tissue.mask(rows))[:, None]
        return {"healthy": healthy} | {
            name: torch.stack([torch.from_numpy(array[rows]) for array in arrays], dim=1)
            for name, arrays in self._arrays.items()
        }


class StepSampler(Sampler[NDArray[np.int64]]):
    """Row numbers of each step's batch: reshuffled each pass, a pure function of (seed, step).

    A run that resumes at ``first_step`` therefore sees what the uninterrupted run would have seen.

    Args:
        rows: Row numbers to draw from.
        batch_size: Rows per step over all processes.
        steps: Length of the whole training.
        seed: Decides the order.
        first_step: Where to begin.
        rank: Which process of ``world_size`` this is; each takes its share of every batch.
        world_size: Number of processes.
    """

    def __init__(
        self,
        rows: NDArray[np.int64],
        *,
        batch_size: int,
        steps: int,
        seed: int,
        first_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.rows, self.batch_size, self.steps, self.seed = rows, batch_size, steps, seed
        self.first_step, self.rank, self.world_size = first_step, rank, world_size

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        for step in range(self.first_step, self.steps):
            yield self.batch(step)[self.rank :: self.world_size]

    def batch(self, step: int) -> NDArray[np.int64]:
        """All rows of one step: the next ``batch_size`` of an endless row of shuffled passes."""
        position = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        passes = position // len(self.rows)
        shuffled = {n: np.random.default_rng([self.seed, n]).permutation(self.rows) for n in np.unique(passes)}
        return np.array([shuffled[n][i % len(self.rows)] for n, i in zip(passes, position, strict=True)])


def batch_loader(
    pairs: SlicePairs,
    sampler: Sampler[NDArray[np.int64]] | list[NDArray[np.int64]],
    workers: int,
    *,
    pin_memory: bool,
) -> DataLoader[dict[str, Tensor]]:
    """A loader whose every item is one batch."""
    return DataLoader(
        pairs,
        sampler=sampler,
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pin_memory,
        worker_init_fn=ignore_in_worker,
    )
