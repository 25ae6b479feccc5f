"""The network of the autoencoders: a small code between two halves, MONAI's own, built from plain numbers."""

from collections.abc import Sequence

from torch import Tensor, nn


class CodeNetwork(nn.Module):
    """An encoder to the mean and deviation of a small code, and a decoder; convolutional, so of any slice size.

    Args:
        channels: Feature channels per level, finest first; each level but the first halves the slice.
        residual_blocks: Residual blocks per level.
        norm_groups: Groups of the group normalisation.
        patch_px: Side of the pixel block that is folded into channels first.
        code_channels: Numbers of the code at each of its places: 128 in all for slices of 128 px, as Baur et al. have.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int],
        residual_blocks: int,
        norm_groups: int,
        patch_px: int,
        code_channels: int = 2,
    ) -> None:
        from monai.networks.nets.autoencoderkl import AutoencoderKL  # slow to import, and of two methods alone

        super().__init__()
        self.divisor_px = patch_px * 2 ** (len(channels) - 1)
        self.fold = nn.PixelUnshuffle(patch_px)
        self.autoencoder = AutoencoderKL(
            spatial_dims=2,
            in_channels=patch_px**2,
            out_channels=patch_px**2,
            channels=tuple(channels),
            num_res_blocks=residual_blocks,
            attention_levels=[False] * len(channels),
            latent_channels=code_channels,
            norm_num_groups=norm_groups,
            with_encoder_nonlocal_attn=False,
            with_decoder_nonlocal_attn=False,
        )
        self.unfold = nn.PixelShuffle(patch_px)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, 1, height, width) to mean and standard deviation of the code."""
        mean, deviation = self.autoencoder.encode(self.fold(images))
        return mean, deviation

    def decode(self, code: Tensor) -> Tensor:
        """A code to (batch, 1, height, width)."""
        image: Tensor = self.unfold(self.autoencoder.decode(code))
        return image
