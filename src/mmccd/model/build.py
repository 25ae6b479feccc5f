"""The methods by name: how a config becomes networks, and an error between what they are given and restore."""

from functools import partial
from typing import Any

from torch import Tensor, nn

from mmccd.data.grid import FIELD_OF_VIEW_MM
from mmccd.method.baselines.autoencoder import Autoencoder
from mmccd.method.baselines.denoising_autoencoder import DenoisingAutoencoder
from mmccd.method.baselines.diffusion_reconstruction import DiffusionReconstruction
from mmccd.method.baselines.patched_diffusion import PatchedDiffusion
from mmccd.method.baselines.reconstruction import Reconstruction
from mmccd.method.baselines.variational_autoencoder import VariationalAutoencoder
from mmccd.method.cycle import Error, squared_error
from mmccd.method.cyclic_unet import CyclicUNet
from mmccd.method.diffusion import kept_steps, linear_schedule
from mmccd.method.masked_cycle import MaskedDiffusionCycle
from mmccd.method.masks import comb_masks, patch_masks, stripe_masks
from mmccd.method.networks import CodeNetwork, UNet
from mmccd.method.noise import gaussian, simplex
from mmccd.method.veiled_cycle import VeiledCycle
from mmccd.model.config import RECONSTRUCTIONS, Config, DiffusionConfig
from mmccd.scoring.evidence import Polarity, TailEvidence
from mmccd.scoring.maps import typical_polarity, typical_unconditional

Method = CyclicUNet | MaskedDiffusionCycle | VeiledCycle | Reconstruction
"""What every method offers: ``losses(source, target)``, ``cycle(source)`` and ``restorations(source)``."""


def build_method(config: Config) -> Method:
    """Untrained networks of a method; seed torch first to make them reproducible.

    Raises:
        ConfigError: masks or steps that cannot work.
    """

    def unet(in_channels: int, out_channels: int, **other: Any) -> nn.Module:
        return UNet(in_channels, out_channels, **(config.network.model_dump() | other))

    if config.method in RECONSTRUCTIONS:
        return _build_reconstruction(config)
    targets = len(config.targets)
    if config.method == "cyclic-unet":
        return CyclicUNet(to_target=unet(1, targets), to_source=unet(targets, 1))
    if config.method == "veiled-cycle":
        own = {"from_background": False}  # it counts from there itself
        return VeiledCycle(
            to_target=unet(1, 1 + targets + 1, **own),
            to_source=unet(targets, 2, **own),
            mirrored=config.training.flip_left_right,
        )
    diffusion = config.diffusion
    steps = kept_steps(diffusion.schedule_steps, diffusion.sampling_steps, spacing=diffusion.spacing)
    return MaskedDiffusionCycle(
        to_target=unet(targets + 1, targets),
        to_source=unet(targets, 1),
        masks_for=partial(masks_of, diffusion),
        training_masks_for=partial(masks_of, diffusion.model_copy(update={"masks": diffusion.train_masks})),
        schedule=linear_schedule(diffusion.schedule_steps),
        steps=steps,
        training_steps=steps if diffusion.train_on == "sampling-steps" else range(diffusion.schedule_steps),
        targets=targets,
        ancestral=diffusion.sampler == "ddpm",
        masks_at_once=diffusion.masks_at_once,
    )


def _build_reconstruction(config: Config) -> Reconstruction:
    """The baselines of one modality."""
    size = config.network
    if config.method in ("ae", "vae"):
        network = CodeNetwork(**size.model_dump(exclude={"attention", "head_channels"}))
        return Autoencoder(network) if config.method == "ae" else VariationalAutoencoder(network)
    unet = UNet(1, **size.model_dump())
    if config.method == "dae":
        return DenoisingAutoencoder(unet)
    diffusion = config.diffusion
    schedule = linear_schedule(diffusion.schedule_steps)
    steps = kept_steps(
        diffusion.schedule_steps, diffusion.sampling_steps, spacing=diffusion.spacing, highest=diffusion.start_step
    )
    if config.method == "pddpm":
        return PatchedDiffusion(unet, masks_for=patch_masks, schedule=schedule, steps=steps, draw=simplex)
    draw = simplex if config.method == "anoddpm" else gaussian
    return DiffusionReconstruction(unet, schedule=schedule, steps=steps, draw=draw)


def build_error(config: Config, counts: Tensor | None) -> Error:
    """What stands between x and x_hat: the published square, or evidence from ``counts`` of healthy pairs."""
    scoring = config.scoring
    if counts is None:
        return squared_error
    polarity: Polarity = typical_polarity(config.source) if scoring.polarity == "typical" else scoring.polarity
    share = typical_unconditional(config.source) if scoring.unconditional == "typical" else scoring.unconditional
    return TailEvidence(counts, polarity=polarity, unconditional=share)


def masks_of(diffusion: DiffusionConfig, size_px: int) -> Tensor:
    """The mask collection of a config for slices of this side; (masks, size, size) bool, True = hidden.

    Raises:
        ConfigError: masks that cannot work at this size.
    """
    width_px, stride_px = (
        round(mm * size_px / FIELD_OF_VIEW_MM) for mm in (diffusion.mask_width_mm, diffusion.stripe_stride_mm)
    )
    stride_px = max(1, stride_px)  # small slices have coarse pixels
    if diffusion.masks == "combs":
        return comb_masks(size_px, width_px=width_px, combs=diffusion.combs)
    return stripe_masks(size_px, width_px=width_px, stride_px=stride_px, wrap=diffusion.stripes_wrap)
