"""The network behind every method: the time-conditioned U-Net of Dhariwal and Nichol (2021), in two dimensions.

Parameters are named as in MONAI's `DiffusionModelUNet`, whose weights fit, and drawn in its order; without its dropout.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPS = 1e-6
LONGEST_PERIOD = 10_000


class UNet(nn.Module):
    """A time-conditioned 2D U-Net from ``in_channels`` images to ``out_channels`` others.

    With the sizes of the preset `paper` this is the guided-diffusion U-Net of the authors' code but for its
    scale-shift normalisation and dropout (6.27 M parameters, 10.9 GFLOP per 128 x 128 slice; ADR 0004).

    Args:
        in_channels: Images stacked on the channel axis.
        out_channels: Images that it makes of them.
        channels: Feature channels per level, finest first.
        attention: Whether a level has self-attention; between its halves the network has it in any case.
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
        self.unet = _Halves(
            in_channels * patch_px**2, out_channels * patch_px**2, channels, attention, residual_blocks, norm_groups,
            head_channels,
        )  # fmt: skip
        self.unfold = nn.PixelShuffle(patch_px)

    def forward(self, images: Tensor, timesteps: Tensor | None = None) -> Tensor:
        """(batch, in_channels, height, width) to (batch, out_channels, height, width); no timestep means t = 0."""
        if timesteps is None:
            timesteps = torch.zeros(images.shape[0], dtype=torch.long, device=images.device)
        result: Tensor = self.unfold(self.unet(self.fold(images), timesteps))
        return result


class _Halves(nn.Module):
    """Down through the levels, and up again past what was seen on the way."""

    def __init__(
        self, inputs: int, outputs: int, channels: Sequence[int], attention: Sequence[bool], residual_blocks: int,
        norm_groups: int, head_channels: int,
    ) -> None:  # fmt: skip
        super().__init__()
        finest, coarsest, time = channels[0], channels[-1], 4 * channels[0]
        self.finest = finest
        self.conv_in = _conv(inputs, finest)
        self.time_embed = nn.Sequential(nn.Linear(finest, time), nn.SiLU(), nn.Linear(time, time))
        self.down_blocks = nn.ModuleList()
        seen = [finest]  # channels of what the way up passes again
        for level, (count, attends) in enumerate(zip(channels, attention, strict=True)):
            last = level == len(channels) - 1
            before = [seen[-1], *[count] * (residual_blocks - 1)]
            self.down_blocks.append(
                _Level(before, count, time, norm_groups, head_channels if attends else None, None if last else "half")
            )
            seen += [count] * (residual_blocks + (not last))
        self.middle_block = _Middle(coarsest, time, norm_groups, head_channels)
        self.up_blocks = nn.ModuleList()
        below = coarsest
        for level, count, attends in reversed(list(zip(range(len(channels)), channels, attention, strict=True))):
            before = [inner + seen.pop() for inner in [below, *[count] * residual_blocks]]
            self.up_blocks.append(
                _Level(before, count, time, norm_groups, head_channels if attends else None, "twice" if level else None)
            )
            below = count
        self.out = nn.Sequential(
            nn.GroupNorm(norm_groups, finest, eps=NORM_EPS), nn.SiLU(), _zeroed(_conv(finest, outputs))
        )

    def forward(self, images: Tensor, timesteps: Tensor) -> Tensor:
        time = F.silu(self.time_embed(_waves(timesteps, self.finest).to(images.dtype)))
        now: Tensor = self.conv_in(images)
        seen = [now]
        level: Any  # a `_Level`, which a ModuleList does not tell
        for level in self.down_blocks:
            for block, attend in level.pairs():
                now = attend(block(now, time))
                seen.append(now)
            if level.downsampler is not None:
                now = level.downsampler(now, time)
                seen.append(now)
        now = self.middle_block(now, time)
        for level in self.up_blocks:
            for block, attend in level.pairs():
                now = attend(block(torch.cat([now, seen.pop()], dim=1), time))
            if level.upsampler is not None:
                now = level.upsampler(now, time)
        found: Tensor = self.out(now)
        return found


class _Level(nn.Module):
    """Residual blocks of one resolution, attention behind each where the level has it, and a block to the next one."""

    def __init__(
        self, inputs: Sequence[int], count: int, time: int, groups: int, head_channels: int | None, then: str | None
    ) -> None:
        super().__init__()
        resnets, attentions = [], []
        for of_block in inputs:
            resnets.append(_Residual(of_block, count, time, groups))
            if head_channels:
                attentions.append(_Attention(count, groups, head_channels))
        self.resnets, self.attentions = nn.ModuleList(resnets), nn.ModuleList(attentions)
        self.downsampler = _Residual(count, count, time, groups, then) if then == "half" else None
        self.upsampler = _Residual(count, count, time, groups, then) if then == "twice" else None

    def pairs(self) -> Iterator[tuple[nn.Module, Callable[[Tensor], Tensor]]]:
        """Each residual block and the attention behind it."""
        return zip(self.resnets, self.attentions or [_as_it_is] * len(self.resnets), strict=True)


class _Middle(nn.Module):
    def __init__(self, channels: int, time: int, groups: int, head_channels: int) -> None:
        super().__init__()
        self.resnet_1 = _Residual(channels, channels, time, groups)
        self.attention = _Attention(channels, groups, head_channels)
        self.resnet_2 = _Residual(channels, channels, time, groups)

    def forward(self, images: Tensor, time: Tensor) -> Tensor:
        found: Tensor = self.resnet_2(self.attention(self.resnet_1(images, time)), time)
        return found


class _Residual(nn.Module):
    """What two convolutions add to what comes in, at half or twice its resolution where that is asked for."""

    def __init__(self, inputs: int, outputs: int, time: int, groups: int, resolution: str | None = None) -> None:
        super().__init__()
        self.resolution = resolution
        self.norm1 = nn.GroupNorm(groups, inputs, eps=NORM_EPS)
        self.conv1 = _conv(inputs, outputs)
        self.time_emb_proj = nn.Linear(time, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs, eps=NORM_EPS)
        self.conv2 = _zeroed(_conv(outputs, outputs))
        self.skip_connection = nn.Identity() if inputs == outputs else _conv(inputs, outputs, side=1)

    def forward(self, images: Tensor, time: Tensor) -> Tensor:
        inner = F.silu(self.norm1(images))
        if self.resolution == "half":
            images, inner = (F.avg_pool2d(one, 2) for one in (images, inner))
        elif self.resolution == "twice":
            images, inner = (F.interpolate(one, scale_factor=2.0, mode="nearest") for one in (images, inner))
        inner = self.conv1(inner) + self.time_emb_proj(time)[:, :, None, None]
        added: Tensor = self.skip_connection(images) + self.conv2(F.silu(self.norm2(inner)))
        return added


class _Attention(nn.Module):
    """What every place takes from all others, in several heads, added to what comes in."""

    def __init__(self, channels: int, groups: int, head_channels: int) -> None:
        super().__init__()
        self.heads = channels // head_channels
        self.norm = nn.GroupNorm(groups, channels, eps=NORM_EPS)
        self.attn = nn.ModuleDict(
            {name: nn.Linear(channels, channels) for name in ("out_proj", "to_q", "to_k", "to_v")}
        )

    def forward(self, images: Tensor) -> Tensor:
        places = self.norm(images).flatten(2).transpose(1, 2)
        asked = (self.attn[name](places).unflatten(2, (self.heads, -1)) for name in ("to_q", "to_k", "to_v"))
        taken = F.scaled_dot_product_attention(*(one.transpose(1, 2) for one in asked))
        found: Tensor = self.attn["out_proj"](taken.transpose(1, 2).flatten(2))
        return found.transpose(1, 2).reshape(images.shape) + images


def _as_it_is(images: Tensor) -> Tensor:
    return images


def _conv(inputs: int, outputs: int, side: int = 3) -> nn.Sequential:
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(inputs, outputs, side, padding=side // 2)))


def _zeroed(module: nn.Sequential) -> nn.Sequential:
    """A fresh block adds nothing, and a fresh network gives 0."""
    for weight in module.parameters():
        nn.init.zeros_(weight)
    return module


def _waves(timesteps: Tensor, channels: int) -> Tensor:
    """Cosines and sines of the time, in periods from 2 pi to 2 pi times 10,000; (batch, channels)."""
    half = channels // 2
    steps = torch.arange(half, dtype=torch.float32, device=timesteps.device)
    angles = timesteps[:, None].float() * (-math.log(LONGEST_PERIOD) * steps / half).exp()[None]
    return F.pad(torch.cat([angles.cos(), angles.sin()], dim=-1), (0, channels % 2))
