"""The modality cycle of MMCCD: hide, imagine, translate back, and score what was hidden."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mmccd.diffusion import NoiseSchedule
from mmccd.inpainting import Forward, Noise, sample_target
from mmccd.masks import coverage


def masked_cycle_map(
    source: Tensor,
    masks: Tensor,
    to_target: Forward,
    to_source: Callable[[Tensor], Tensor],
    schedule: NoiseSchedule,
    steps: Sequence[int],
    *,
    masks_at_once: int = 1,
    ancestral: bool = False,
    randn_like: Noise = torch.randn_like,
) -> Tensor:
    """Mean squared cycle error of each pixel over the masks that hid it; 0 where none did.

    sum_m hidden_m (x - x_hat_m)^2 / sum_m hidden_m, with x_hat_m = g(y_hat_m) and y_hat_m drawn from the visible part.

    Args:
        source: x, (batch, 1, height, width).
        masks: (masks, height, width) bool, True = hidden.
        to_target: Forward network f.
        to_source: Backward network g.
        schedule: Noise schedule.
        steps: Kept steps, from high to low.
        masks_at_once: Masks per batch of the networks.
        ancestral: DDPM instead of DDIM.
        randn_like: Source of noise: once for the start that all masks share, then as `sample_target` draws.

    Returns:
        (batch, 1, height, width), of the type of ``source``.
    """
    batch = len(source)
    start = randn_like(source)
    squared_error = torch.zeros_like(source)
    for hidden in torch.split(masks, masks_at_once):
        count = len(hidden)
        x, y_t = (image.repeat(count, 1, 1, 1) for image in (source, start))
        stripes = hidden.repeat_interleave(batch, dim=0)[:, None]
        target = sample_target(x, stripes, y_t, to_target, schedule, steps, ancestral=ancestral, randn_like=randn_like)
        error = stripes * (x - to_source(target)).square()
        squared_error += error.reshape(count, *source.shape).sum(dim=0)
    return squared_error / coverage(masks).clamp(min=1)
