"""Denoising autoencoder: remove coarse noise, and lesions with it."""

import torch.nn.functional as F
from torch import Tensor, nn

from mmccd.method.baselines.reconstruction import Reconstruction
from mmccd.method.noise import coarse_noise


class DenoisingAutoencoder(Reconstruction):
    """The coarse-noise denoiser of Kascenas et al. (2022, 2023), https://arxiv.org/abs/2301.08330.

    Differs: one modality instead of all at once, and the loss runs over the whole slice.

    Args:
        network: A U-Net from an image to an image.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def restore(self, source: Tensor) -> Tensor:
        """Denoise the slice as it is; nothing is added to it."""
        restored: Tensor = self.network(source)
        return restored

    def losses(self, source: Tensor, _target: Tensor) -> dict[str, Tensor]:
        """Mean squared error after coarse noise was added to the brain."""
        return {"reconstruction": F.mse_loss(self.network(coarse_noise(source)), source)}
