"""Veiled cycle: see through coarse noise to the other modalities, come back, and say how far off to expect to be."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmccd.cycle import Restoration
from mmccd.intensity import BACKGROUND
from mmccd.noise import coarse_noise

SPREAD_WEIGHT = 0.02
"""Of the spread's loss beside the errors: enough to learn it, too little to bend the restoration."""
SMALLEST, LARGEST = -4.0, 2.0
"""Bounds of the logarithm of the spread."""


class VeiledCycle(nn.Module):
    """MMCCD's cycle with a veil in place of masks, trained as a whole.

    A mask takes from the network what it would need to know a ventricle from a lesion. A veil of coarse noise (Kascenas
    et al., 2023, https://arxiv.org/abs/2301.08330) leaves all edges and hides how bright a region is: the forward
    network learns to see through it to the other modalities. In use there is no veil; what a healthy brain does not
    explain is taken for noise and is lost on the way. The backward network also learns how far off it will be (Nix and
    Weigend, 1994), so that an error counts more where healthy tissue comes back well.

    Args:
        to_target: Forward network f: x to y.
        to_source: Backward network g: y to x and the logarithm of the spread, two channels.
    """

    def __init__(self, to_target: nn.Module, to_source: nn.Module) -> None:
        super().__init__()
        self.to_target = to_target
        self.to_source = to_source

    def losses(self, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Mean squared errors of both halves of the cycle under a veil, and the Gaussian surprise of its error."""
        translated, restored, log_spread = self._through(coarse_noise(source))
        brain = source > BACKGROUND
        error = (source - restored.detach()) / log_spread.exp()
        surprise = (0.5 * error.square() + log_spread)[brain].sum() / brain.sum().clamp(min=1)
        return {
            "forward": F.mse_loss(translated, target),
            "backward": F.mse_loss(restored, source),
            "spread": SPREAD_WEIGHT * surprise,
        }

    def cycle(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """The translation y_hat = f(x), and the restored x_hat = g(y_hat)."""
        translated, restored, _ = self._through(source)
        return translated, restored

    def restorations(self, source: Tensor) -> Iterator[Restoration]:
        """x_hat of the whole slice and its spread: one "mask" that counts every pixel."""
        _, restored, log_spread = self._through(source)
        both = torch.cat([restored, log_spread.exp()], dim=1)[None]
        yield torch.ones_like(both[:, :1, :1], dtype=torch.bool), both

    def _through(self, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """y_hat, x_hat and the logarithm of its spread; the networks count from the background, to begin near it."""
        above = self.to_target(source - BACKGROUND)
        back = self.to_source(above).float()
        log_spread = back[:, 1:].clamp(SMALLEST, LARGEST)
        return above.float() + BACKGROUND, back[:, :1] + BACKGROUND, log_spread
