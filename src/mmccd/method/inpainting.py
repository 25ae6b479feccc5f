"""Masked conditional diffusion: generate all of y from the visible part of x."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmccd.method.diffusion import NoiseSchedule

Forward = Callable[[Tensor, Tensor], Tensor]
"""f: (batch, targets + 1, height, width) of [y_t, condition] and (batch,) steps, to (batch, targets, ...) clean y_0."""
Noise = Callable[[Tensor], Tensor]
"""Standard normal noise of the shape of its argument."""


def hide(source: Tensor, hidden: Tensor, noise: Tensor) -> Tensor:
    """The condition c: x where it is visible, noise where it is hidden (Liang et al., 2023, section 2.2)."""
    return torch.where(hidden, noise, source)


def inpainting_loss(
    to_target: Forward,
    source: Tensor,
    target: Tensor,
    hidden: Tensor,
    t: Tensor,
    schedule: NoiseSchedule,
    *,
    randn_like: Noise = torch.randn_like,
) -> Tensor:
    """Mean squared error of the predicted clean target over the whole image.

    Args:
        to_target: The network; it predicts y_0, not the noise.
        source: x, (batch, 1, height, width).
        target: y, (batch, targets, height, width).
        hidden: (batch, 1, height, width) bool; one mask per sample.
        t: (batch,) steps.
        schedule: Noise schedule.
        randn_like: Source of noise.
    """
    noisy = schedule.add_noise(target, randn_like(target), t)
    condition = hide(source, hidden, randn_like(source))
    return F.mse_loss(to_target(torch.cat([noisy, condition], dim=1), t), target)


def sample_target(
    source: Tensor,
    hidden: Tensor,
    start: Tensor,
    to_target: Forward,
    schedule: NoiseSchedule,
    steps: Sequence[int],
    *,
    ancestral: bool = False,
    randn_like: Noise = torch.randn_like,
) -> Tensor:
    """Draw y ~ p(y | visible part of x).

    Args:
        source: x, (batch, 1, height, width).
        hidden: Broadcasts to ``source``, True = hidden.
        start: y_T, standard normal, (batch, targets, height, width).
        to_target: The network; it predicts y_0.
        schedule: Noise schedule.
        steps: Kept steps, from high to low.
        ancestral: DDPM instead of DDIM.
        randn_like: Source of noise; drawn once per step for the hidden part, and once more by DDPM.
    """
    noisy = start
    for t, t_next in zip(steps, [*steps[1:], None], strict=True):
        condition = hide(source, hidden, randn_like(source))  # fresh at every step
        at = torch.full((len(source),), t, device=source.device)
        clean = to_target(torch.cat([noisy, condition], dim=1), at)
        if ancestral:
            noisy = schedule.ddpm(noisy, clean, t, t_next, randn_like(noisy))  # the last draw is not used
        else:
            noisy = schedule.ddim(noisy, clean, t, t_next)
    return noisy
