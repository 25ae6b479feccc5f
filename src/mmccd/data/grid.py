"""In-plane resampling between a scan's own pixels and the square grid that the networks see."""

from dataclasses import dataclass
from math import isclose
from typing import Annotated, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from mmccd.errors import ConfigError

Protocol = Literal["volume", "paper-slices"]
"""Which slices of a scan, on which grid: all of the brain, or those of the paper."""
OLD_PROTOCOLS: dict[str, Protocol] = {"published": "paper-slices"}

FIELD_OF_VIEW_MM = 240.0
"""Side of the square that the networks see: that of BraTS, which holds every adult brain."""


def protocol_named(name: str) -> Protocol:
    """A protocol by its name, or by the one that it had once.

    Raises:
        ConfigError: there is none of that name.
    """
    known: dict[str, Protocol] = {one: one for one in get_args(Protocol)} | OLD_PROTOCOLS
    if name not in known:
        raise ConfigError(f"protocol is {name!r}", f"choose {' or '.join(get_args(Protocol))}")
    return known[name]


@dataclass(frozen=True)
class ModelGrid:
    """The slices that networks are trained on, and get at test time.

    Attributes:
        protocol: Which slices, and how they are resized.
        size_px: Side of the square in pixels.
        pixel_mm: Side of a pixel.

    Raises:
        ConfigError: there is no such protocol, or no such size: slices are `FIELD_OF_VIEW_MM` wide.
    """

    protocol: Annotated[Protocol, BeforeValidator(protocol_named)]
    size_px: int
    pixel_mm: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "protocol", protocol_named(self.protocol))
        fits = 1 <= self.size_px <= 4096 and isclose(self.size_px * self.pixel_mm, FIELD_OF_VIEW_MM, rel_tol=1e-3)
        if not fits:
            raise ConfigError(
                f"slices of {self.size_px} pixels of {self.pixel_mm:g} mm, expected from 1 to 4096 over "
                f"{FIELD_OF_VIEW_MM:g} mm",
                "128 of 1.875 mm are usual",
            )

    def __str__(self) -> str:
        """For messages."""
        return f"{self.protocol}, {self.size_px} px of {self.pixel_mm:g} mm"


@dataclass(frozen=True)
class SliceGrid:
    """How the axial slices of one volume map to (size_px, size_px) images, and back.

    Attributes:
        to_model_x: (size_px, nx) weights; row i holds the shares of the scan's pixels in model pixel i.
        to_model_y: (size_px, ny) weights.
        to_scan_x: (nx, size_px) linear interpolation weights.
        to_scan_y: (ny, size_px) linear interpolation weights.
    """

    to_model_x: NDArray[np.float32]
    to_model_y: NDArray[np.float32]
    to_scan_x: NDArray[np.float32]
    to_scan_y: NDArray[np.float32]

    def shrink(self, volume: NDArray[np.float32], outside: float) -> NDArray[np.float32]:
        """(x, y, z) volume to (z, size_px, size_px) slices; ``outside`` is the value beyond the scan's edge."""
        shifted = np.moveaxis(volume - np.float32(outside), 2, 0)
        resampled = self.to_model_x @ shifted @ self.to_model_y.T
        return np.asarray(resampled + np.float32(outside), dtype=np.float32)

    def shrink_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(x, y, z) mask to (z, size_px, size_px): pixels more than half covered, so that masks do not grow."""
        return self.shrink(mask.astype(np.float32), 0.0) > 0.5

    def expand(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """(z, size_px, size_px) slices to an (x, y, z) volume by linear interpolation."""
        return np.ascontiguousarray(np.moveaxis(self.to_scan_x @ slices @ self.to_scan_y.T, 0, 2))


def slice_grid(grid: ModelGrid, brain: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> SliceGrid:
    """How one scan is resized: a network sees at test time what it saw in training.

    ``paper-slices`` is the area resize where the scan fills the field of view, as those of the paper do; everything
    else is `centred_grid`.
    """
    if grid.protocol == "paper-slices" and fills_field_of_view(brain.shape, spacing_mm):
        return area_grid(brain.shape[:2], grid.size_px)
    return centred_grid(brain, spacing_mm, grid.size_px, grid.pixel_mm)


def fills_field_of_view(shape: tuple[int, ...], spacing_mm: tuple[float, float, float]) -> bool:
    """Whether the axial slices of a scan measure 240 x 240 mm, to a millimetre."""
    return all(abs(n * mm - FIELD_OF_VIEW_MM) <= 1 for n, mm in zip(shape[:2], spacing_mm[:2], strict=True))


def centred_grid(
    brain: NDArray[np.bool_], spacing_mm: tuple[float, float, float], size_px: int, pixel_mm: float
) -> SliceGrid:
    """Place the model's square so that it holds the brain.

    The square shares its centre with the scan, as the paper's do, unless part of the brain would fall
    outside: then it is centred on the brain, by whole pixels of the scan.
    """
    axes = [
        _axis_weights(brain.any(axis=other).ravel(), spacing, size_px, pixel_mm)
        for other, spacing in (((1, 2), spacing_mm[0]), ((0, 2), spacing_mm[1]))
    ]
    (to_model_x, to_scan_x), (to_model_y, to_scan_y) = axes
    return SliceGrid(to_model_x, to_model_y, to_scan_x, to_scan_y)


def area_grid(shape: tuple[int, ...], size_px: int) -> SliceGrid:
    """The paper's resize: the whole slice to (size_px, size_px), each pixel the mean of those that it touches.

    Equal to ``torch.nn.functional.interpolate(mode="area")``.
    """
    to_model_x, to_model_y = (_touched_mean(n, size_px) for n in shape)
    to_scan_x, to_scan_y = (_linear(size_px, n, size_px / n, 0.0) for n in shape)
    return SliceGrid(to_model_x, to_model_y, to_scan_x, to_scan_y)


def _axis_weights(
    occupied: NDArray[np.bool_], spacing_mm: float, size_px: int, pixel_mm: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    length = occupied.size
    ratio = pixel_mm / spacing_mm  # scan pixels per model pixel
    start = (length - size_px * ratio) / 2  # in scan pixels from the scan's edge
    first, last = np.flatnonzero(occupied)[[0, -1]]
    if first < start or last + 1 > start + size_px * ratio:
        start += np.round((first + last + 1 - length) / 2)
    return _overlap(length, size_px, ratio, start), _linear(size_px, length, 1 / ratio, -start / ratio)


def _overlap(length: int, size_px: int, ratio: float, start: float) -> NDArray[np.float32]:
    """Share of each input pixel in each output pixel, by the area that they have in common."""
    low = start + ratio * np.arange(size_px)[:, None]
    pixel = np.arange(length)[None, :]
    common = np.minimum(low + ratio, pixel + 1) - np.maximum(low, pixel)
    return np.asarray(np.clip(common, 0, None) / ratio, dtype=np.float32)


def _linear(length: int, size: int, ratio: float, start: float) -> NDArray[np.float32]:
    """Linear interpolation of ``length`` inputs at the centres of ``size`` outputs; zero beyond the edge."""
    centre = start + ratio * (np.arange(size)[:, None] + 0.5) - 0.5
    return np.asarray(np.clip(1 - np.abs(centre - np.arange(length)[None, :]), 0, None), dtype=np.float32)


def _touched_mean(length: int, size_px: int) -> NDArray[np.float32]:
    output = np.arange(size_px)[:, None]
    pixel = np.arange(length)[None, :]
    touched = (pixel >= output * length // size_px) & (pixel < -(-(output + 1) * length // size_px))
    return np.asarray(touched / touched.sum(axis=1, keepdims=True), dtype=np.float32)
