"""Variational autoencoder: the code is also kept close to a standard normal."""

from typing import ClassVar

import torch
from torch import Tensor

from mmccd.method import references
from mmccd.method.baselines.autoencoder import CodedReconstruction
from mmccd.method.baselines.reconstruction import RECONSTRUCTION
from mmccd.method.method import About, Batch, Loss


class VariationalAutoencoder(CodedReconstruction):
    """The VAE of Baur et al. (2021), after Kingma and Welling (2014).

    Differs: the code is a small map, as the autoencoder's; the divergence weighs less, because intensities span a range
    of 6 instead of 1 at the same unit variance.
    """

    about: ClassVar[About] = About(
        label="VAE",
        phrase="a variational autoencoder",
        references=(references.AUTOENCODERS, references.VAE, references.MONAI),
        losses={
            "reconstruction": RECONSTRUCTION,
            "divergence": Loss("Divergence of the code", quantity="Kullback-Leibler divergence per pixel, doubled"),
        },
    )

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Twice the negative evidence bound with unit variance, per pixel (Kingma and Welling, 2014, eq. 10)."""
        source = batch.source
        mean, deviation = self.network.encode(source)
        restored = self.network.decode(mean + deviation * torch.randn_like(mean))
        divergence = (mean.square() + deviation.square() - 2 * deviation.log() - 1).sum() / 2
        return {"reconstruction": batch.squared_error(restored, source), "divergence": 2 * divergence / source.numel()}
