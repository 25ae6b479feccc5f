"""From settings to networks of a method, and to an error between what they are given and restore."""

import torch
from torch import Tensor, nn

from mmccd.data.grid import FIELD_OF_VIEW_MM
from mmccd.errors import ConfigError
from mmccd.method.anomaly_map import Error, squared_error
from mmccd.method.code_network import CodeNetwork
from mmccd.method.diffusion import kept_steps, linear_schedule
from mmccd.method.masks import comb_masks, stripe_masks
from mmccd.method.method import Method, Parts
from mmccd.method.registry import METHODS
from mmccd.method.unet import UNet
from mmccd.model.config import Config, DiffusionConfig
from mmccd.scoring.evidence import TailEvidence


def build_method(config: Config, size_px: int, *, networks_on: str = "cpu") -> Method:
    """Untrained networks of a method for slices of this side; seed torch first to make them reproducible.

    Args:
        config: Which method, and its sizes.
        size_px: Side of the slices.
        networks_on: Device of the networks; ``meta`` knows their shapes and gives them no memory. Of the noise schedule
            alone PyTorch would import its compiler to know the shape, for a second.

    Raises:
        ConfigError: slices, masks or steps that cannot work.
    """
    return METHODS[config.method].build(parts_of(config, size_px, networks_on=networks_on))


def parts_of(config: Config, size_px: int, *, networks_on: str = "cpu") -> Parts:
    """What a method is made of, as `build_method` says.

    Raises:
        ConfigError: slices of this side do not fit the networks.
    """
    network, diffusion = config.network, config.diffusion
    _check_size(network.patch_px * 2 ** (len(network.channels) - 1), size_px)

    def unet(in_channels: int, out_channels: int) -> nn.Module:
        with torch.device(networks_on):
            return UNet(in_channels, out_channels, **network.model_dump())

    def code_network() -> CodeNetwork:
        with torch.device(networks_on):
            return CodeNetwork(**network.model_dump(exclude={"attention", "head_channels"}))

    def steps(highest: int | None = None) -> tuple[int, ...]:
        total, count = diffusion.schedule_steps, diffusion.sampling_steps
        return kept_steps(total, count, spacing=diffusion.spacing, highest=highest)

    return Parts(
        size_px=size_px,
        targets=len(config.targets),
        mirrored=config.training.flip_left_right,
        unet=unet,
        code_network=code_network,
        schedule=linear_schedule(diffusion.schedule_steps),
        sampling_steps=steps,
        restoring_steps=lambda: steps(diffusion.start_step),
        masks=lambda: masks_of(diffusion, size_px),
        training_masks=lambda: masks_of(diffusion.model_copy(update={"masks": "stripes"}), size_px),
        masks_at_once=diffusion.masks_at_once,
    )


def check_fits(config: Config, size_px: int) -> None:
    """Refuse settings that cannot work on slices of this side, before anything takes memory or time.

    Raises:
        ConfigError: slices, masks or steps that cannot work.
    """
    build_method(config, size_px, networks_on="meta")


def build_error(config: Config, counts: Tensor | None) -> Error:
    """What stands between x and x_hat: the paper's square, or evidence from ``counts`` of healthy pairs."""
    if counts is None:
        return squared_error
    return TailEvidence(counts, polarity=config.scoring.polarity, unconditional=config.scoring.unconditional)


def masks_of(diffusion: DiffusionConfig, size_px: int) -> Tensor:
    """The mask collection of settings for slices of this side; (masks, size, size) bool, True = hidden.

    Raises:
        ConfigError: masks that cannot work at this size.
    """

    def px(mm: float) -> int:
        return round(mm * size_px / FIELD_OF_VIEW_MM)

    width_px = px(diffusion.mask_width_mm)
    if diffusion.masks == "combs":
        return comb_masks(size_px, width_px=width_px, combs=diffusion.combs)
    # Small slices have coarse pixels.
    return stripe_masks(size_px, width_px=width_px, stride_px=max(1, px(diffusion.stripe_stride_mm)))


def _check_size(divisor_px: int, size_px: int) -> None:
    if size_px % divisor_px:
        raise ConfigError(
            f"slices of {size_px} px do not fit a network that halves them to a multiple of {divisor_px}",
            f"prepare the store with a --size that is a multiple of {divisor_px}, or use fewer levels",
        )
