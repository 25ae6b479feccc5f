"""Veiled cycle: see through coarse noise, straight back and by way of the other modalities, and say how surely."""

from collections.abc import Iterator
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from mmccd.method import references
from mmccd.method.anomaly_map import Restoration
from mmccd.method.intensity import BACKGROUND
from mmccd.method.method import About, Batch, Loss, Parts
from mmccd.method.noise import coarse_noise

CYCLE_WEIGHT = 0.3
"""Of the cycle's errors beside that of the straight way back, which shares f with it; not tuned."""
SIGMA_WEIGHT = 0.02
"""Of the loss of sigma beside the errors: enough to learn it, too little to bend the restorations."""
SMALLEST, LARGEST = -4.0, 2.0
"""Bounds of the logarithm of sigma."""
LEFT_RIGHT = -2
"""Axis of a slice along which training mirrors it, too."""


class VeiledCycle(nn.Module):
    """MMCCD's cycle with a veil in place of masks, trained as a whole.

    A mask takes from the network what it would need to know a ventricle from a lesion. A veil of coarse noise (Kascenas
    et al., 2023) leaves all edges and hides how bright a region is: the forward network learns to see through it, to
    the slice itself as their denoiser does, and to the other modalities, from which the backward network returns. In
    use there is no veil: what a healthy brain does not explain is taken for noise, and is lost on every way back.
    Both networks also learn how far off they will be, by a heteroscedastic loss (Nix and Weigend, 1994), so that an
    error counts more where healthy tissue comes back well.

    Args:
        to_target: Forward network f: x to x straight back, y, and the logarithm of sigma of the former.
        to_source: Backward network g: y to x and the logarithm of its sigma, two channels.
        mirrored: Whether training mirrors slices: then the mirror image is restored, too (test-time augmentation).
    """

    about: ClassVar[About] = About(
        label="Veiled cycle",
        phrase="a veiled cycle, a modality cycle that sees through coarse noise",
        references=(references.MMCCD, *references.COARSE_NOISE, references.HETEROSCEDASTIC),
        losses={
            "straight": Loss("Straight back, {source} → {source}"),
            "forward": Loss("Forward network, {source} → {targets}", weight=CYCLE_WEIGHT),
            "backward": Loss("Both networks, {source} → {targets} → {source}", weight=CYCLE_WEIGHT),
            "sigma": Loss("Expected error", quantity="Gaussian negative log-likelihood", weight=SIGMA_WEIGHT),
        },
        targets="all",
    )

    def __init__(self, to_target: nn.Module, to_source: nn.Module, *, mirrored: bool = True) -> None:
        super().__init__()
        self.mirrored = mirrored
        self.to_target = to_target
        self.to_source = to_source

    @classmethod
    def build(cls, parts: Parts) -> Self:
        """Untrained."""
        to_target, to_source = parts.unet(1, 1 + parts.targets + 1), parts.unet(parts.targets, 2)
        return cls(to_target, to_source, mirrored=parts.mirrored)

    @property
    def evaluations(self) -> int:
        """Both networks, of the slice and of its mirror image."""
        return 2 * (1 + self.mirrored)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Squared errors straight back and of both halves of the cycle, and the loss of sigma over the brain."""
        source, brain = batch.source, batch.brain & batch.healthy
        translated, restored, log_sigma = self._through(coarse_noise(source))
        error = (source - restored.detach()) / log_sigma.exp()
        likelihood = ((0.5 * error.square() + log_sigma) * brain).sum() / brain.sum().clamp(min=1)
        straight, back = (batch.squared_error(x_hat, source) for x_hat in restored)
        return {
            "straight": straight,
            "forward": batch.squared_error(translated, batch.target),
            "backward": back,
            "sigma": likelihood,
        }

    def translate(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """The translation y_hat of f, and the restored x_hat = g(y_hat)."""
        translated, restored, _ = self._through(source)
        return translated, restored[1]

    def restorations(self, source: Tensor) -> Iterator[Restoration]:
        """Whole slices in two ways, straight back and through the cycle; in four with those of the mirror image."""
        _, restored, log_sigma = self._through(source)
        if self.mirrored:
            _, *mirrored = self._through(source.flip(LEFT_RIGHT))
            restored, log_sigma = (
                torch.cat([one, other.flip(LEFT_RIGHT)])
                for one, other in zip((restored, log_sigma), mirrored, strict=True)
            )
        restored, sigma = (ways[:, :, 0].movedim(0, 1) for ways in (restored, log_sigma.exp()))
        yield Restoration.of_whole_slices(restored, sigma)

    def quick(self) -> "VeiledCycle":
        """Itself."""
        return self

    def _through(self, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """y_hat; x_hat straight back and through the cycle, (2, batch, 1, height, width); the logarithms of its sigma.

        The networks count from the background, to begin near what they are to give.
        """
        seen = self.to_target(source - BACKGROUND)
        above = seen[:, 1:-1]
        back = torch.stack([seen[:, [0, -1]], self.to_source(above)]).float()
        return above.float() + BACKGROUND, back[:, :, :1] + BACKGROUND, back[:, :, 1:].clamp(SMALLEST, LARGEST)
