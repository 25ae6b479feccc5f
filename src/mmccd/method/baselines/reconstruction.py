"""Reconstruction: methods that restore a slice from itself, having learnt what healthy slices look like."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Self

from torch import Tensor, nn

from mmccd.method.anomaly_map import Restoration
from mmccd.method.method import About, Batch, Loss, Parts

RECONSTRUCTION = Loss("Reconstruction of {source}")


class Reconstruction(nn.Module, ABC):
    """A method of one modality: the source goes in, and comes out as a healthy slice would."""

    about: ClassVar[About]

    @property
    def evaluations(self) -> int:
        """One, unless a method says otherwise."""
        return 1

    @classmethod
    @abstractmethod
    def build(cls, parts: Parts) -> Self:
        """Untrained."""

    @abstractmethod
    def restore(self, source: Tensor) -> Tensor:
        """x_hat of x, (batch, 1, height, width)."""

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """What training makes small; the target is not used."""

    def translate(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """No translation, (batch, 0, ...), and x_hat."""
        return source[:, :0], self.restore(source)

    def restorations(self, source: Tensor) -> Iterator[Restoration]:
        """The whole slice at once."""
        yield Restoration.of_whole_slices(self.restore(source))

    def quick(self) -> "Reconstruction":
        """Itself, unless a method samples."""
        return self
