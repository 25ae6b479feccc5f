"""Autoencoder: a narrow code cannot hold what healthy slices never had."""

import torch.nn.functional as F
from torch import Tensor

from mmccd.method.baselines.reconstruction import Reconstruction
from mmccd.method.networks import CodeNetwork


class Autoencoder(Reconstruction):
    """The autoencoder of Baur et al. (2021), "Autoencoders for unsupervised anomaly segmentation in brain MR images".

    Differs: the code is a small map of 8 x 8 x 2 numbers, as many as their dense code has.

    Args:
        network: Encoder and decoder around a code of few numbers.
    """

    def __init__(self, network: CodeNetwork) -> None:
        super().__init__()
        # The deviation is not used: training on several devices would wait for its gradient in vain.
        network.autoencoder.quant_conv_log_sigma.requires_grad_(False)
        self.network = network

    def restore(self, source: Tensor) -> Tensor:
        """Encode and decode."""
        mean, _ = self.network.encode(source)
        return self.network.decode(mean)

    def losses(self, source: Tensor, _target: Tensor) -> dict[str, Tensor]:
        """Mean squared error of the reconstruction."""
        return {"reconstruction": F.mse_loss(self.restore(source), source)}
