"""Cyclic U-Net: translate x to the other modality and back; the error marks tissue never seen in training."""

import torch.nn.functional as F
from torch import Tensor, nn


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
        """Mean squared error of each network on its own; slices are (batch, 1, height, width)."""
        return {
            "forward": F.mse_loss(self.to_target(source), target),
            "backward": F.mse_loss(self.to_source(target), source),
        }

    def cycle(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """The translation y_hat = f(x), and the restored x_hat = g(y_hat)."""
        target = self.to_target(source)
        return target, self.to_source(target)

    def anomaly_map(self, source: Tensor) -> Tensor:
        """Squared cycle error (x - g(f(x)))^2 of every pixel."""
        _, restored = self.cycle(source)
        return (source - restored).square()
