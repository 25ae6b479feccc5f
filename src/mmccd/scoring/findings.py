"""What was marked, as a list of findings: connected parts with volume, place and strength."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

TOUCHING = np.ones((3, 3, 3), dtype=bool)
"""Voxels that share a face, an edge or a corner belong together."""
MIDDLE_MM = 5.0
"""Closer than this to the middle of the box around the brain no side is told: that is not exactly its midline."""
_ROUNDING = 1e-6

Side = Literal["left", "right", "middle"]


@dataclass(frozen=True)
class Finding:
    """One connected part of a mask.

    Attributes:
        number: From 1, by volume, the largest first.
        volume_ml: Its size.
        peak: Highest anomaly in it.
        mean: Of the anomaly of its voxels.
        centre_mm: Right, front and up in the scan's millimetres (RAS): the voxel of it that is nearest to its centre,
            in which voxels count by how far they exceed the threshold.
        side: Of the patient, from the middle of the brain; ``middle`` within `MIDDLE_MM` of it.
        mni_mm: The same place in MNI space; None where the scan does not lie there.
    """

    number: int
    volume_ml: float
    peak: float
    mean: float
    centre_mm: tuple[float, float, float]
    side: Side
    mni_mm: tuple[float, float, float] | None = None


def findings_of(
    mask: NDArray[np.bool_],
    anomaly: NDArray[np.float32],
    brain: NDArray[np.bool_],
    affine: NDArray[np.float64],
    threshold: float,
    *,
    in_mni: bool = False,
) -> tuple[Finding, ...]:
    """The connected parts of a mask, the largest first.

    Args:
        mask: (x, y, z) in RAS+.
        anomaly: Of the same shape.
        brain: Of the same shape; sides are told from its middle.
        affine: (4, 4), voxel to millimetre.
        threshold: In the unit of ``anomaly``.
        in_mni: Whether these millimetres are those of MNI space.
    """
    labels, count = ndimage.label(mask, TOUCHING)
    if not count:
        return ()
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    boxes = ndimage.find_objects(labels)
    middle_mm = middle_of(brain, affine)[0]
    found = []
    for number, index in enumerate(np.argsort(-sizes, kind="stable"), start=1):
        box = boxes[index]
        inside = labels[box] == index + 1
        places = np.argwhere(inside)
        values = anomaly[box][inside].astype(np.float64)
        excess = np.maximum(values - threshold, 0) + 1e-9
        middle = (places * excess[:, None]).sum(axis=0) / excess.sum()
        nearest = places[((places - middle) ** 2).sum(axis=1).argmin()]
        voxel = nearest + [part.start for part in box]
        x, y, z = (float(value) for value in affine[:3, :3] @ voxel + affine[:3, 3])
        found.append(
            Finding(
                number=number,
                volume_ml=float(sizes[index]) * _voxel_ml(affine),
                peak=float(values.max()),
                mean=float(values.mean()),
                centre_mm=(x, y, z),
                side=_side(x - middle_mm),
                mni_mm=(x, y, z) if in_mni else None,
            )
        )
    return tuple(found)


def without_small(mask: NDArray[np.bool_], affine: NDArray[np.float64], least_ml: float) -> NDArray[np.bool_]:
    """A mask without its connected parts that are smaller than ``least_ml``; 0 leaves it as it is.

    Args:
        mask: (x, y, z).
        affine: (4, 4), voxel to millimetre.
        least_ml: Smallest volume that stays.
    """
    if least_ml <= 0:
        return mask
    labels, count = ndimage.label(mask, TOUCHING)
    sizes_ml = np.bincount(labels.ravel(), minlength=count + 1) * _voxel_ml(affine)
    stays = sizes_ml >= least_ml * (1 - _ROUNDING)  # a part of just this volume is not smaller
    stays[0] = False
    return np.asarray(stays[labels])


def strongest_voxel(
    findings: Iterable[Finding],
    anomaly: NDArray[np.float32],
    brain: NDArray[np.bool_],
    affine: NDArray[np.float64],
    threshold: float,
) -> tuple[int, int, int]:
    """Where to look: the finding that exceeds the threshold most in sum, else the highest anomaly, else the brain."""
    findings = tuple(findings)
    place: Iterable[np.integer | int]
    if findings:
        strongest = max(findings, key=lambda finding: (finding.mean - threshold) * finding.volume_ml)
        place = np.rint(np.linalg.solve(affine, [*strongest.centre_mm, 1.0])[:3]).astype(int)
    elif anomaly.any():
        place = np.unravel_index(int(anomaly.argmax()), anomaly.shape)
    elif brain.any():
        places = np.argwhere(brain)
        place = places[((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    else:
        place = [size // 2 for size in anomaly.shape]
    x, y, z = (int(value) for value in place)
    return x, y, z


def bounding_box(brain: NDArray[np.bool_], margin: int = 1) -> tuple[slice, slice, slice]:
    """The part of a volume that holds the brain; the whole volume where there is none."""
    if not brain.any():
        x, y, z = (slice(0, size) for size in brain.shape)
        return x, y, z
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        places = np.flatnonzero(brain.any(axis=others))
        box.append(slice(max(0, int(places[0]) - margin), int(places[-1]) + 1 + margin))
    return box[0], box[1], box[2]


def middle_of(brain: NDArray[np.bool_], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the middle of the box around the brain lies, in the scanner's millimetres.

    Positions are told from there: the scanner's origin may lie anywhere, so that its left need not be the patient's.
    """
    centre = [(part.start + part.stop - 1) / 2 for part in bounding_box(brain, margin=0)]
    return np.asarray(affine[:3, :3] @ centre + affine[:3, 3])


def place_in_words(from_middle_mm: Iterable[float]) -> str:
    """Millimetres right, front and up of the brain's middle, in the patient's directions: `R 31  A 12  S 40`."""
    letters = (("R", "L"), ("A", "P"), ("S", "I"))
    return "\u2002".join(
        f"{positive if value >= 0 else negative}\u202f{abs(value):.0f}"
        for value, (positive, negative) in zip(from_middle_mm, letters, strict=True)
    )


def _side(right_mm: float) -> Side:
    if abs(right_mm) < MIDDLE_MM:
        return "middle"
    return "right" if right_mm > 0 else "left"


def _voxel_ml(affine: NDArray[np.float64]) -> float:
    return float(abs(np.linalg.det(affine[:3, :3]))) / 1000.0
