"""Veiled cycle: see through coarse noise, straight back and by way of the other modalities, and say how surely."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmccd.method.cycle import Restoration
from mmccd.method.intensity import BACKGROUND
from mmccd.method.noise import coarse_noise

CYCLE_WEIGHT = 0.3
"""Of the cycle's errors beside that of the straight way back, which shares f with it; not tuned."""
SPREAD_WEIGHT = 0.02
"""Of the spreads' loss beside the errors: enough to learn them, too little to bend the restorations."""
SMALLEST, LARGEST = -4.0, 2.0
"""Bounds of the logarithm of a spread."""
LEFT_RIGHT = -2
"""Axis of a slice along which training mirrors it, too."""


class VeiledCycle(nn.Module):
    """MMCCD's cycle with a veil in place of masks, trained as a whole.

    A mask takes from the network what it would need to know a ventricle from a lesion. A veil of coarse noise (Kascenas
    et al., 2023, https://arxiv.org/abs/2301.08330) leaves all edges and hides how bright a region is: the forward
    network learns to see through it, to the slice itself as their denoiser does, and to the other modalities, from
    which the backward network returns. In use there is no veil; what a healthy brain does not explain is taken for
    noise and is lost on every way, of the slice and of its mirror image; what one of them explains is explained. Both
    networks also learn how far off they will be (Nix and Weigend, 1994), so that an error counts more where healthy
    tissue comes back well.

    Args:
        to_target: Forward network f: x to x straight back, y, and the logarithm of the spread of the former.
        to_source: Backward network g: y to x and the logarithm of its spread, two channels.
        mirrored: Whether training mirrors slices: then the mirror image of a slice is restored, too.
    """

    def __init__(self, to_target: nn.Module, to_source: nn.Module, *, mirrored: bool = True) -> None:
        super().__init__()
        self.mirrored = mirrored
        self.to_target = to_target
        self.to_source = to_source

    def losses(self, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Squared errors straight back and of both halves of the cycle, and the Gaussian surprise of both x_hat."""
        translated, restored, log_spread = self._through(coarse_noise(source))
        brain = source > BACKGROUND
        error = (source - restored.detach()) / log_spread.exp()
        surprise = ((0.5 * error.square() + log_spread) * brain).sum() / brain.sum().clamp(min=1)
        straight, back = (F.mse_loss(x_hat, source) for x_hat in restored)
        return {
            "straight": straight,
            "forward": CYCLE_WEIGHT * F.mse_loss(translated, target),
            "backward": CYCLE_WEIGHT * back,
            "spread": SPREAD_WEIGHT * surprise,
        }

    def cycle(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """The translation y_hat of f, and the restored x_hat = g(y_hat)."""
        translated, restored, _ = self._through(source)
        return translated, restored[1]

    def restorations(self, source: Tensor) -> Iterator[Restoration]:
        """x_hat and its spread, straight back and through the cycle; the same of the mirror image: two or four ways.

        They stand under one "mask" of every pixel.
        """
        ways = [self._ways(source)]
        if self.mirrored:
            ways.append(self._ways(source.flip(LEFT_RIGHT)).flip(LEFT_RIGHT))
        yield torch.ones_like(source[None, :1], dtype=torch.bool), torch.cat(ways, dim=1)[None]

    def _ways(self, source: Tensor) -> Tensor:
        """(batch, 4, height, width): x_hat and its spread, straight back, then through the cycle."""
        _, restored, log_spread = self._through(source)
        return torch.cat([restored[0], log_spread[0].exp(), restored[1], log_spread[1].exp()], dim=1)

    def _through(self, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """y_hat; x_hat straight back and through the cycle, (2, batch, 1, height, width); the logarithms of its spread.

        The networks count from the background, to begin near what they are to give.
        """
        seen = self.to_target(source - BACKGROUND)
        above = seen[:, 1:-1]
        back = torch.stack([seen[:, [0, -1]], self.to_source(above)]).float()
        return above.float() + BACKGROUND, back[:, :, :1] + BACKGROUND, back[:, :, 1:].clamp(SMALLEST, LARGEST)
