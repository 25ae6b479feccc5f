"""Rigid registration of a person's modalities, and bias field correction, by SimpleITK."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmccd.data.formats import LPS_TO_RAS
from mmccd.data.volumes import Volume
from mmccd.errors import DataError
from mmccd.system.extra import needed

RIGID = "rigid, mutual information, 1"
"""How two scans are brought together; the number grows where that changes, so that nothing older is taken for it."""
HISTOGRAM_BINS = 50
SAMPLES = 100_000
"""Voxels that the similarity is measured on, at most."""
LEVELS_MM = (8.0, 4.0, 2.0)
"""Sides of the voxels at each level, about; the scans are blurred by half of it."""
FARTHEST_MM = 60.0
"""Modalities of one session lie closer; beyond, the registration has gone astray."""


def as_image(volume: Volume) -> Any:
    """A volume as a SimpleITK image: x and y of the patient counted to the left and to the back."""
    sitk = needed("SimpleITK", "registration")
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.data.transpose(2, 1, 0)))
    affine = LPS_TO_RAS @ volume.affine
    spacing = np.array(volume.spacing_mm)
    image.SetSpacing([float(side) for side in spacing])
    image.SetOrigin([float(value) for value in affine[:3, 3]])
    image.SetDirection([float(value) for value in (affine[:3, :3] / spacing).ravel()])
    return image


def as_array(image: Any) -> NDArray[np.float32]:
    """The voxels of a SimpleITK image, (x, y, z)."""
    sitk = needed("SimpleITK", "registration")
    return np.asarray(sitk.GetArrayFromImage(image), dtype=np.float32).transpose(2, 1, 0)


def rigid(moving: Volume, fixed: Volume) -> NDArray[np.float64]:
    """How a scan lies to another one of the same person, by mutual information of Mattes et al. (2003).

    It begins where the scanner says that they lie, and with their middles upon each other; the better end counts.

    Returns:
        (4, 4), millimetres of ``fixed`` to millimetres of ``moving``, both RAS.

    Raises:
        DataError: they do not come together.
        ConfigError: SimpleITK is not installed.
    """
    sitk = needed("SimpleITK", "registration")
    target, other = (sitk.Cast(as_image(one), sitk.sitkFloat32) for one in (fixed, moving))
    kinds = sitk.CenteredTransformInitializerFilter
    middles = sitk.CenteredTransformInitializer(target, other, sitk.Euler3DTransform(), kinds.GEOMETRY)
    as_scanned = sitk.Euler3DTransform(middles)
    as_scanned.SetTranslation((0.0, 0.0, 0.0))
    coarse = [_improved(sitk, target, other, start, LEVELS_MM[:1]) for start in (as_scanned, middles)]
    starts = [end for end in coarse if end is not None]
    found = _improved(sitk, target, other, min(starts, key=lambda end: end[0])[1], LEVELS_MM[1:]) if starts else None
    if found is None:
        raise DataError(
            "two modalities of a subject cannot be registered: they show hardly anything in common",
            "check that they are of one person and session, or register them by hand",
        )
    return _matrix(found[1])


def _improved(sitk: Any, fixed: Any, moving: Any, start: Any, levels_mm: Sequence[float]) -> tuple[float, Any] | None:
    """The similarity (lower is better) and the transform that a search from ``start`` ends with."""
    transform, similarity = sitk.Euler3DTransform(start), math.inf
    for voxel_mm in levels_mm:
        coarse_fixed, coarse_moving = (_coarse(sitk, image, voxel_mm) for image in (fixed, moving))
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(HISTOGRAM_BINS)
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentage(min(1.0, SAMPLES / math.prod(coarse_fixed.GetSize())), seed=1)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetOptimizerAsRegularStepGradientDescent(voxel_mm / 2, 1e-3, 100, relaxationFactor=0.6)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetNumberOfWorkUnits(1)  # sums in the same order in every run
        method.SetInitialTransform(transform, inPlace=True)
        try:
            method.Execute(coarse_fixed, coarse_moving)
        except RuntimeError:  # too few samples are within the other image
            return None
        similarity = float(method.GetMetricValue())
    return similarity, transform


def _coarse(sitk: Any, image: Any, voxel_mm: float) -> Any:
    """The image in cubes, blurred by half of their side; slices that are thicker are not made finer than they are."""
    smooth = sitk.SmoothingRecursiveGaussian(image, voxel_mm / 2) if min(image.GetSize()) >= 4 else image
    size = [
        max(1, round(count * side / voxel_mm)) for count, side in zip(image.GetSize(), image.GetSpacing(), strict=True)
    ]
    corner = image.TransformContinuousIndexToPhysicalPoint([(voxel_mm / side - 1) / 2 for side in image.GetSpacing()])
    return sitk.Resample(
        smooth, size, sitk.Transform(), sitk.sitkLinear, corner, [voxel_mm] * 3, image.GetDirection(), 0.0,
        sitk.sitkFloat32,
    )  # fmt: skip


def _matrix(transform: Any) -> NDArray[np.float64]:
    """Of an Euler transform, (4, 4), from RAS to RAS."""
    rotation = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, centre + shift - rotation @ centre
    return np.asarray(LPS_TO_RAS @ matrix @ LPS_TO_RAS)


def resampled(
    moving: Volume, fixed: Volume, matrix: NDArray[np.float64], *, labels: bool = False
) -> NDArray[np.float32]:
    """A scan on the grid of another one; 0 where it shows nothing.

    Args:
        moving: The scan.
        fixed: Whose grid.
        matrix: As `rigid` returns it.
        labels: Whether its values are labels, of which the nearest is taken; else between them lie lines.

    Returns:
        (x, y, z) of ``fixed``.
    """
    sitk = needed("SimpleITK", "registration")
    transform = sitk.AffineTransform(3)
    lps = LPS_TO_RAS @ matrix @ LPS_TO_RAS
    transform.SetMatrix([float(value) for value in lps[:3, :3].ravel()])
    transform.SetTranslation([float(value) for value in lps[:3, 3]])
    how = sitk.sitkNearestNeighbor if labels else sitk.sitkLinear
    return as_array(sitk.Resample(as_image(moving), as_image(fixed), transform, how, 0.0, sitk.sitkFloat32))


def without_bias_field(volume: Volume, brain: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A scan divided by the smooth field that N4 (Tustison et al., 2010) finds within the brain; (x, y, z)."""
    sitk = needed("SimpleITK", "bias field correction")
    image = sitk.Cast(as_image(volume), sitk.sitkFloat32)
    inside = sitk.GetImageFromArray(np.ascontiguousarray(brain.transpose(2, 1, 0)).astype(np.uint8))
    inside.CopyInformation(image)
    factors = [max(1, min(4, int(4 / side))) for side in volume.spacing_mm]
    small, small_inside = sitk.Shrink(image, factors), sitk.Shrink(inside, factors)
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations([50, 50, 30, 20])
    corrector.Execute(small, small_inside)
    field = sitk.Exp(corrector.GetLogBiasFieldAsImage(image))
    return as_array(image / field)
