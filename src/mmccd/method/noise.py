"""Noise images: shared by all slices of a batch, coarse, or simplex, each from an explicit generator."""

from collections.abc import Callable
from itertools import chain, cycle

import torch
import torch.nn.functional as F
from torch import Tensor

from mmccd.method.intensity import BACKGROUND

Draw = Callable[[tuple[int, int, int, int], torch.Generator | None, torch.device], Tensor]
"""Noise of a shape (batch, channels, height, width), from a generator (None is torch's own) on a device."""

NOISE_SEED = 0
COARSEST, OCTAVES, PERSISTENCE = 4, 6, 0.8
_GRADIENTS = 128
COARSE_DEVIATION = 1.2
"""Of coarse noise: the 0.2 of a range [0, 1] of Kascenas et al., on our range [-3, 3]."""
COARSE_NODES = 16
"""Along a side of 240 mm: as many as theirs."""


def gaussian(shape: tuple[int, int, int, int], generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Standard normal, independent between pixels."""
    return torch.randn(shape, generator=generator, device=device)


def coarse_gaussian(
    shape: tuple[int, int, int, int], generator: torch.Generator | None, device: torch.device, *, nodes: int
) -> Tensor:
    """Standard normal on a grid of ``nodes`` x ``nodes``, enlarged bilinearly and rolled by a random offset.

    Source: Kascenas et al. (2023), https://arxiv.org/abs/2301.08330, section 3.
    """
    grid = torch.randn((*shape[:2], nodes, nodes), generator=generator, device=device)
    image = F.interpolate(grid, size=shape[2:], mode="bilinear")
    shifts = [int(torch.randint(side, (), generator=generator, device=device)) for side in shape[2:]]
    return image.roll(shifts, dims=(2, 3))


def coarse_noise(source: Tensor) -> Tensor:
    """Slices, (batch, 1, height, width), under coarse noise wherever there is brain; another draw for each of them."""
    batch, channels, height, width = source.shape
    one = (1, channels, height, width)
    drawn = [coarse_gaussian(one, None, source.device, nodes=COARSE_NODES) for _ in range(batch)]
    return torch.where(source > BACKGROUND, source + COARSE_DEVIATION * torch.cat(drawn), source)


def simplex(shape: tuple[int, int, int, int], generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Simplex noise of six octaves, of mean 0 and variance 1: smooth blobs of many sizes instead of grains.

    The coarsest octave has four cells along a slice, as the paper's 64 pixels of 256; each further one has cells of
    half the size and 0.8 of the amplitude.

    Source: Wyatt et al. (2022), AnoDDPM, section 3.2; the noise is Perlin's (2001).
    """
    count = shape[0] * shape[1]
    y, x = (torch.linspace(0, 1, side, device=device) for side in shape[2:])
    places = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1)
    total = torch.zeros(count, *shape[2:], device=device)
    for octave in range(OCTAVES):
        offset = torch.rand(count, 1, 1, 2, generator=generator, device=device) * _GRADIENTS
        angle = torch.rand(count, _GRADIENTS**2, generator=generator, device=device) * 2 * torch.pi
        total += PERSISTENCE**octave * _one_octave(places[None] * (COARSEST * 2.0**octave) + offset, angle)
    total = total - total.mean(dim=(1, 2), keepdim=True)
    return (total / total.std(dim=(1, 2), keepdim=True)).reshape(shape)


def shared_noise(
    source: Tensor, channels: int, draws_per_mask: int, draw: Draw = gaussian
) -> Callable[[Tensor], Tensor]:
    """Noise that every slice and mask of a batch shares, from a fixed seed; fresh at every step.

    So the brain of a slice has the same map alone and in any batch, in any order of the masks, in every run. The first
    call gives the start of the sampler; those that follow repeat after ``draws_per_mask``, that is with each batch of
    masks.
    """
    generator = torch.Generator(source.device).manual_seed(NOISE_SEED)
    height, width = source.shape[-2:]
    fields = [draw((1, channels, height, width), generator, source.device) for _ in range(1 + draws_per_mask)]
    order = chain(fields[:1], cycle(fields[1:]))
    return lambda image: next(order)[:, : image.shape[1]].to(image.dtype).expand_as(image)


def _one_octave(places: Tensor, angle: Tensor) -> Tensor:
    """2D simplex noise at places, (count, height, width, 2), with gradient directions (count, _GRADIENTS^2)."""
    skew, unskew = (3**0.5 - 1) / 2, (3 - 3**0.5) / 6
    cell = (places + skew * places.sum(dim=-1, keepdim=True)).floor()
    first = places - cell + unskew * cell.sum(dim=-1, keepdim=True)  # from the cell's first corner
    lower = first[..., :1] > first[..., 1:]  # which of the two triangles of the cell
    second = torch.cat([lower, ~lower], dim=-1).to(places.dtype)
    value = torch.zeros(places.shape[:-1], device=places.device)
    for corner in (torch.zeros_like(second), second, torch.ones_like(second)):
        offset = first - corner + unskew * corner.sum(dim=-1, keepdim=True)
        node = (cell + corner).long() % _GRADIENTS
        direction = angle.gather(1, (node[..., 0] * _GRADIENTS + node[..., 1]).flatten(1)).reshape(value.shape)
        slope = offset[..., 0] * direction.cos() + offset[..., 1] * direction.sin()
        value += (0.5 - offset.square().sum(dim=-1)).clamp(min=0) ** 4 * slope
    return value
