"""One intensity scale for all scans: brain percentiles to about [-3, 3], as in the published protocol."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmccd.errors import DataError

BACKGROUND = -3.0
"""Normalised value of everything outside the brain."""

INTENSITY_MAP = {"name": "brain-percentile", "percentile": 90.0, "at_zero": -3.0, "at_percentile": 3.0}
"""The map as it is recorded in stores and model cards."""


HIGHEST = 65504.0
"""Largest normalised value: what float16, in which slices are stored, can hold."""


def check_range(slices: NDArray[np.floating[Any]], name: str, highest: float) -> None:
    """Refuse what no network was trained on: one infinite pixel makes every weight or every restored pixel NaN.

    Args:
        slices: Normalised.
        name: Of the scan, for the message.
        highest: Its highest intensity, for the message.

    Raises:
        DataError: a value is beyond `HIGHEST`, infinite or NaN.
    """
    if not np.all(np.abs(slices) <= HIGHEST):
        raise DataError(
            f"{name} has voxels of up to {highest:g}, allowed: 10,000 times the 90th percentile of the brain, as slices"
            " are stored in float16",
            "remove or clip its outliers, such as spikes of a resampling or markers that are burnt in",
        )


def normalise(data: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    r"""Map a volume to :math:`x' = 6 x / P - 3` inside the brain and to -3 outside; nothing is clipped.

    P is the intensity that 90 % of the brain voxels stay below. As in the published code its rank is
    interpolated over the whole volume, background included, which differs from a percentile over the brain alone
    by less than a tenth of a rank (ADR 0008).

    Args:
        data: (x, y, z) intensities in any unit.
        brain: (x, y, z), True inside the brain.

    Raises:
        DataError: P is not positive, so that the scan has no scale.
    """
    inside = np.where(brain, data, 0.0).astype(np.float64)
    reference = float(np.percentile(inside, 100.0 - 10.0 * float(brain.mean())))
    if not reference > 0:
        raise DataError(
            f"the 90th percentile of the brain intensities is {reference:g}, expected a positive value",
            "check that the scan is a magnitude image and that the brain mask fits it",
        )
    return np.asarray(6.0 * inside / reference + BACKGROUND, dtype=np.float32)
