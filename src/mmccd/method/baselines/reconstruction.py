"""Reconstruction: methods that restore a slice from itself, having learnt what healthy slices look like."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mmccd.method.cycle import Restoration


class Reconstruction(nn.Module, ABC):
    """A method of one modality: the source goes in, and comes out as a healthy slice would."""

    @abstractmethod
    def restore(self, source: Tensor) -> Tensor:
        """x_hat of x, (batch, 1, height, width)."""

    @abstractmethod
    def losses(self, source: Tensor, _target: Tensor) -> dict[str, Tensor]:
        """What training makes small; the target is not used."""

    def cycle(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """No translation, (batch, 0, ...), and x_hat."""
        return source[:, :0], self.restore(source)

    def restorations(self, source: Tensor) -> Iterator[Restoration]:
        """The whole slice at once: one "mask" that counts every pixel."""
        restored = self.restore(source)
        yield torch.ones_like(restored[None, :1], dtype=torch.bool), restored[None]
