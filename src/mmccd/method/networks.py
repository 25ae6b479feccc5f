"""The networks behind every method, MONAI's own, built from plain numbers."""

from collections.abc import Sequence

import torch
from monai.networks.nets.autoencoderkl import AutoencoderKL
from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet
from torch import Tensor, nn


class UNet(nn.Module):
    """A time-conditioned 2D U-Net from ``in_channels`` images to ``out_channels`` others.

    With the sizes of the preset `paper` this is the guided-diffusion U-Net of the authors' code but for its
    scale-shift normalisation and dropout (6.27 M parameters, 10.9 GFLOP per 128 x 128 slice; ADR 0004).

    Args:
        in_channels: Images stacked on the channel axis.
        out_channels: Images that it makes of them.
        channels: Feature channels per level, finest first.
        attention: Whether a level has self-attention.
        residual_blocks: Residual blocks per level.
        norm_groups: Groups of the group normalisation.
        head_channels: Channels per attention head.
        patch_px: Side of the pixel block that is folded into channels first; 1 leaves pixels as they are.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 1,
        *,
        channels: Sequence[int],
        attention: Sequence[bool],
        residual_blocks: int,
        norm_groups: int,
        head_channels: int,
        patch_px: int,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.divisor_px = patch_px * 2 ** (len(channels) - 1)
        self.fold = nn.PixelUnshuffle(patch_px)
        self.unet = DiffusionModelUNet(
            spatial_dims=2,
            in_channels=in_channels * patch_px**2,
            out_channels=out_channels * patch_px**2,
            channels=tuple(channels),
            attention_levels=tuple(attention),
            num_res_blocks=residual_blocks,
            norm_num_groups=norm_groups,
            num_head_channels=head_channels,
            resblock_updown=True,
            use_flash_attention=True,
        )
        self.unfold = nn.PixelShuffle(patch_px)

    def forward(self, images: Tensor, timesteps: Tensor | None = None) -> Tensor:
        """(batch, in_channels, height, width) to (batch, out_channels, height, width); no timestep means t = 0."""
        if timesteps is None:
            timesteps = torch.zeros(images.shape[0], dtype=torch.long, device=images.device)
        result: Tensor = self.unfold(self.unet(self.fold(images), timesteps))
        return result


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
