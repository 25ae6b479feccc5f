"""What is hidden from the forward network: collections of stripes that together cover every pixel."""

import torch
from torch import Tensor

from mmccd.errors import ConfigError


def stripe_masks(size_px: int, *, width_px: int = 16, stride_px: int = 2) -> Tensor:
    """Full-length stripes sliding over the columns, then over the rows: the paper's collection.

    At the far border stripes are cut off, so that pixels are hidden 2 (corner) to 2 x width / stride times (inside).

    Args:
        size_px: Side of the slices.
        width_px: Width of a stripe.
        stride_px: Distance between the starts of neighbouring stripes.

    Returns:
        (2 x size / stride, size, size) bool, True = hidden.

    Raises:
        ConfigError: some pixel would never be hidden, or a stripe would hide the whole slice.
    """
    if not 1 <= stride_px <= width_px < size_px:
        raise ConfigError(
            f"stripes of {width_px} px every {stride_px} px on slices of {size_px} px",
            "choose 1 <= stride <= width < size, so that each pixel is hidden by a stripe and seen by another",
        )
    start = torch.arange(0, size_px, stride_px)[:, None]
    distance = torch.arange(size_px)[None, :] - start
    return _both_directions((distance >= 0) & (distance < width_px))


def comb_masks(size_px: int, *, width_px: int = 16, combs: int = 3) -> Tensor:
    """Combs: several stripes hidden at once, so that a handful of masks covers the slice, each pixel twice.

    Args:
        size_px: Side of the slices.
        width_px: Width of a tooth.
        combs: Masks per direction; between two hidden teeth lie ``combs - 1`` visible ones.

    Returns:
        (2 x combs, size, size) bool, True = hidden.

    Raises:
        ConfigError: fewer than two combs, or more than the slice has teeth.
    """
    if combs < 2 or not 1 <= width_px <= size_px // combs:
        raise ConfigError(
            f"{combs} combs of {width_px} px teeth on slices of {size_px} px",
            "choose at least 2 combs, and combs x width at most the size",
        )
    tooth = torch.arange(size_px) // width_px
    return _both_directions(tooth[None, :] % combs == torch.arange(combs)[:, None])


def _both_directions(lines: Tensor) -> Tensor:
    """(n, size) hidden positions to (2n, size, size): as columns, then as rows."""
    count, size_px = lines.shape
    columns = lines[:, None, :].expand(count, size_px, size_px)
    return torch.cat([columns, columns.mT])
