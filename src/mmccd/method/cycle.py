"""The modality cycle of MMCCD: hide, imagine, translate back, and score what was hidden."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from mmccd.method.diffusion import NoiseSchedule
from mmccd.method.inpainting import Forward, Noise, sample_target

Restoration = tuple[Tensor, Tensor]
"""``hidden``, (masks, 1, 1, height, width) bool, and x_hat under each mask, (masks, batch, channels, height, width).

A second channel, where a method has one, is the spread: the standard deviation that it expects of x around x_hat.
Further pairs of channels are further ways to restore the same pixels; what one of them explains is explained.
"""
Error = Callable[[Tensor, Tensor], Tensor]
"""How badly a restoration explains x, (batch, 1, height, width): (masks, batch, 1, height, width)."""


def squared_error(source: Tensor, restored: Tensor) -> Tensor:
    """The published error of each pixel: (x - x_hat)^2, whatever its spread; the least of several ways."""
    return (source - restored[:, :, ::2]).square().amin(dim=2, keepdim=True)


def masked_restorations(
    source: Tensor,
    masks: Tensor,
    to_target: Forward,
    to_source: Callable[[Tensor], Tensor],
    schedule: NoiseSchedule,
    steps: Sequence[int],
    *,
    targets: int = 1,
    masks_at_once: int = 1,
    ancestral: bool = False,
    randn_like: Noise = torch.randn_like,
) -> Iterator[Restoration]:
    """Each mask and x_hat_m = g(y_hat_m), with y_hat_m drawn from what the mask leaves visible.

    Args:
        source: x, (batch, 1, height, width).
        masks: (masks, height, width) bool, True = hidden.
        to_target: Forward network f.
        to_source: Backward network g.
        schedule: Noise schedule.
        steps: Kept steps, from high to low.
        targets: Modalities that f makes.
        masks_at_once: Masks per batch of the networks.
        ancestral: DDPM instead of DDIM.
        randn_like: Source of noise: once for the start that all masks share, then as `sample_target` draws.
    """
    batch = len(source)
    start = randn_like(source.expand(-1, targets, -1, -1))
    for hidden in torch.split(masks, masks_at_once):
        count = len(hidden)
        x, y_t = (image.repeat(count, 1, 1, 1) for image in (source, start))
        stripes = hidden.repeat_interleave(batch, dim=0)[:, None]
        target = sample_target(x, stripes, y_t, to_target, schedule, steps, ancestral=ancestral, randn_like=randn_like)
        yield hidden[:, None, None], to_source(target).reshape(count, *source.shape)


def cycle_map(source: Tensor, restorations: Iterable[Restoration], error: Error = squared_error) -> Tensor:
    """Mean error of each pixel over the masks that hid it; 0 where none did.

    sum_m hidden_m error(x, x_hat_m) / sum_m hidden_m.

    Args:
        source: x, (batch, 1, height, width).
        restorations: Masks and what was restored under each.
        error: Of x and x_hat.

    Returns:
        (batch, 1, height, width), of the type of ``source``.
    """
    total = torch.zeros_like(source)
    times_hidden = torch.zeros_like(source[:1])
    for hidden, restored in restorations:
        total += (hidden * error(source, restored)).sum(dim=0)
        times_hidden += hidden.sum(dim=0)
    return total / times_hidden.clamp(min=1)
