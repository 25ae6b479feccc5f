"""What was marked, as a list of findings: connected parts with volume, place and strength."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

TOUCHING = np.ones((3, 3, 3), dtype=bool)
"""Voxels that share a face, an edge or a corner belong together."""


@dataclass(frozen=True)
class Finding:
    """One connected part of a mask.

    Attributes:
        volume_ml: Its size.
        centre_mm: Right, front and up in the scanner's millimetres: the voxel of it that is nearest to its centre.
        voxel: That voxel.
        peak: Highest anomaly in it.
        weight: Sum of what exceeds the threshold: how strong it is as a whole.
    """

    volume_ml: float
    centre_mm: tuple[float, float, float]
    voxel: tuple[int, int, int]
    peak: float
    weight: float


def findings_of(
    mask: NDArray[np.bool_], anomaly: NDArray[np.float32], affine: NDArray[np.float64], threshold: float, *, most: int
) -> tuple[list[Finding], int]:
    """The largest connected parts of a mask, and how many there are.

    Args:
        mask: (x, y, z) in RAS+.
        anomaly: Of the same shape.
        affine: (4, 4), voxel to millimetre.
        threshold: In the unit of ``anomaly``.
        most: How many are described.
    """
    labels, count = ndimage.label(mask, TOUCHING)
    if not count:
        return [], 0
    voxel_ml = float(abs(np.linalg.det(affine[:3, :3]))) / 1000.0
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    boxes = ndimage.find_objects(labels)
    found = []
    for index in np.argsort(-sizes, kind="stable")[:most]:
        box = boxes[index]
        inside = labels[box] == index + 1
        places = np.argwhere(inside)
        values = anomaly[box][inside]
        excess = np.maximum(values - threshold, 0).astype(np.float64) + 1e-9
        middle = (places * excess[:, None]).sum(axis=0) / excess.sum()
        nearest = places[((places - middle) ** 2).sum(axis=1).argmin()]
        voxel = tuple(int(start.start + place) for start, place in zip(box, nearest, strict=True))
        centre = affine[:3, :3] @ voxel + affine[:3, 3]
        found.append(
            Finding(
                volume_ml=float(sizes[index]) * voxel_ml,
                centre_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
                voxel=(voxel[0], voxel[1], voxel[2]),
                peak=float(values.max()),
                weight=float(excess.sum()) * voxel_ml,
            )
        )
    return found, count


def strongest_voxel(
    findings: list[Finding], anomaly: NDArray[np.float32], brain: NDArray[np.bool_]
) -> tuple[int, int, int]:
    """Where to look: the finding with the largest weight, else the highest anomaly, else the middle of the brain."""
    if findings:
        return max(findings, key=lambda finding: finding.weight).voxel
    if anomaly.any():
        place = np.unravel_index(int(anomaly.argmax()), anomaly.shape)
    elif brain.any():
        places = np.argwhere(brain)
        place = tuple(places[((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin()])
    else:
        place = tuple(size // 2 for size in anomaly.shape)
    return int(place[0]), int(place[1]), int(place[2])


def place_in_words(from_middle_mm: Iterable[float]) -> str:
    """Millimetres right, front and up of the brain's middle, in the patient's directions: `R 31  A 12  S 40`."""
    letters = (("R", "L"), ("A", "P"), ("S", "I"))
    return "\u2002".join(
        f"{positive if value >= 0 else negative}\u202f{abs(value):.0f}"
        for value, (positive, negative) in zip(from_middle_mm, letters, strict=True)
    )
