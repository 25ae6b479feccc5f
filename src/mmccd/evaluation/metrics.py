"""How well a detection agrees with an expert: arrays in, floats out; what is undefined is NaN, never 0.

| masks | Dice, IoU | sensitivity | precision | surface distances |
|---|---|---|---|---|
| both empty | NaN | NaN | NaN | NaN |
| only the prediction empty | 0 | 0 | NaN | inf |
| only the reference empty | 0 | NaN | 0 | inf |
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from mmccd.errors import GridError


@dataclass(frozen=True)
class Confusion:
    """Voxels that two masks share and do not share; the overlap metrics follow from them.

    Attributes:
        true_positive: Lesion voxels that were found.
        false_positive: Voxels that were found and are no lesion.
        false_negative: Lesion voxels that were missed.
    """

    true_positive: int
    false_positive: int
    false_negative: int

    @classmethod
    def between(cls, predicted: NDArray[np.bool_], reference: NDArray[np.bool_]) -> "Confusion":
        """Count the voxels of two masks; raises GridError if they differ in shape."""
        _check_shapes(predicted, reference)
        both = int(np.count_nonzero(predicted & reference))
        return cls(both, int(np.count_nonzero(predicted)) - both, int(np.count_nonzero(reference)) - both)

    @property
    def dice(self) -> float:
        """2 TP / (2 TP + FP + FN); NaN if both masks are empty."""
        return _ratio(2 * self.true_positive, self.true_positive + self._union)

    @property
    def iou(self) -> float:
        """Intersection over union (Jaccard index); NaN if both masks are empty."""
        return _ratio(self.true_positive, self._union)

    @property
    def _union(self) -> int:
        return self.true_positive + self.false_positive + self.false_negative

    @property
    def sensitivity(self) -> float:
        """Share of the lesion that was found; NaN without a lesion."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def precision(self) -> float:
        """Share of the prediction that is lesion; NaN for an empty prediction."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)


def auroc(score: NDArray[np.floating], lesion: NDArray[np.bool_]) -> float:
    """Area under the ROC curve of the given voxels; NaN unless both classes are among them.

    Args:
        score: (voxels,) higher is more anomalous. Give brain voxels only: easy background inflates the value.
        lesion: (voxels,) True inside the lesion.
    """
    inside, outside = np.sort(score[lesion]), np.sort(score[~lesion])
    if not inside.size or not outside.size:
        return float("nan")
    # How many of the others each lesion voxel exceeds; of equal ones, half.
    below, up_to = (np.searchsorted(outside, inside, side) for side in ("left", "right"))
    return float((below.sum() + up_to.sum()) / (2 * inside.size * outside.size))


def auprc(score: NDArray[np.floating], lesion: NDArray[np.bool_]) -> float:
    """Average precision of the given voxels (step-wise area under the precision-recall curve).

    A random score gets the share of lesion voxels. Arguments and undefined values as for ``auroc``.
    """
    inside, outside = np.sort(score[lesion]), np.sort(score[~lesion])
    if not inside.size or not outside.size:
        return float("nan")
    # The precision at the score of each lesion voxel: equal ones are passed all at once.
    found = inside.size - np.searchsorted(inside, inside)
    beside = outside.size - np.searchsorted(outside, inside)
    return float((found / (found + beside)).mean())


@dataclass(frozen=True)
class Lesions:
    """Whole lesions, found or missed, and what was marked beside them.

    Lesions and pieces are connected components; voxels connect over faces, edges and corners.

    Attributes:
        voxels: (lesions,) how large each one is.
        found: (lesions,) True where a marked voxel touches the lesion.
        false_pieces: Pieces of the prediction that touch no lesion.
    """

    voxels: NDArray[np.int64]
    found: NDArray[np.bool_]
    false_pieces: int

    @classmethod
    def between(cls, predicted: NDArray[np.bool_], reference: NDArray[np.bool_]) -> "Lesions":
        """Count the lesions and the pieces of two masks; raises GridError if they differ in shape."""
        _check_shapes(predicted, reference)
        both = predicted & reference
        lesions, count = _pieces(reference)
        voxels, marked = (np.bincount(lesions[some], minlength=count + 1)[1:] for some in (reference, both))
        pieces, piece_count = _pieces(predicted)
        return cls(voxels, marked > 0, piece_count - np.unique(pieces[both]).size)

    @property
    def f1(self) -> float:
        """2 found / (2 found + false + missed); NaN without lesion and piece."""
        found = int(np.count_nonzero(self.found))
        return _ratio(2 * found, found + self.false_pieces + self.found.size)


def lesion_f1(predicted: NDArray[np.bool_], lesion: NDArray[np.bool_]) -> float:
    """F1 of whole lesions: touching one finds it, each predicted piece that touches none is a false positive.

    What lesions and pieces are, `Lesions` says. NaN if there are none.

    Raises:
        GridError: the masks differ in shape.
    """
    return Lesions.between(predicted, lesion).f1


@dataclass(frozen=True)
class SurfaceDistances:
    """From each surface voxel of one mask to the nearest surface voxel of the other, in millimetres.

    A surface voxel lies in the mask and has a face neighbour outside; beyond the image all is outside.

    Attributes:
        from_predicted_mm: One distance for each surface voxel of the prediction.
        from_reference_mm: One distance for each surface voxel of the reference.
    """

    from_predicted_mm: NDArray[np.float64]
    from_reference_mm: NDArray[np.float64]

    @classmethod
    def between(
        cls, predicted: NDArray[np.bool_], reference: NDArray[np.bool_], *, spacing_mm: Sequence[float]
    ) -> "SurfaceDistances":
        """Measure two masks, 2D or 3D; ``spacing_mm`` is the voxel size along each of their axes.

        Raises:
            GridError: the masks differ in shape, or the spacing has another length or is not positive.
        """
        _check_shapes(predicted, reference)
        if len(spacing_mm) != predicted.ndim or not all(0 < size < np.inf for size in spacing_mm):
            raise GridError(
                f"spacing {tuple(spacing_mm)} mm does not fit masks with {predicted.ndim} axes",
                "give one positive voxel size in millimetres for each axis",
            )
        box = ndimage.find_objects((predicted | reference).astype(np.uint8))
        if box:  # background beyond the joint bounding box changes no surface and no distance
            predicted, reference = predicted[box[0]], reference[box[0]]
        surfaces = [np.argwhere(_surface(mask)) * np.array(spacing_mm) for mask in (predicted, reference)]
        return cls(_nearest_mm(surfaces[0], surfaces[1]), _nearest_mm(surfaces[1], surfaces[0]))

    @property
    def average_mm(self) -> float:
        """Mean of the two directed means; NaN if both masks are empty, inf if exactly one is."""
        return self._combine(lambda distances: float(distances.mean()), lambda a, b: (a + b) / 2)

    @property
    def hausdorff95_mm(self) -> float:
        """Larger of the directed 95th percentiles; NaN if both masks are empty, inf if exactly one is."""
        return self._combine(lambda distances: float(np.percentile(distances, 95)), max)

    def _combine(self, summary: Callable[[NDArray[np.float64]], float], join: Callable[[float, float], float]) -> float:
        sizes = self.from_predicted_mm.size, self.from_reference_mm.size
        if not all(sizes):
            return float("inf") if any(sizes) else float("nan")
        return join(summary(self.from_predicted_mm), summary(self.from_reference_mm))


def average_surface_distance_mm(
    predicted: NDArray[np.bool_], reference: NDArray[np.bool_], *, spacing_mm: Sequence[float]
) -> float:
    """Average symmetric surface distance (ASSD) between two masks, in millimetres.

    From each surface voxel of one mask to the nearest surface voxel of the other; averaged per direction,
    then over both directions, as MedPy and the published code do. MONAI pools both directions before it
    averages, which gives the larger surface more weight, so its ``symmetric=True`` is another number.

    Args:
        predicted: 2D or 3D, True inside the detected lesion.
        reference: Same shape, True inside the lesion that the expert drew.
        spacing_mm: Voxel size along each axis; see ``Volume.spacing_mm``.

    Returns:
        Millimetres; 0 is perfect. NaN if both masks are empty (undefined), inf if exactly one is.

    Raises:
        GridError: the masks differ in shape, or the spacing does not fit them.

    Example:
        >>> a, b = np.zeros((2, 4, 8), bool)
        >>> a[2, 2] = b[2, 4] = True
        >>> average_surface_distance_mm(a, b, spacing_mm=(1.0, 0.5))
        1.0
    """
    return SurfaceDistances.between(predicted, reference, spacing_mm=spacing_mm).average_mm


def hausdorff95_mm(predicted: NDArray[np.bool_], reference: NDArray[np.bool_], *, spacing_mm: Sequence[float]) -> float:
    """95 % Hausdorff distance (HD95) between two masks, in millimetres.

    The larger of the two directed 95th percentiles (linear interpolation) of the distances that
    ``average_surface_distance_mm`` averages: MONAI's definition. MedPy pools both directions first, which
    gives another number. Arguments, units, undefined values and errors as there.
    """
    return SurfaceDistances.between(predicted, reference, spacing_mm=spacing_mm).hausdorff95_mm


def dice_at_thresholds(
    thresholds: NDArray[np.floating], score: NDArray[np.floating], lesion: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Dice of one case at each of the ascending thresholds; its lesion is not empty."""
    exceeded = np.searchsorted(thresholds, score, side="left")  # how many thresholds each voxel passes
    counts = [np.bincount(some, minlength=thresholds.size + 1) for some in (exceeded, exceeded[lesion])]
    passing, found = (count[::-1].cumsum()[::-1][1:] for count in counts)
    return np.asarray(2.0 * found / (passing + np.count_nonzero(lesion)))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _check_shapes(predicted: NDArray[np.bool_], reference: NDArray[np.bool_]) -> None:
    if predicted.shape != reference.shape:
        raise GridError(
            f"masks have shapes {predicted.shape} and {reference.shape}",
            "resample both to one voxel grid first",
        )


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(mask & ~ndimage.binary_erosion(mask))  # default structure: face neighbours


def _nearest_mm(points_mm: NDArray[np.float64], others_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each point to the nearest of the others; inf where there is none.

    A tree of the surface, not a distance map of the whole volume: that takes four times as many bytes as the scan.
    """
    if not len(others_mm):
        return np.full(len(points_mm), np.inf)
    return np.asarray(KDTree(others_mm).query(points_mm)[0])


def _pieces(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Number of the connected component of each voxel, and how many there are."""
    labels, count = ndimage.label(mask, np.ones((3,) * mask.ndim, dtype=bool))
    return np.asarray(labels), int(count)
