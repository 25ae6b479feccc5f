"""The threshold that the test labels themselves would have chosen: an upper bound, in constant memory.

Every threshold is tried that splits float32 where its upper 16 bits change: 128 in each doubling of the score, which
are steps of 0.4 to 0.8 %. A case is then a curve of Dice over these, however many voxels it has, and curves of cases
can be added one by one. At each of these thresholds Dice is exact.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = 2**16


@dataclass(frozen=True)
class DiceCurve:
    """Dice of one case at each threshold between its lowest score and its highest.

    Attributes:
        first: Number of the threshold that all scores of the case exceed, the highest one of these.
        dice: (thresholds,) from this one to the one that no score exceeds; there it is 0, and NaN without a lesion.
    """

    first: int
    dice: NDArray[np.float64]

    @classmethod
    def of(cls, score: NDArray[np.floating], lesion: NDArray[np.bool_], lesion_voxels: int) -> "DiceCurve":
        """Count the voxels of a case.

        Args:
            score: (voxels,) of the brain, at least one; what lies above a threshold is predicted.
            lesion: (voxels,) of the brain.
            lesion_voxels: With those outside the brain, which nobody can find.
        """
        places = _place(score)
        first = int(places.min()) - 1
        places -= first
        count = int(places.max()) + 1
        predicted, found = (_exceeding(some, count) for some in (places, places[lesion]))
        with np.errstate(invalid="ignore"):
            return cls(first, 2.0 * found / (predicted + lesion_voxels))

    def at(self, number: int) -> float:
        """Dice at the threshold of this number."""
        return float(self.dice[min(max(number - self.first, 0), self.dice.size - 1)])


def best_threshold(curves: Iterable[DiceCurve]) -> int | None:
    """Number of the one threshold with the best mean Dice. USES THE TEST LABELS: an upper bound.

    Nobody has these labels when a threshold is needed, so the Dice here is no result that a user can expect.
    It says how well the scores could be cut, and allows comparisons with papers that report it.

    Args:
        curves: Of the cases with a lesion, in an order that does not change.

    Returns:
        The lowest of the best, of those at which something changes; None without a curve.
    """
    total, lowest = np.zeros(THRESHOLDS), THRESHOLDS
    for curve in curves:
        total[: curve.first] += curve.dice[0]
        total[curve.first : curve.first + curve.dice.size] += curve.dice
        lowest = min(lowest, curve.first)
    return lowest + int(total[lowest:].argmax()) if lowest < THRESHOLDS else None


def threshold_value(number: int) -> float:
    """The threshold of a number: the highest float32 below the scores that exceed it."""
    bits = np.uint32((number + 1) << 16)
    lowest = (bits ^ np.uint32(2**31) if bits >> 31 else ~bits).view(np.float32)
    return float(np.nextafter(lowest, np.float32(-np.inf)))


def _place(score: NDArray[np.floating]) -> NDArray[np.int64]:
    """How many thresholds each score exceeds: its upper 16 bits, in the order of the numbers they stand for."""
    bits = (score.astype(np.float32) + np.float32(0)).view(np.uint32)  # + 0: -0 and 0 are one number
    upper = (bits >> 16).astype(np.int64)
    return np.where(upper >> 15, 0xFFFF - upper, upper + 0x8000)


def _exceeding(places: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """How many of the voxels exceed each of the thresholds."""
    return places.size - np.bincount(places, minlength=count).cumsum()
