"""Cyclic U-Net: translate x to the other modality and back; the error marks tissue never seen in training."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmccd.method.cycle import Restoration


class CyclicUNet(nn.Module):
    """The deterministic cycle that MMCCD is compared with (Liang et al., 2023, section 2.1).

    Args:
        to_target: Forward network f: x to y.
        to_source: Backward network g: y to x.
    """

    def __init__(self, to_target: nn.Module, to_source: nn.Module) -> None:
        super().__init__()
        self.to_target = to_target
        self.to_source = to_source

    def losses(self, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Mean squared error of each network on its own; (batch, 1, ...) and (batch, targets, height, width)."""
        return {
            "forward": F.mse_loss(self.to_target(source), target),
            "backward": F.mse_loss(self.to_source(target), source),
        }

    def cycle(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """The translation y_hat = f(x), and the restored x_hat = g(y_hat)."""
        target = self.to_target(source)
        return target, self.to_source(target)

    def restorations(self, source: Tensor) -> Iterator[Restoration]:
        """The whole slice, restored from its translation: one "mask" that counts every pixel."""
        _, restored = self.cycle(source)
        yield torch.ones_like(restored[None, :1], dtype=torch.bool), restored[None]
