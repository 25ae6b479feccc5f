"""Several smoothings of one map, made comparable: each in nats of its own healthy tail, the rarest counts.

A tumour stands out most where the map is smoothed much, a lesion of a few millimetres where it is smoothed little. How
large a value is ordinary depends on the smoothing, so each scale is first asked what share of healthy voxels lies as
high, as `mmccd.scoring.evidence` asks it of pixels. Who looks several times finds something rare more often: that costs
the logarithm of the number of scales (Bonferroni).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
Counts = NDArray[np.int64]

BINS = 2048
HIGHEST = 1000.0
EDGES = np.expm1(np.linspace(0, np.log1p(HIGHEST), BINS + 1))
"""Of the bins: 0.003 wide at 0, a three hundredth of the value where that is large; what is higher counts as this."""
SEEN = 1e-3
"""Rarer than this the tail is not counted but exponential, with the mean excess of those beyond."""


def count_values(values: Values) -> Counts:
    """Histogram of the values of one smoothing over healthy voxels, of any shape and >= 0; (BINS,)."""
    return np.histogram(np.clip(values, EDGES[0], EDGES[-1]), EDGES)[0]


class HealthyTails:
    """-ln of the share of healthy voxels with as high a value, by scale.

    Args:
        counts: (scales, BINS), see `count_values`; of each scale at least one voxel.

    Raises:
        ValueError: they are anything else.
    """

    def __init__(self, counts: Counts) -> None:
        if counts.ndim != 2 or counts.shape[1] != BINS or not counts.any(axis=1).all():
            raise ValueError(f"counts of shape {counts.shape}, expected (scales, {BINS}), none of them empty")
        self.counts = counts
        self._nodes = [_nodes(one) for one in counts]

    def rarest(self, maps: Sequence[Values]) -> NDArray[np.float32]:
        """Nats of the scale that finds each voxel rarest, less those for having looked at all scales; >= 0.

        Args:
            maps: One of each scale, in the order of the counts, of one shape.
        """
        nats = [_nats(one, *nodes) for one, nodes in zip(maps, self._nodes, strict=True)]
        found = np.maximum.reduce(nats) - np.log(len(nats))
        return np.asarray(np.maximum(found, 0), dtype=np.float32)


def _nodes(counts: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Rising values, their nats, and how many nats a unit of value adds beyond the last of them."""
    total = counts.sum()
    share = np.append(counts[::-1].cumsum()[::-1], 0) / total  # of voxels at or above each edge
    last = int(np.flatnonzero(share >= min(SEEN, share[0]))[-1])
    middles, beyond = (EDGES[:-1] + EDGES[1:]) / 2, counts[last:]
    excess = float((beyond * (middles[last:] - EDGES[last])).sum() / beyond.sum())
    return EDGES[: last + 1], -np.log(share[: last + 1]), 1 / excess


def _nats(values: Values, nodes: NDArray[np.float64], nats: NDArray[np.float64], slope: float) -> NDArray[np.float32]:
    above = np.maximum(values - nodes[-1], 0)
    return np.asarray(np.interp(values, nodes, nats) + slope * above, dtype=np.float32)
