"""A scan and its brain on a coarse grid, on which shape and layers are judged in a tenth of a second."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mmccd.data.volumes import Volume

COARSE_MM = 3.0
_FEWEST = 30  # voxels of a layer; fewer say nothing
_BINS = 128


@dataclass(frozen=True)
class Head:
    """Every n-th voxel of a scan, so that none is an average.

    Attributes:
        data: (x, y, z) intensities.
        brain: (x, y, z) bool, without the empty space around it.
        filled: (x, y, z) bool, the brain with its holes.
        depth_mm: (x, y, z) from the surface; the image's bottom and top count as cuts, not as surface.
        spacing_mm: Between these voxels.
        surface: (n,) intensities of the brain's outermost voxels, of the scan itself.
    """

    data: NDArray[np.float32]
    brain: NDArray[np.bool_]
    filled: NDArray[np.bool_]
    depth_mm: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]
    surface: NDArray[np.float32]

    @classmethod
    def of(cls, volume: Volume, brain: NDArray[np.bool_]) -> "Head":
        """Sample a scan.

        Args:
            volume: The scan.
            brain: (x, y, z), on its grid; not empty.
        """
        box = ndimage.find_objects(brain.astype(np.uint8))[0]
        steps = [max(1, round(COARSE_MM / side)) for side in volume.spacing_mm]
        every = tuple(slice(part.start, part.stop, step) for part, step in zip(box, steps, strict=True))
        x, y, z = (side * step for side, step in zip(volume.spacing_mm, steps, strict=True))
        sampled = brain[every]
        filled = _filled(sampled)
        around = np.pad(np.pad(filled, ((1, 1), (1, 1), (0, 0))), ((0, 0), (0, 0), (1, 1)), mode="edge")
        depth_mm = ndimage.distance_transform_edt(around, sampling=(x, y, z))[1:-1, 1:-1, 1:-1]
        inside = brain[box]
        surface = volume.data[box][inside & ~ndimage.binary_erosion(inside)]
        return cls(volume.data[every], sampled, filled, depth_mm, (x, y, z), surface)

    @property
    def size_mm(self) -> tuple[float, float, float]:
        """Width, length and height of the brain."""
        x, y, z = (n * side for n, side in zip(self.brain.shape, self.spacing_mm, strict=True))
        return x, y, z

    @property
    def widest_cm2(self) -> float:
        """Area of the largest axial slice."""
        x, y, _ = self.spacing_mm
        return float(self.filled.sum(axis=(0, 1)).max()) * x * y / 100

    @property
    def voxel_ml(self) -> float:
        """Volume of one of these voxels."""
        x, y, z = self.spacing_mm
        return x * y * z / 1000

    def layer(self, low_mm: float, high_mm: float) -> NDArray[np.float32]:
        """Intensities of the voxels that lie so deep; empty where they are too few."""
        values = self.data[(self.depth_mm > low_mm) & (self.depth_mm <= high_mm) & self.filled]
        return values if values.size >= _FEWEST else values[:0]

    def symmetry(self) -> tuple[float, float, float]:
        """Overlap (Dice) of the brain with its own mirror image, for mirrors across x, y and z."""
        x, y, z = (float((self.brain & np.flip(self.brain, axis)).sum() / self.brain.sum()) for axis in range(3))
        return x, y, z

    def pieces(self) -> NDArray[np.int64]:
        """Voxels of each connected piece of the brain, the largest first."""
        return _sizes(self.brain)

    def holes(self) -> NDArray[np.int64]:
        """Voxels of each hole of the brain, the largest first."""
        return _sizes(self.filled & ~self.brain)


def peak(values: NDArray[np.float32]) -> float:
    """The most frequent intensity, of a smoothed histogram; 0 where there are none above zero."""
    top = float(np.quantile(values, 0.999)) if values.size else 0.0
    if top <= 0:
        return 0.0
    counts, edges = np.histogram(values, bins=_BINS, range=(0.0, top))
    place = int(ndimage.gaussian_filter1d(counts.astype(np.float64), 3).argmax())
    return float(edges[place] + edges[place + 1]) / 2


def _filled(brain: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The brain with what it encloses: what cannot be reached from outside."""
    labels, _ = ndimage.label(~np.pad(brain, 1))
    return np.asarray(labels != labels[0, 0, 0])[1:-1, 1:-1, 1:-1]


def _sizes(part: NDArray[np.bool_]) -> NDArray[np.int64]:
    labels, _ = ndimage.label(part)
    return np.sort(np.bincount(labels.ravel())[1:])[::-1]
