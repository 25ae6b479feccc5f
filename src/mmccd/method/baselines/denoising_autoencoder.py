"""Denoising autoencoder: remove coarse noise, and lesions with it."""

from typing import ClassVar, Self

from torch import Tensor, nn

from mmccd.method import references
from mmccd.method.baselines.reconstruction import RECONSTRUCTION, Reconstruction
from mmccd.method.method import About, Batch, Parts
from mmccd.method.noise import coarse_noise


class DenoisingAutoencoder(Reconstruction):
    """The coarse-noise denoiser of Kascenas et al. (2022, 2023), https://arxiv.org/abs/2301.08330.

    Differs: one modality instead of all at once, and the loss runs over the whole slice.

    Args:
        network: A U-Net from an image to an image.
    """

    about: ClassVar[About] = About(
        label="DAE",
        phrase="a denoising autoencoder",
        references=references.COARSE_NOISE,
        losses={"reconstruction": RECONSTRUCTION},
    )

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @classmethod
    def build(cls, parts: Parts) -> Self:
        """Untrained."""
        return cls(parts.unet(1, 1))

    def restore(self, source: Tensor) -> Tensor:
        """Denoise the slice as it is; nothing is added to it."""
        restored: Tensor = self.network(source)
        return restored

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error after coarse noise was added to the brain."""
        return {"reconstruction": batch.squared_error(self.network(coarse_noise(batch.source)), batch.source)}
