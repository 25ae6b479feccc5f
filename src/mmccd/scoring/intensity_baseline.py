"""Intensities that have learnt nothing, scored as a model is: what every table shows beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from skimage.exposure import equalize_hist

from mmccd.scoring.maps import smoothed

Kind = Literal["plain", "smoothed", "equalised"]


@dataclass(frozen=True)
class IntensityBaseline:
    """The normalised scan itself as an anomaly map (Meissen et al., 2021).

    Attributes:
        source: Modality.
        polarity: Whether lesions are `bright` or `dark` in it.
        kind: `plain`; `smoothed` as a model's map is; or `equalised`, the ranks in the brain.
        smooth_mm: Standard deviation of the smoothing.
    """

    source: str
    polarity: Literal["bright", "dark"]
    kind: Kind = "plain"
    smooth_mm: float = 0.0

    def anomaly_map(
        self,
        slices: Mapping[str, NDArray[np.float32]],
        brain: NDArray[np.bool_],
        spacing_mm: tuple[float, float, float],
        *,
        healthy: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float32]:
        """High where the voxel is bright, or dark; 0 outside the brain.

        Args:
            slices: By modality, (n, height, width) normalised, neighbours next to each other.
            brain: Of the same shape.
            spacing_mm: Distance of slices, of rows and of columns.
            healthy: What of the brain is scored; None is all of it.
        """
        image = slices[self.source]
        if self.kind == "equalised":
            image = equalize_hist(image, mask=brain).astype(np.float32)
        score = image if self.polarity == "bright" else -image
        smooth_mm = self.smooth_mm if self.kind == "smoothed" else 0.0
        region = brain if healthy is None else brain & healthy
        return smoothed(score, region, smooth_mm=smooth_mm, spacing_mm=spacing_mm)
