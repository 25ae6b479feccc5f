"""The algorithm: restore a slice in ways that know healthy tissue alone, and see how badly that explains it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Restoration:
    """What a method makes of x under some masks, in one way or in several.

    Attributes:
        hidden: (masks, 1, 1, height, width) bool, True where this restoration counts.
        restored: x_hat, (masks, batch, ways, height, width).
        sigma: Standard deviation that the method expects of x around x_hat, of the same shape; None where it does not
            say.
    """

    hidden: Tensor
    restored: Tensor
    sigma: Tensor | None = None

    @classmethod
    def of_whole_slices(cls, restored: Tensor, sigma: Tensor | None = None) -> "Restoration":
        """As under one mask that hides every pixel; (batch, ways, height, width)."""
        every_pixel = torch.ones_like(restored[None, :1, :1], dtype=torch.bool)
        return cls(every_pixel, restored[None], None if sigma is None else sigma[None])


Error = Callable[[Tensor, Restoration], Tensor]
"""How badly each way explains x, (batch, 1, height, width): (masks, batch, ways, height, width)."""


def squared_error(source: Tensor, restoration: Restoration) -> Tensor:
    """The error of Liang et al. (2023), (x - x_hat)^2, whatever its sigma."""
    return (source - restoration.restored).square()


def anomaly_map(source: Tensor, restorations: Iterable[Restoration], error: Error = squared_error) -> Tensor:
    """Mean error of each pixel over the masks that hid it; 0 where none did.

    sum_m hidden_m min_w error(x, x_hat_mw) / sum_m hidden_m: of several ways w to restore a pixel the best one counts,
    because tissue that any of them explains is healthy.

    Args:
        source: x, (batch, 1, height, width).
        restorations: What was restored, some masks at a time.
        error: Of x and x_hat.

    Returns:
        (batch, 1, height, width), of the type of ``source``.
    """
    total = torch.zeros_like(source)
    times_hidden = torch.zeros_like(source[:1])
    for restoration in restorations:
        least = error(source, restoration).amin(dim=2, keepdim=True)
        total += (restoration.hidden * least).sum(dim=0)
        times_hidden += restoration.hidden.sum(dim=0)
    return total / times_hidden.clamp(min=1)
