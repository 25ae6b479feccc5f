"""Synthetic anatomy: the MNI152 tissue maps, bent at random into brains that differ from each other."""

import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmccd.data.volumes import read_volume
from mmccd.errors import DataError

Floats = NDArray[np.float32]
Triple = Sequence[float] | NDArray[np.floating[Any]]  # x, y, z

FIELD_OF_VIEW_MM = (240.0, 240.0, 180.0)  # in plane that of BraTS
CENTRE_MM = (0.0, -18.0, 8.0)  # of the brain in MNI152 space
# Lateral ventricles in MNI152 space, and the ellipsoid that holds thalamus and basal ganglia.
VENTRICLES_MM = (0.0, -18.0, 16.0)
DEEP_GREY_MM, DEEP_GREY_RADII_MM = (0.0, -4.0, 4.0), (34.0, 32.0, 18.0)


@dataclass(frozen=True)
class Grid:
    """Voxel grid of a phantom, in RAS+ orientation.

    Attributes:
        spacing_mm: Edge of a voxel, the same along all axes.
    """

    spacing_mm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along x, y, z."""
        x, y, z = (round(extent / self.spacing_mm) for extent in FIELD_OF_VIEW_MM)
        return x, y, z

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel to millimetre, with MNI152's origin at the anterior commissure."""
        affine = np.diag([self.spacing_mm] * 3 + [1.0])
        affine[:3, 3] = [c - (n - 1) / 2 * self.spacing_mm for c, n in zip(CENTRE_MM, self.shape, strict=True)]
        return affine

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in millilitres."""
        return self.spacing_mm**3 / 1000.0

    def positions_mm(self) -> Floats:
        """Place of each voxel, (3, x, y, z)."""
        origin = self.affine[:3, 3]
        axes = [o + self.spacing_mm * np.arange(n) for o, n in zip(origin, self.shape, strict=True)]
        return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)


@dataclass(frozen=True)
class Template:
    """MNI152 at 1 mm; tissue maps as probabilities 0..255, the outline as 0 or 255.

    Attributes:
        outline: Inside of the skull-stripped brain, ventricles and sulci included.
        grey: Grey matter.
        white: White matter.
        origin_mm: Place of voxel (0, 0, 0).
    """

    outline: NDArray[np.uint8]
    grey: NDArray[np.uint8]
    white: NDArray[np.uint8]
    origin_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Bulge:
    """A place that swells (strength > 0) or shrinks: a wide ventricle, or a tumour's mass effect.

    Attributes:
        centre_mm: In MNI152 space.
        strength: 0.3 magnifies the centre 1/(1 - 0.3) times.
        width_mm: Standard deviation of the effect around the centre.
    """

    centre_mm: tuple[float, float, float]
    strength: float
    width_mm: float


@dataclass(frozen=True)
class Anatomy:
    """One brain; every vector has one entry per brain voxel, in the order of ``brain``'s True voxels.

    Attributes:
        grid: The voxel grid.
        brain: (x, y, z) bool.
        position_mm: (3, n) place in the phantom.
        template_mm: (3, n) place in MNI152 space that it shows.
        fractions: Tissue name to (n,) share of the voxel; they sum to 1.
        near_ventricles: (n,) 0 far away, towards 1 at the walls of the ventricles.
    """

    grid: Grid
    brain: NDArray[np.bool_]
    position_mm: Floats
    template_mm: Floats
    fractions: dict[str, Floats]
    near_ventricles: Floats


@functools.cache
def load_template() -> Template:
    """Read the maps that nilearn bundles, without importing nilearn (which takes seconds)."""
    spec = importlib.util.find_spec("nilearn")
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise DataError("nilearn, whose MNI152 maps the phantom is made of, is not installed", "pip install nilearn")
    folder = Path(places[0]) / "datasets" / "data"
    grey, white, head = (
        read_volume(folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz") for name in ("gm", "wm", "t1")
    )
    outline = (head.data > 0) | (grey.data + white.data > 128)
    x, y, z = (float(mm) for mm in head.affine[:3, 3])
    return Template(
        np.where(outline, 255, 0).astype(np.uint8),
        grey.data.astype(np.uint8),
        white.data.astype(np.uint8),
        (x, y, z),
    )


def smooth_field(rng: np.random.Generator, grid: Grid, knot_mm: float) -> Floats:
    """Random field of zero mean and unit variance whose features are about ``knot_mm`` wide.

    A cubic B-spline through white noise, applied axis by axis. Plain sums rather than matrix products, whose
    last bits depend on the number of threads: the same seed must give the same file everywhere.
    """
    knots = [int(np.ceil(extent / knot_mm)) + 4 for extent in FIELD_OF_VIEW_MM]
    field = rng.standard_normal(knots, dtype=np.float32)
    for axis, size in enumerate(grid.shape):
        place = (np.arange(size) + 0.5) * grid.spacing_mm / knot_mm
        first = np.floor(place).astype(np.int64)
        weights = _cubic_b_spline((place - first).astype(np.float32))
        along = [1, 1, 1]
        along[axis] = size
        taps = [weight.reshape(along) * np.take(field, first + tap, axis=axis) for tap, weight in enumerate(weights)]
        field = taps[0] + taps[1] + taps[2] + taps[3]
    return np.asarray(field, dtype=np.float32)


def make_anatomy(rng: np.random.Generator, grid: Grid, bulges: Sequence[Bulge] = ()) -> Anatomy:
    """Bend the template into one random brain.

    Args:
        rng: Source of the shape.
        grid: Where to sample it.
        bulges: Further local swellings, beyond the ventricles' own.
    """
    ventricles = Bulge(VENTRICLES_MM, float(rng.uniform(-0.15, 0.30)), 24.0)
    places = _bend(rng, grid, (ventricles, *bulges))
    template = load_template()
    brain = _sample(template.outline, places, template) > 0.5
    places = np.ascontiguousarray(places[:, brain])
    grey, white = (_sample(values, places, template) for values in (template.grey, template.white))
    fractions = _sharpen(rng, grid, brain, grey, white)
    fractions = _split_deep_grey(fractions, places)
    near = _near_ventricles(grid, brain, fractions["csf"], places)
    return Anatomy(grid, brain, grid.positions_mm()[:, brain], places, fractions, near)


def ellipsoid_distance(places_mm: Floats, centre_mm: Triple, radii_mm: Triple) -> Floats:
    """Distance from ``centre_mm`` in units of the radii: 1 on the ellipsoid; (n,) for places (3, n)."""
    squares = (((places_mm[i] - centre_mm[i]) / radii_mm[i]) ** 2 for i in range(3))
    return np.asarray(np.sqrt(sum(squares, start=np.float32(0))), dtype=np.float32)


def _cubic_b_spline(t: Floats) -> list[Floats]:
    taps = [(1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6]
    scale = np.sqrt(sum(tap**2 for tap in taps))  # independent knots then add up to unit variance everywhere
    return [np.asarray(tap / scale, dtype=np.float32) for tap in taps]


def _bend(rng: np.random.Generator, grid: Grid, bulges: Sequence[Bulge]) -> Floats:
    """Place in MNI152 space that each voxel shows, (3, x, y, z)."""
    matrix = _random_affine(rng)
    positions = grid.positions_mm()
    # Wide waves change the head's form, short ones its gyri; left and right differ as they do in people.
    waves = [3.0 * smooth_field(rng, grid, 60.0) + 1.2 * smooth_field(rng, grid, 22.0) for _ in range(3)]
    places = np.empty_like(positions)
    for i in range(3):
        shown = sum(np.float32(matrix[i, j]) * (positions[j] - np.float32(CENTRE_MM[j])) for j in range(3))
        places[i] = shown + np.float32(CENTRE_MM[i]) + waves[i]
    for bulge in bulges:
        _swell(places, bulge)
    return places


def _random_affine(rng: np.random.Generator) -> NDArray[np.float64]:
    """Phantom to template, as a matrix about the centre: the inverse of a scaling and a small rotation."""
    # MNI152 is larger than most brains: 0.93 makes its 1.9 litres 1.5.
    scale = np.clip(rng.normal(0.93, 0.015), 0.895, 0.955) * rng.uniform(0.99, 1.01, 3)
    matrix = np.diag(1.0 / scale)
    for axis, angle in enumerate(np.deg2rad(rng.uniform(-4.0, 4.0, 3))):
        rotation = np.eye(3)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        rotation[[i, j], [i, j]] = np.cos(angle)
        rotation[i, j], rotation[j, i] = -np.sin(angle), np.sin(angle)
        matrix = np.einsum("ij,jk->ik", matrix, rotation)
    return matrix


def _swell(places: Floats, bulge: Bulge) -> None:
    """Draw the places around a centre towards it, so that the centre fills more of the picture."""
    offset = [places[i] - np.float32(bulge.centre_mm[i]) for i in range(3)]
    square = sum(o * o for o in offset)
    pull = np.float32(bulge.strength) * np.exp(square * np.float32(-0.5 / bulge.width_mm**2))
    for i in range(3):
        places[i] -= offset[i] * pull


def _sample(values: NDArray[np.uint8], places_mm: Floats, template: Template) -> Floats:
    """Linear interpolation of a template map, 0..1; 0 outside."""
    origin = np.reshape(np.array(template.origin_mm, dtype=np.float32), (3,) + (1,) * (places_mm.ndim - 1))
    sampled = ndimage.map_coordinates(values, places_mm - origin, output=np.float32, order=1, mode="constant")
    return np.asarray(sampled / np.float32(255.0), dtype=np.float32)


def _sharpen(
    rng: np.random.Generator, grid: Grid, brain: NDArray[np.bool_], grey: Floats, white: Floats
) -> dict[str, Floats]:
    """Turn probabilities, blurred by averaging 152 people, into the sharp tissues of one person.

    The random fields decide where the average was undecided: gyri and sulci of this person's own.
    """
    chances = {"csf": np.clip(1 - grey - white, 0, 1), "grey": grey, "white": white}
    shift = {
        "csf": rng.uniform(-0.3, 0.7),
        "grey": 0.0,
        "white": rng.uniform(0.1, 0.5),
    }  # atrophy, thin cortex
    votes = {}
    for name, chance in chances.items():
        folds = 1.3 * smooth_field(rng, grid, 7.0)[brain]
        votes[name] = 2.0 * np.log(chance + np.float32(0.02)) + np.float32(shift[name]) + folds
    top = np.maximum(np.maximum(votes["csf"], votes["grey"]), votes["white"])
    weights = {name: np.exp(1.5 * (vote - top)) for name, vote in votes.items()}
    total = weights["csf"] + weights["grey"] + weights["white"]
    return {name: np.asarray(weight / total, dtype=np.float32) for name, weight in weights.items()}


def _split_deep_grey(fractions: dict[str, Floats], template_mm: Floats) -> dict[str, Floats]:
    distance = ellipsoid_distance(template_mm, DEEP_GREY_MM, DEEP_GREY_RADII_MM)
    inside = np.clip((1.1 - distance) / 0.2, 0, 1)
    return {**fractions, "grey": fractions["grey"] * (1 - inside), "deep grey": fractions["grey"] * inside}


def _near_ventricles(grid: Grid, brain: NDArray[np.bool_], csf: Floats, template_mm: Floats) -> Floats:
    """Blurred image of the lateral ventricles, scaled to about 1 at their walls."""
    inside = ellipsoid_distance(template_mm, VENTRICLES_MM, (36.0, 52.0, 26.0)) < 1
    volume = np.zeros(grid.shape, dtype=np.float32)
    volume[brain] = np.where(inside, csf, 0)
    blurred = ndimage.gaussian_filter(volume, 4.0 / grid.spacing_mm, truncate=3.0)[brain]
    return np.asarray(np.clip(2.0 * blurred, 0, 1), dtype=np.float32)
