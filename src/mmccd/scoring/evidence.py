"""Tail evidence: how rare a pixel is among healthy pixels that were restored to the same value.

The squared error asks how large an error is. But healthy tissue has large errors where it is hard to restore, and small
ones where it is easy. Evidence asks instead what share of healthy pixels with the same x_hat lie as far out as x, and
counts it in nats: 0 is ordinary, 4.6 is one in a hundred, 6.9 one in a thousand. Where a method says how far off it
expects to be, the error is first divided by that sigma.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmccd.method.anomaly_map import Restoration

Polarity = Literal["either", "bright", "dark"]
"""Which side is looked at: lesions are brighter than healthy tissue, darker, or nothing is assumed."""

LOW, HIGH, BINS = -4.0, 8.0, 61
"""Grid of normalised intensities, 0.2 apart; values beyond it count as its ends."""
SIGMAS = 8.0
"""How many sigmas of x around x_hat fill the half of the grid on either side of its middle."""
KERNEL_WIDTH = 0.2
"""Scale of the Laplace kernel: beyond the last healthy pixel evidence goes on rising, one nat per 0.2."""


class TailEvidence(nn.Module):
    """-ln of the healthy share in the tail of p(x | x_hat), estimated from pairs of healthy pixels.

    The density is a histogram smoothed by a Laplace kernel, so that its tails are exponential and evidence stays
    finite and rising where no healthy pixel was ever seen.

    Args:
        counts: (BINS, BINS), healthy pixels by restored value (rows) and value (columns); or (2, BINS, BINS), by errors
            in sigmas and by values. See `count_healthy_pairs`.
        polarity: The side that counts: ``either`` is -ln(2 x the smaller tail).
        unconditional: Weight from 0 to 1 of the evidence that needs no x_hat, as if everything were hidden: how rare x
            is in a healthy brain. The rest is the weight of the evidence given x_hat.
    """

    counts: Tensor
    table: Tensor
    everywhere: Tensor

    def __init__(self, counts: Tensor, *, polarity: Polarity, unconditional: float = 0.0) -> None:
        super().__init__()
        self.unconditional = unconditional
        self.register_buffer("counts", counts.double())
        pairs = self.counts.reshape(-1, BINS, BINS)
        self.register_buffer("table", _table(pairs[0], polarity).float(), persistent=False)
        everywhere = _table(pairs[-1].sum(dim=0, keepdim=True), polarity)
        self.register_buffer("everywhere", everywhere.float(), persistent=False)

    def forward(self, source: Tensor, restoration: Restoration) -> Tensor:
        """Evidence of x, (batch, 1, height, width), given each way: (masks, batch, ways, height, width), >= 0."""
        given = _look_up(self.table, *compared(source, restoration))
        if self.unconditional == 0:
            return given
        alone = _look_up(self.everywhere, source.float(), source.float())  # its single row is that of any x_hat
        return (1 - self.unconditional) * given + self.unconditional * alone


def compared(source: Tensor, restoration: Restoration) -> tuple[Tensor, Tensor]:
    """What the table is entered with: x and x_hat; or, where sigma is known, the error in sigmas and x_hat.

    The error in sigmas is laid over the grid of intensities, 0 in its middle.

    Returns:
        Two float32 tensors, (masks, batch, ways, height, width).
    """
    x_hat = restoration.restored.float()
    x = source.float().expand_as(x_hat)
    if restoration.sigma is None:
        return x, x_hat
    return (LOW + HIGH) / 2 + (x - x_hat) / restoration.sigma.float() * (HIGH - LOW) / 2 / SIGMAS, x_hat


def count_pairs(source: Tensor, restored: Tensor) -> Tensor:
    """Histogram of healthy pixels: (BINS, BINS) int64, by x_hat (rows) and x (columns); both of one shape."""
    row, column = (
        ((image.float() - LOW) / (HIGH - LOW) * (BINS - 1)).round().long().clamp(0, BINS - 1)
        for image in (restored, source)
    )
    return torch.bincount((row * BINS + column).flatten(), minlength=BINS**2).reshape(BINS, BINS)


def count_healthy_pairs(source: Tensor, restoration: Restoration, region: Tensor) -> Tensor:
    """What `TailEvidence` needs of healthy slices: (BINS, BINS), or (2, BINS, BINS) where sigma is known; int64.

    Args:
        source: x, (batch, 1, height, width).
        restoration: Of these.
        region: The pixels that are scored, (batch, 1, height, width) bool; those that were hidden are counted.
    """
    given, x_hat = compared(source, restoration)
    counted = (restoration.hidden & region).expand_as(x_hat)
    alone = [] if restoration.sigma is None else [source.float().expand_as(x_hat)]
    found = [count_pairs(x[counted], x_hat[counted]) for x in (given, *alone)]
    return torch.stack(found).squeeze(0)


def no_pairs() -> Tensor:
    """An empty histogram to add to."""
    return torch.zeros(BINS, BINS, dtype=torch.int64)


def _look_up(table: Tensor, x: Tensor, x_hat: Tensor) -> Tensor:
    """The table, (rows, BINS), at x_hat (rows) and x (columns), linear between its nodes; of the shape of x."""
    where = torch.stack([2 * (image - LOW) / (HIGH - LOW) - 1 for image in (x.flatten(), x_hat.flatten())], dim=-1)
    table = table.to(where.device)[None, None]
    found = F.grid_sample(table, where[None, None], padding_mode="border", align_corners=True)
    return found.reshape(x.shape)


def _table(counts: Tensor, polarity: Polarity) -> Tensor:
    """(rows, BINS): evidence at the grid's nodes for each row of counts; a single row stands for all."""
    values = torch.linspace(LOW, HIGH, BINS, dtype=torch.float64, device=counts.device)
    distance = values[:, None] - values[None, :]  # of the node asked for, to the node that was counted
    above = torch.where(distance > 0, 0.5 * (-distance.abs() / KERNEL_WIDTH).exp(),
                        1 - 0.5 * (-distance.abs() / KERNEL_WIDTH).exp())  # fmt: skip
    if len(counts) > 1:
        counts = (-distance.abs() / KERNEL_WIDTH).exp() @ counts
    total = counts.sum(dim=1, keepdim=True)
    upper, lower = counts @ above.T / total, counts @ above / total
    share = {"either": 2 * torch.minimum(upper, lower), "bright": upper, "dark": lower}[polarity]
    return -share.clamp(max=1).log()  # rounding alone would take it above 1
