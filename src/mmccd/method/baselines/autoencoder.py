"""Autoencoder: a narrow code cannot hold what healthy slices never had."""

from typing import ClassVar, Self

from torch import Tensor

from mmccd.method import references
from mmccd.method.baselines.reconstruction import RECONSTRUCTION, Reconstruction
from mmccd.method.code_network import CodeNetwork
from mmccd.method.method import About, Batch, Parts


class CodedReconstruction(Reconstruction):
    """Encode and decode.

    Args:
        network: Encoder and decoder around a code of few numbers.
    """

    def __init__(self, network: CodeNetwork) -> None:
        super().__init__()
        self.network = network

    @classmethod
    def build(cls, parts: Parts) -> Self:
        """Untrained."""
        return cls(parts.code_network())

    def restore(self, source: Tensor) -> Tensor:
        """Decode the code, or its mean where it is random."""
        mean, _ = self.network.encode(source)
        return self.network.decode(mean)


class Autoencoder(CodedReconstruction):
    """The autoencoder of Baur et al. (2021), "Autoencoders for unsupervised anomaly segmentation in brain MR images".

    Differs: the code is a small map of 8 x 8 x 2 numbers, as many as their dense code has.
    """

    about: ClassVar[About] = About(
        label="AE",
        phrase="an autoencoder",
        references=(references.AUTOENCODERS, references.MONAI),
        losses={"reconstruction": RECONSTRUCTION},
    )

    def __init__(self, network: CodeNetwork) -> None:
        super().__init__(network)
        # The deviation is not used: training on several devices would wait for its gradient in vain.
        network.autoencoder.quant_conv_log_sigma.requires_grad_(False)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of the reconstruction."""
        return {"reconstruction": batch.squared_error(self.restore(batch.source), batch.source)}
