"""Three planes of a scan as SVG: pixels as PNG, outlines as paths, all in millimetres, as radiologists look at them."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import find_contours

from mmccd.figures import MAP_COLOURS
from mmccd.reporting.viewer import windowed
from mmccd.scoring.findings import bounding_box, middle_of

PLANES = ("axial", "coronal", "sagittal")
_ACROSS = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}  # axis of columns, of rows, of the slice
_SIDES = ("RL", "AP", "SI")  # where a position along each axis is positive, and negative
_LETTERS = {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI"}  # left, right, top, bottom of the picture
MARGIN_MM = 8.0
"""Around the pixels, for the letters."""


@dataclass(frozen=True)
class Plane:
    """One plane through a point, in a frame; the frames of a case lie side by side and are equally high.

    Attributes:
        name: `axial`, `coronal` or `sagittal`.
        position: Of the slice, in millimetres from the middle of the brain: `L 21 mm`.
        left_mm: Of the frame among those of the case.
        wide_mm: Of the frame.
        high_mm: Of the frame.
        y_mm: Top edge of the pixels in the frame; their left edge lies at `MARGIN_MM`.
        width_mm: Of the pixels.
        height_mm: Of the pixels.
        scan: PNG as a data address; empty without a scan.
        anomaly: PNG as a data address, black (0) to bright (twice the threshold).
        outlines: Path data by `mask` and `expert`.
        cross: Where the point lies in the frame.
        letters: Directions at the left, right, top and bottom of the frame.
    """

    name: str
    position: str
    left_mm: float
    wide_mm: float
    high_mm: float
    y_mm: float
    width_mm: float
    height_mm: float
    scan: str
    anomaly: str
    outlines: dict[str, Markup]
    cross: tuple[float, float]
    letters: str


def planes_through(
    voxel: tuple[int, int, int],
    *,
    affine: NDArray[np.float64],
    anomaly: NDArray[np.float32],
    mask: NDArray[np.bool_],
    brain: NDArray[np.bool_],
    threshold: float,
    scan: NDArray[np.float32] | None,
    expert: NDArray[np.bool_] | None,
) -> list[Plane]:
    """The three planes through a voxel; arrays are (x, y, z) in RAS+ and of one shape.

    Page left is the patient's right; in the sagittal plane it is the front. Nothing outside the brain is shown.
    """
    box = bounding_box(brain)
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    extent = [float((part.stop - part.start) * mm) for part, mm in zip(box, spacing, strict=True)]
    high = max(extent[1], extent[2]) + 2 * MARGIN_MM
    beside = 0.0
    grey = None if scan is None else windowed(scan, brain)
    heat = np.round(np.clip(anomaly / (2 * threshold if threshold > 0 else 1.0), 0, 1) * 255).astype(np.uint8)
    point = affine[:3, :3] @ voxel + affine[:3, 3] - middle_of(brain, affine)
    planes = []
    for name in PLANES:
        across, up, along = _ACROSS[name]
        cut: list[Any] = list(box)
        cut[along] = voxel[along]
        where = tuple(cut)
        flipped = {key: _as_seen(values[where], across < up) for key, values in (("heat", heat), ("mask", mask))}
        rows, columns = flipped["heat"].shape
        width, height = columns * float(spacing[across]), rows * float(spacing[up])
        left, top = MARGIN_MM, (high - height) / 2
        scale = (float(spacing[across]), float(spacing[up]), left, top)
        outlines = {"mask": outline(flipped["mask"], *scale)}
        if expert is not None:
            outlines["expert"] = outline(_as_seen(expert[where], across < up), *scale)
        planes.append(
            Plane(
                name=name,
                position=f"{_SIDES[along][int(point[along] < 0)]} {abs(point[along]):.0f} mm",
                left_mm=round(beside, 2),
                wide_mm=round(width + 2 * MARGIN_MM, 2),
                high_mm=round(high, 2),
                y_mm=round(top, 2),
                width_mm=round(width, 2),
                height_mm=round(height, 2),
                scan="" if grey is None else png(_as_seen(grey[where], across < up)),
                anomaly=png(flipped["heat"], MAP_COLOURS),
                outlines=outlines,
                cross=(
                    round(left + (box[across].start + columns - voxel[across] - 0.5) * float(spacing[across]), 2),
                    round(top + (box[up].start + rows - voxel[up] - 0.5) * float(spacing[up]), 2),
                ),
                letters=_LETTERS[name],
            )
        )
        beside += width + 2 * MARGIN_MM
    return planes


def outline(mask: NDArray[np.bool_], dx: float, dy: float, left: float, top: float) -> Markup:
    """Contours of a mask as SVG path data; (rows, columns) from the top left, pixels of dx by dy mm."""
    paths = []
    for contour in find_contours(np.pad(mask, 1).astype(np.float32), 0.5):
        # The padding moves everything by one pixel, centres of pixels lie half a pixel in.
        points = [f"{left + (x - 0.5) * dx:.1f} {top + (y - 0.5) * dy:.1f}" for y, x in contour[:-1]]
        paths.append("M" + "L".join(points) + "Z")
    return Markup("".join(paths))


def png(pixels: NDArray[np.uint8], colours: str | None = None) -> str:
    """A data address of grey levels, or of 256 colours of a matplotlib map."""
    image = Image.fromarray(np.ascontiguousarray(pixels), mode="L")
    if colours:
        table = np.round(matplotlib.colormaps[colours](np.arange(256))[:, :3] * 255).astype(np.uint8)
        table[0] = 0
        image = image.convert("L")
        coloured = Image.frombytes("P", image.size, image.tobytes())
        coloured.putpalette(table.tobytes())
        image = coloured
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return data_address(stream.getvalue())


def data_address(content: bytes, kind: str = "image/png") -> str:
    """A file as part of the page."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _as_seen(values: NDArray[Any], columns_first: bool) -> NDArray[Any]:
    """Rows from the top, columns from the patient's right or front."""
    turned = values.T if columns_first else values
    return turned[::-1, ::-1]
