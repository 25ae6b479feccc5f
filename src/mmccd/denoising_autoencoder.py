"""Denoising autoencoder: remove coarse noise, and lesions with it."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmccd.intensity import BACKGROUND
from mmccd.noise import coarse_gaussian
from mmccd.reconstruction import Reconstruction

NOISE = 1.2
"""Standard deviation: the paper's 0.2 of a range [0, 1], on our range [-3, 3]."""
NODES = 16
"""Nodes of the noise along a side of 240 mm: the paper's 16 along its slices."""

_draw = partial(coarse_gaussian, nodes=NODES)


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
        batch, channels, height, width = source.shape
        noise = NOISE * torch.cat([_draw((1, channels, height, width), None, source.device) for _ in range(batch)])
        noisy = torch.where(source > BACKGROUND, source + noise, source)
        return {"reconstruction": F.mse_loss(self.network(noisy), source)}
