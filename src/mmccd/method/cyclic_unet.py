"""Cyclic U-Net: translate x to the other modality and back; the error marks tissue never seen in training."""

from collections.abc import Iterator
from typing import ClassVar, Self

from torch import Tensor, nn

from mmccd.method import references
from mmccd.method.anomaly_map import Restoration
from mmccd.method.method import About, Batch, Loss, Parts

CYCLE_LOSSES = {
    "forward": Loss("Forward network, {source} → {targets}"),
    "backward": Loss("Backward network, {targets} → {source}"),
}


class CyclicUNet(nn.Module):
    """The deterministic cycle that MMCCD is compared with (Liang et al., 2023, section 2.1).

    Args:
        to_target: Forward network f: x to y.
        to_source: Backward network g: y to x.
    """

    about: ClassVar[About] = About(
        label="Cyclic U-Net",
        phrase="the Cyclic U-Net",
        references=(references.MMCCD,),
        losses=CYCLE_LOSSES,
        targets="one",
    )
    evaluations = 2

    def __init__(self, to_target: nn.Module, to_source: nn.Module) -> None:
        super().__init__()
        self.to_target = to_target
        self.to_source = to_source

    @classmethod
    def build(cls, parts: Parts) -> Self:
        """Untrained."""
        return cls(to_target=parts.unet(1, parts.targets), to_source=parts.unet(parts.targets, 1))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of each network on its own."""
        return {
            "forward": batch.squared_error(self.to_target(batch.source), batch.target),
            "backward": batch.squared_error(self.to_source(batch.target), batch.source),
        }

    def translate(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """The translation y_hat = f(x), and the restored x_hat = g(y_hat)."""
        target = self.to_target(source)
        return target, self.to_source(target)

    def restorations(self, source: Tensor) -> Iterator[Restoration]:
        """The whole slice, restored from its translation."""
        _, restored = self.translate(source)
        yield Restoration.of_whole_slices(restored)

    def quick(self) -> "CyclicUNet":
        """Itself."""
        return self
