"""Synthetic anomalies: gliomas, multiple-sclerosis lesions and image artefacts, each with its mask."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmccd.simulation.anatomy import Anatomy, Bulge, Floats, ellipsoid_distance, load_template, smooth_field

Labels = NDArray[np.uint8]
Artefact = Callable[[np.random.Generator, Floats], Floats]

# As in BraTS up to 4; the others are this phantom's own.
NECROSIS, OEDEMA, ENHANCING, MS_LESION, ARTEFACT = 1, 2, 4, 5, 6


def plan_glioma(rng: np.random.Generator) -> tuple[Bulge, float]:
    """Choose where a glioma grows and how large it gets (millilitres); the bulge is its mass effect."""
    template = load_template()
    x, y, z = np.nonzero(template.white > 230)
    places = np.stack([x, y, z]) + np.array(template.origin_mm)[:, None]
    # The cerebrum's own white matter: off the midline, above cerebellum and brain stem.
    cerebral = (np.abs(places[0]) > 14) & (places[2] > -8) & (places[2] < 50)
    x_mm, y_mm, z_mm = (float(mm) for mm in rng.choice(places[:, cerebral], axis=1))
    volume_ml = float(np.exp(rng.uniform(np.log(18.0), np.log(130.0))))
    radius_mm = (volume_ml * 1000 * 0.75 / np.pi) ** (1 / 3)
    return Bulge((x_mm, y_mm, z_mm), float(rng.uniform(0.0, 0.35)), 0.7 * radius_mm), volume_ml


def grow_glioma(
    rng: np.random.Generator, anatomy: Anatomy, site: Bulge, volume_ml: float
) -> tuple[dict[str, Floats], Labels]:
    """Replace tissue by oedema that follows the white matter, and its heart by a rim around necrosis.

    Returns:
        The tissue fractions with the tumour, and its labels, (n,) over the brain's voxels.
    """
    nearest = int(np.argmin(ellipsoid_distance(anatomy.template_mm, site.centre_mm, (1.0, 1.0, 1.0))))
    seed_mm = anatomy.position_mm[:, nearest]
    distance_mm = ellipsoid_distance(anatomy.position_mm, seed_mm, rng.uniform(0.8, 1.25, 3))
    waves = [smooth_field(rng, anatomy.grid, knot)[anatomy.brain] for knot in (28.0, 12.0, 14.0, 9.0)]
    free = anatomy.fractions["csf"] < 0.5
    voxels = round(volume_ml / anatomy.grid.voxel_ml)

    # Oedema travels easily along white matter, badly through cortex, and hardly ever across the falx.
    travel_mm = distance_mm * np.exp(0.22 * waves[0] + 0.10 * waves[1]) * (1.35 - 0.6 * anatomy.fractions["white"])
    other_side = np.sign(site.centre_mm[0]) * anatomy.template_mm[0] < 0
    reach_mm = np.where(other_side & (anatomy.template_mm[2] > -5), travel_mm + 25, travel_mm)
    oedema = _within(reach_mm, free, voxels, edge_mm=4.0) * (1 - anatomy.fractions["csf"])

    # The solid core is rounder than its oedema: it destroys what it meets.
    core_mm = distance_mm * np.exp(0.22 * waves[2])
    core_voxels = max(1, round(float(rng.uniform(0.12, 0.4)) * voxels))
    core = _within(core_mm, free & (oedema > 0.5), core_voxels, edge_mm=1.5) * np.minimum(1, 2 * oedema)
    inner_voxels = max(1, round(float(rng.uniform(0.25, 0.6)) * core_voxels))
    inner = _within(core_mm, free & (core > 0.5), inner_voxels, edge_mm=1.5) * core

    # Fluid does not soak the tissue evenly.
    soaked = np.maximum(oedema * np.clip(0.88 + 0.12 * waves[3], 0.65, 1), core)
    fractions = _replace(anatomy.fractions, soaked, "oedema")
    fractions = _replace(fractions, core, "enhancing")
    fractions = _replace(fractions, inner, "necrosis")
    labels = np.select([inner > 0.5, core > 0.5, oedema > 0.5], [NECROSIS, ENHANCING, OEDEMA], 0)
    return fractions, labels.astype(np.uint8)


def scatter_ms_lesions(rng: np.random.Generator, anatomy: Anatomy) -> tuple[dict[str, Floats], Labels]:
    """Place 5 to 25 ovoid lesions in white matter, most of them at the ventricles; 0.1 to 3 ml in all."""
    count = int(rng.integers(5, 26))
    total_ml = float(np.exp(rng.uniform(np.log(0.5), np.log(2.2))))
    shares = np.exp(rng.normal(0.0, 0.6, count))
    inside = anatomy.fractions["white"] > 0.8
    inside &= anatomy.template_mm[2] > -5
    weight = np.where(inside, 0.02 + anatomy.near_ventricles, 0.0).astype(np.float64)
    lesion = np.zeros(len(weight), dtype=np.float32)
    centres = rng.choice(len(weight), size=count, replace=False, p=weight / weight.sum())
    for centre, volume_ml in zip(centres, np.minimum(total_ml * shares / shares.sum(), 0.6), strict=True):
        lesion = np.maximum(lesion, _ovoid(rng, anatomy, int(centre), float(volume_ml)))
    lesion *= 1 - anatomy.fractions["csf"]
    lesion[centres] = np.maximum(lesion[centres], 0.75)  # smaller than a voxel, yet there
    labels = np.where(lesion > 0.5, MS_LESION, 0).astype(np.uint8)
    return _replace(anatomy.fractions, lesion, "ms lesion"), labels


def plan_artefact(rng: np.random.Generator, anatomy: Anatomy, kind: str) -> tuple[Artefact, Labels]:
    """Choose the place of an artefact.

    Args:
        rng: Source of place, size and strength.
        anatomy: The brain that is scanned.
        kind: ``drop``, ``ghosting`` or ``spike``.

    Returns:
        A function that spoils one modality's signal, with its own strength each time, and the labels.
    """
    if kind == "drop":
        loss = _drop(rng, anatomy)
        return partial(_lose, loss=loss), np.where(loss > 0.5, ARTEFACT, 0).astype(np.uint8)
    slab = _slab(rng, anatomy)
    labels = np.broadcast_to(slab, anatomy.brain.shape)[anatomy.brain] * np.uint8(ARTEFACT)
    spoil = _ghosts if kind == "ghosting" else _herringbone
    return partial(spoil, anatomy=anatomy, slab=slab), labels.astype(np.uint8)


def _within(reach_mm: Floats, allowed: NDArray[np.bool_], voxels: int, edge_mm: float) -> Floats:
    """Share of each voxel inside the level set that holds ``voxels`` allowed ones, with a soft edge."""
    candidates = np.sort(reach_mm[allowed])
    if not len(candidates):
        return np.zeros_like(reach_mm)
    level_mm = candidates[min(voxels, len(candidates)) - 1]
    return np.asarray(np.clip(0.5 + (level_mm - reach_mm) / edge_mm + 1e-4, 0, 1), dtype=np.float32)


def _replace(fractions: Mapping[str, Floats], amount: Floats, tissue: str) -> dict[str, Floats]:
    """Let ``tissue`` take ``amount`` of each voxel from all others in proportion."""
    kept = {name: np.asarray(share * (1 - amount), dtype=np.float32) for name, share in fractions.items()}
    return {**kept, tissue: np.asarray(kept.get(tissue, np.float32(0)) + amount, dtype=np.float32)}


def _ovoid(rng: np.random.Generator, anatomy: Anatomy, centre: int, volume_ml: float) -> Floats:
    """One lesion, stretched away from the ventricles as those along the veins are (Dawson's fingers)."""
    radius_mm = (volume_ml * 1000 * 0.75 / np.pi) ** (1 / 3)
    stretch = rng.uniform(1.2, 1.9)
    # The veins run sideways, with a random tilt to the front or to the top.
    direction = rng.normal(0.0, (1.0, 0.5, 0.5))
    direction /= np.sqrt((direction**2).sum())
    offset = anatomy.position_mm - anatomy.position_mm[:, [centre]]
    along = sum(np.float32(direction[i]) * offset[i] for i in range(3))
    square = sum(offset[i] ** 2 for i in range(3))
    across = np.sqrt(np.maximum(square - along**2, 0) * stretch + (along / stretch) ** 2)
    return np.asarray(np.clip(0.5 + (radius_mm - across) / anatomy.grid.spacing_mm, 0, 1), dtype=np.float32)


def _drop(rng: np.random.Generator, anatomy: Anatomy) -> Floats:
    """Share of the signal that metal or air nearby destroys: a blob of about 5 to 40 ml."""
    centre = anatomy.position_mm[:, int(rng.integers(anatomy.position_mm.shape[1]))]
    distance_mm = ellipsoid_distance(anatomy.position_mm, centre, rng.uniform(0.8, 1.25, 3))
    distance_mm *= np.exp(0.15 * smooth_field(rng, anatomy.grid, 16.0)[anatomy.brain])
    voxels = round(float(rng.uniform(6.0, 35.0)) / anatomy.grid.voxel_ml)
    return _within(distance_mm, np.ones(len(distance_mm), dtype=bool), voxels, edge_mm=5.0)


def _lose(rng: np.random.Generator, signal: Floats, loss: Floats) -> Floats:
    return np.asarray(signal * (1 - np.float32(rng.uniform(0.75, 0.95)) * loss), dtype=np.float32)


def _slab(rng: np.random.Generator, anatomy: Anatomy) -> NDArray[np.bool_]:
    """Consecutive axial slices, 10 to 24 mm of them, somewhere in the cerebrum; (z,) bool."""
    occupied = np.flatnonzero(anatomy.brain.any(axis=(0, 1)))
    middle = rng.uniform(0.4, 0.75) * (occupied[-1] - occupied[0]) + occupied[0]
    half = rng.uniform(5.0, 12.0) / anatomy.grid.spacing_mm
    return np.asarray(np.abs(np.arange(anatomy.brain.shape[2]) - middle) <= max(half, 0.5))


def _ghosts(rng: np.random.Generator, signal: Floats, anatomy: Anatomy, slab: NDArray[np.bool_]) -> Floats:
    """Motion in step with the phase encoding: displaced copies of the slice over itself."""
    volume = np.zeros(anatomy.brain.shape, dtype=np.float32)
    volume[anatomy.brain] = signal
    shift_mm = rng.uniform(35.0, 70.0) * rng.choice([-1.0, 1.0])
    copy = ndimage.shift(volume, (0, shift_mm / anatomy.grid.spacing_mm, 0), order=1)
    copy += ndimage.shift(volume, (0, -shift_mm / anatomy.grid.spacing_mm, 0), order=1)
    strength = np.float32(rng.uniform(0.25, 0.45))
    return np.asarray(signal + strength * (copy * slab)[anatomy.brain], dtype=np.float32)


def _herringbone(rng: np.random.Generator, signal: Floats, anatomy: Anatomy, slab: NDArray[np.bool_]) -> Floats:
    """A spark in k-space: stripes over the whole slice, at another phase in each."""
    angle, period_mm = rng.uniform(0.0, np.pi), rng.uniform(8.0, 16.0)
    x, y, _ = anatomy.position_mm
    slices = np.broadcast_to(np.arange(len(slab)), anatomy.brain.shape)[anatomy.brain]
    phase = rng.uniform(0.0, 2 * np.pi, len(slab))[slices]
    wave = np.cos(2 * np.pi / period_mm * (np.cos(angle) * x + np.sin(angle) * y) + phase)
    strength = rng.uniform(0.2, 0.4) * float(signal.mean())
    return np.asarray(np.abs(signal + strength * wave * slab[slices]), dtype=np.float32)
