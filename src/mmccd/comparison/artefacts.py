"""Artefacts planted on real healthy-looking scans, to see which kinds of anomaly a method finds.

Most are made as in a scanner, in k-space (the 2-D Fourier transform of a slice). The last axis is the direction of
phase encoding; a scan, that is a stack of slices, gets one set of parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmccd.errors import ConfigError
from mmccd.method.intensity import BACKGROUND

Slices = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Stack:
    """What an artefact is planted on.

    Attributes:
        magnitude: (n, height, width) signal, at least 0 and 0 outside the brain; 1 is its 90th percentile in the scan.
        other: (n, height, width) signal of another modality of the same brain.
        brain: (n, height, width), True inside the brain.
        pixel_mm: Side of a pixel.
    """

    magnitude: Slices
    other: Slices
    brain: Mask
    pixel_mm: float


def plant(
    kind: str, slices: Slices, brain: Mask, rng: np.random.Generator, *, pixel_mm: float, other: Slices
) -> tuple[Slices, Mask]:
    """Spoil the slices of one scan, and say where.

    Args:
        kind: One of ``ARTEFACTS``.
        slices: (n, height, width) on the scale of `mmccd.method.intensity.normalise`.
        brain: (n, height, width), True inside the brain.
        rng: Source of place, size and strength.
        pixel_mm: Side of a pixel.
        other: (n, height, width), another modality of the same slices on the same scale.

    Returns:
        The spoiled slices, -3 outside the brain, and the mask of what was spoiled, which lies inside the brain.

    Raises:
        ConfigError: there is no such kind.
    """
    if kind not in ARTEFACTS:
        raise ConfigError(f"no artefact named {kind!r}", f"choose one of {', '.join(ARTEFACTS)}")
    clean = np.where(brain, slices, np.float32(BACKGROUND))
    if not brain.any():
        return clean, brain.copy()
    stack = Stack(_magnitude(slices, brain), _magnitude(other, brain), brain, pixel_mm)
    signal, spoiled = ARTEFACTS[kind](rng, stack)
    return np.where(spoiled, 6 * signal + np.float32(BACKGROUND), clean), spoiled


def _magnitude(slices: Slices, brain: Mask) -> Slices:
    """The inverse of `mmccd.method.intensity.normalise`, up to the scan's unit."""
    return np.where(brain, np.maximum(slices - np.float32(BACKGROUND), 0) / 6, np.float32(0))


def _ghosting(rng: np.random.Generator, stack: Stack) -> tuple[Slices, Mask]:
    """Every second to fourth phase-encoding line is stronger: copies displaced by that part of the field of view."""
    every, strength = rng.integers(2, 5), rng.uniform(0.3, 0.6)
    weights = 1 + strength * np.cos(2 * np.pi * _lines(stack) / every)
    return _image(np.fft.fft2(stack.magnitude) * weights, stack), stack.brain.copy()


def _spike(rng: np.random.Generator, stack: Stack) -> tuple[Slices, Mask]:
    """One or two sparks while k-space was read: stripes over the whole slice, the herringbone."""
    k_space = np.fft.fft2(stack.magnitude)
    height, width = stack.brain.shape[1:]
    for _ in range(rng.integers(1, 3)):
        angle, period_mm, phase = rng.uniform(0, np.pi), rng.uniform(6, 16), rng.uniform(0, 2 * np.pi)
        row = round(height * stack.pixel_mm / period_mm * np.cos(angle))
        column = round(width * stack.pixel_mm / period_mm * np.sin(angle))
        amplitude = rng.uniform(0.12, 0.24) * stack.magnitude[stack.brain].mean()
        k_space[:, row % height, column % width] += height * width * amplitude * np.exp(1j * phase)
    return _image(k_space, stack), stack.brain.copy()


def _motion(rng: np.random.Generator, stack: Stack) -> tuple[Slices, Mask]:
    """The head lay still but for one to three jerks; it keeps the place that it had at the centre of k-space."""
    jerks = rng.integers(1, 4)
    cuts = np.sort(rng.uniform(0.05, 0.14, jerks) * rng.choice([-1, 1], jerks)) * stack.brain.shape[2]
    pose = np.searchsorted(cuts, _lines(stack))
    k_space = np.fft.fft2(stack.magnitude)
    for moved in set(range(jerks + 1)) - {int(pose[0])}:
        angle_deg, *shift_mm = rng.uniform((3, 3, 3), 8) * rng.choice([-1, 1], 3)
        head = ndimage.rotate(stack.magnitude, angle_deg, axes=(1, 2), reshape=False, order=1)
        head = ndimage.shift(head, (0, *(np.array(shift_mm) / stack.pixel_mm)), order=1)
        k_space[..., pose == moved] = np.fft.fft2(head)[..., pose == moved]
    return _image(k_space, stack), stack.brain.copy()


def _missing_block(rng: np.random.Generator, stack: Stack) -> tuple[Slices, Mask]:
    """A rectangle of 30 to 60 mm without signal, at one place in all slices."""
    depth = stack.brain.sum(axis=0)
    to_edge = ndimage.distance_transform_edt(depth >= 0.5 * depth.max())
    centre = rng.choice(np.argwhere(to_edge >= 0.5 * to_edge.max()))
    half = rng.uniform(15, 30, 2) / stack.pixel_mm
    rows, columns = (np.abs(np.arange(n) - c) <= h for n, c, h in zip(depth.shape, centre, half, strict=True))
    return np.zeros_like(stack.magnitude), stack.brain & rows[:, None] & columns


def _wrong_modality(_rng: np.random.Generator, stack: Stack) -> tuple[Slices, Mask]:
    return stack.other, stack.brain.copy()


def _intensity_shift(rng: np.random.Generator, stack: Stack) -> tuple[Slices, Mask]:
    """A gamma curve through the 90th percentile: the contrasts change, the anatomy does not."""
    gamma = np.float32(rng.uniform(*((0.5, 0.7) if rng.random() < 0.5 else (1.4, 1.8))))
    return stack.magnitude**gamma, stack.brain.copy()


def _lines(stack: Stack) -> NDArray[np.float64]:
    """Signed number of each phase-encoding line, 0 at the centre of k-space; (width,), in the order of `fft2`."""
    width = stack.brain.shape[2]
    return np.fft.fftfreq(width, 1 / width)


def _image(k_space: NDArray[np.complex128], stack: Stack) -> Slices:
    """The magnitude image, normalised anew: the 90th percentile in the brain is what it was."""
    image = np.abs(np.fft.ifft2(k_space))
    before, after = (np.percentile(signal[stack.brain], 90) for signal in (stack.magnitude, image))
    return np.asarray(image * (before / max(after, 1e-6)), dtype=np.float32)


ARTEFACTS: dict[str, Callable[[np.random.Generator, Stack], tuple[Slices, Mask]]] = {
    "ghosting": _ghosting,
    "spike": _spike,
    "motion": _motion,
    "missing block": _missing_block,
    "wrong modality": _wrong_modality,
    "intensity shift": _intensity_shift,
}
"""Each kind's name, and the function that returns the spoiled signal and where it replaces the clean one."""
