"""Lesions of known size and contrast for healthy white matter: where they may lie, and what they add to a scan."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import erf

from mmccd.data.volumes import Volume, new_volume, read_volume

SOURCES = ("flair", "t1", "t2")
SIZES_MM3 = (30, 100, 300, 1000, 3000)
CONTRASTS = {
    "flair": {"faint": 0.2, "moderate": 0.4, "strong": 0.8},
    "t1": {"faint": -0.125, "moderate": -0.25, "strong": -0.5},
    "t2": {"faint": 0.4, "moderate": 0.8, "strong": 1.6},
}
"""Shares of the median of white matter. Moderate is near that of real lesions of multiple sclerosis, see the page."""
PASSES, EACH = 4, 2
"""Of a scan; and lesions of a size and contrast in each."""
EDGE_MM = 1.0
GAP_MM = 12.0
"""Between the surfaces of two lesions: three standard deviations of the widest smoothing."""
MARGIN_MM = 20.0
WHITE_SHARE = 0.75
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Place:
    """A scan in which lesions are planted: its modalities on one grid, and what of it is white matter or healthy."""

    images: Mapping[str, Volume]
    white: Mask
    healthy: Mask


@dataclass(frozen=True)
class Lesion:
    """What is planted once: the voxels of ``field`` above one half are as many as its volume holds."""

    size_mm3: int
    level: str
    box: tuple[slice, ...]
    field: Floats
    mask: Mask


def read_place(files: Mapping[str, Path]) -> Place:
    """Less the slices without brain, which change nothing but the time."""
    whole = {kind: read_volume(path) for kind, path in files.items()}
    occupied = np.flatnonzero(np.any([whole[source].data.any(axis=(0, 1)) for source in SOURCES], axis=0))
    first, last = int(occupied[0]), int(occupied[-1]) + 1
    lower = np.eye(4)
    lower[2, 3] = first
    images = {kind: new_volume(one.data[:, :, first:last], one.affine @ lower) for kind, one in whole.items()}
    brain = np.all([images[source].data > 0 for source in SOURCES], axis=0)
    healthy = brain
    if "seg" in images:
        tumour = images["seg"].data > 0.5
        healthy = brain & (ndimage.distance_transform_edt(~tumour, sampling=images["t1"].spacing_mm) > MARGIN_MM)
    return Place(images, white_matter(images["t1"], images["flair"], brain, healthy), healthy)


def white_matter(t1: Volume, flair: Volume, brain: Mask, healthy: Mask) -> Mask:
    """Deep tissue that is bright in T1 and ordinary in FLAIR, as bidsgate estimates it: to plant in, no segmentation.

    The 6 mm, the percentile and the range are those of `brain_and_wm` there.
    """
    sigma = [1 / mm for mm in t1.spacing_mm]
    bright, ordinary = (ndimage.gaussian_filter(np.where(brain, one.data, 0), sigma) for one in (t1, flair))
    whole = ndimage.binary_fill_holes(brain)
    white = healthy & (ndimage.distance_transform_edt(whole, sampling=t1.spacing_mm) > 6)
    white &= bright >= np.percentile(bright[healthy], 65)
    ordinary /= np.median(ordinary[white])
    return np.asarray(ndimage.binary_opening(white & (ordinary > 0.6) & (ordinary < 1.4)))


def plan(place: Place, rng: np.random.Generator) -> list[Lesion]:
    """One lesion of each size and contrast, the largest first, at random places."""
    planted: list[Lesion] = []
    centres: list[tuple[NDArray[np.float64], float]] = []
    spacing = np.array(place.images["t1"].spacing_mm)
    candidates = np.argwhere(place.white)
    for size_mm3 in reversed(SIZES_MM3):
        for level in rng.permutation([*CONTRASTS["t1"]] * EACH):
            for _ in range(100_000):
                centre = rng.choice(candidates) + rng.uniform(-0.5, 0.5, 3)  # no two voxels are as far from it
                lesion, reach_mm = ellipsoid(place, centre, size_mm3, str(level), rng)
                near = any(
                    np.linalg.norm((centre - other) * spacing) < reach_mm + reach + GAP_MM for other, reach in centres
                )
                if not near and place.white[lesion.box][lesion.mask].mean() >= WHITE_SHARE:
                    break
            else:
                raise SystemExit(f"no place is left for a lesion of {size_mm3} mm3")
            planted.append(lesion)
            centres.append((centre, reach_mm))
    return planted


def ellipsoid(
    place: Place, centre: NDArray[np.float64], size_mm3: int, level: str, rng: np.random.Generator
) -> tuple[Lesion, float]:
    """At most twice as long as wide, in any direction; with how far it reaches from its centre, in millimetres."""
    image = place.images["t1"]
    longer = float(rng.uniform(1, 2))
    short_mm = (size_mm3 * 0.75 / np.pi / longer) ** (1 / 3)
    direction = rng.normal(size=3)
    direction /= np.linalg.norm(direction)
    half = np.ceil((longer * short_mm + 3 * EDGE_MM) / np.array(image.spacing_mm)).astype(int)
    nearest = np.rint(centre).astype(int)
    low, high = np.maximum(nearest - half, 0), np.minimum(nearest + half + 1, image.data.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    away = [(np.arange(a, b) - c) * mm for a, b, c, mm in zip(low, high, centre, image.spacing_mm, strict=True)]
    x, y, z = np.meshgrid(*away, indexing="ij")
    along = x * direction[0] + y * direction[1] + z * direction[2]
    from_centre = np.sqrt(np.maximum(x**2 + y**2 + z**2 - along**2, 0) + (along / longer) ** 2)
    voxels = round(size_mm3 / 1000 / image.voxel_ml)
    inner, outer = np.sort(from_centre, axis=None)[voxels - 1 : voxels + 1]
    surface_mm = (inner + outer) / 2
    field = 0.5 * (1 - erf((from_centre - surface_mm) / EDGE_MM))
    return Lesion(size_mm3, level, box, field.astype(np.float32), from_centre < surface_mm), longer * short_mm
