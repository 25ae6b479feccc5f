"""Variational autoencoder: the code is also kept close to a standard normal."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mmccd.method.baselines.reconstruction import Reconstruction
from mmccd.method.networks import CodeNetwork


class VariationalAutoencoder(Reconstruction):
    """The VAE of Baur et al. (2021), after Kingma and Welling (2014).

    Differs: the code is a small map, as the autoencoder's; the divergence weighs less, because intensities span a range
    of 6 instead of 1 at the same unit variance.

    Args:
        network: Encoder and decoder around a code of few numbers.
    """

    def __init__(self, network: CodeNetwork) -> None:
        super().__init__()
        self.network = network

    def restore(self, source: Tensor) -> Tensor:
        """Decode the mean of the code."""
        mean, _ = self.network.encode(source)
        return self.network.decode(mean)

    def losses(self, source: Tensor, _target: Tensor) -> dict[str, Tensor]:
        """Twice the negative evidence bound with unit variance, per pixel (Kingma and Welling, 2014, eq. 10)."""
        mean, deviation = self.network.encode(source)
        restored = self.network.decode(mean + deviation * torch.randn_like(mean))
        divergence = (mean.square() + deviation.square() - 2 * deviation.log() - 1).sum() / 2
        return {"reconstruction": F.mse_loss(restored, source), "divergence": 2 * divergence / source.numel()}
