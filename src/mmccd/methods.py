"""The methods by name: how a config becomes networks."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from mmccd.config import Config, DiffusionConfig
from mmccd.cyclic_unet import CyclicUNet
from mmccd.diffusion import kept_steps, linear_schedule
from mmccd.masked_diffusion import MaskedDiffusionCycle
from mmccd.masks import comb_masks, stripe_masks
from mmccd.networks import UNet

Method = CyclicUNet | MaskedDiffusionCycle
"""What every method offers: ``losses(source, target)``, ``cycle(source)`` and ``restorations(source)``."""


def build_method(config: Config) -> Method:
    """Untrained networks of a method; seed torch first to make them reproducible.

    Raises:
        ConfigError: masks or steps that cannot work.
    """

    def unet(in_channels: int, out_channels: int) -> nn.Module:
        return UNet(in_channels, out_channels, **config.network.model_dump())

    targets = len(config.targets)
    if config.method == "cyclic-unet":
        return CyclicUNet(to_target=unet(1, targets), to_source=unet(targets, 1))
    diffusion = config.diffusion
    steps = kept_steps(diffusion.schedule_steps, diffusion.sampling_steps, spacing=diffusion.spacing)
    return MaskedDiffusionCycle(
        to_target=unet(targets + 1, targets),
        to_source=unet(targets, 1),
        masks_for=masks_of(diffusion),
        schedule=linear_schedule(diffusion.schedule_steps),
        steps=steps,
        training_steps=steps if diffusion.train_on == "sampling-steps" else range(diffusion.schedule_steps),
        targets=targets,
        ancestral=diffusion.sampler == "ddpm",
        masks_at_once=diffusion.masks_at_once,
    )


def masks_of(diffusion: DiffusionConfig) -> Callable[[int], Tensor]:
    """The mask collection of a config, as a function of the slices' side in pixels."""
    if diffusion.masks == "combs":
        return partial(comb_masks, width_px=diffusion.mask_width_px, combs=diffusion.combs)
    return partial(
        stripe_masks,
        width_px=diffusion.mask_width_px,
        stride_px=diffusion.stripe_stride_px,
        wrap=diffusion.stripes_wrap,
    )
