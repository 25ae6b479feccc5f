"""Whether a scan looks like its modality: the order of fluid, cortex and white matter, where it is clear."""

import numpy as np
from numpy.typing import NDArray

from mmccd.data.head import Head, peak

# Fluid stretches the intensities to its own side of the median. Of 68 scans each: FLAIR 0.47 to 1.39, T1 0.39 to 1.01,
# T2 0.98 to 1.86. Lesions are bright in FLAIR and stretch it, too.
BRIGHT_FLUID = {"flair": 1.42, "t1": 1.06}
DARK_FLUID = {"t2": 0.95}
# Cortex over white matter, by their most frequent intensity: FLAIR 0.90 to 2.80; T1 mostly below 0.9.
DARK_CORTEX = {"flair": 0.87}
# The outermost voxels hold fluid and air, which are dark in both: up to 0.99 of the median, 2 to 8 mm deeper 1.16.
BRIGHT_SURFACE = {"flair": 1.2, "t1": 1.2}
CORTEX_MM = (4.0, 9.0)
WHITE_MATTER_MM = (15.0, 30.0)
NAMES = {"flair": "FLAIR", "t1": "T1", "t2": "T2"}


def odd_for_modality(head: Head, values: NDArray[np.float32], modality: str) -> tuple[str, ...]:
    """What speaks against the modality; empty where nothing does, or where it is not FLAIR, T1 or T2.

    Args:
        head: The scan, sampled.
        values: Of all brain voxels, any shape.
        modality: What the scan is taken for.
    """
    name, found = NAMES.get(modality, ""), ""
    if not name:
        return ()
    stretch = fluid_stretch(values)
    surface, cortex = surface_brightness(head), cortex_brightness(head)
    if stretch > BRIGHT_FLUID.get(modality, np.inf):
        found = f"fluid looks bright, as in T2 or where the contrast is inverted ({stretch:.2f})"
    elif surface > BRIGHT_SURFACE.get(modality, np.inf):
        found = f"the surface is bright, as in T2 or where the contrast is inverted ({surface:.2f})"
    elif stretch < DARK_FLUID.get(modality, -np.inf):
        found = f"fluid looks dark, as in FLAIR or T1 ({stretch:.2f})"
    elif cortex < DARK_CORTEX.get(modality, -np.inf):
        found = f"the cortex is darker than white matter, as in T1 ({cortex:.2f})"
    return (f"perhaps no {name}: {found}",) if found else ()


def fluid_stretch(values: NDArray[np.float32]) -> float:
    """How far the bright end lies from the median, with the dark end counted against it; NaN without a scale."""
    low, median, high = (float(value) for value in np.quantile(values, (0.1, 0.5, 0.9)))
    return high / median * (low / median) ** 0.7 if low > 0 else float("nan")


def cortex_brightness(head: Head) -> float:
    """The most frequent intensity under the surface over that of the depth; NaN where one of them is missing."""
    cortex, white = peak(head.layer(*CORTEX_MM)), peak(head.layer(*WHITE_MATTER_MM))
    return cortex / white if cortex > 0 and white > 0 else float("nan")


def surface_brightness(head: Head) -> float:
    """Median of the outermost voxels over that of all; NaN without a scale."""
    every = head.data[head.brain]
    median = float(np.median(every)) if every.size else 0.0
    return float(np.median(head.surface)) / median if median > 0 else float("nan")
