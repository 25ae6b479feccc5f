"""Scans as callers have them in memory: paths, volumes, images of nibabel and of SimpleITK; anything else by name."""

import importlib
import os
import zlib
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from mmccd.data.formats import affine_of_itk
from mmccd.data.volumes import Volume, new_volume, read_volume, volume_of_nifti
from mmccd.errors import DataError

_WAYS = "a path, a nibabel or SimpleITK image, or mmccd.new_volume(array, affine)"


@runtime_checkable
class ItkImage(Protocol):
    """What an image of SimpleITK has; the package need not be installed."""

    def GetSpacing(self) -> Any: ...  # noqa: N802, D102
    def GetOrigin(self) -> Any: ...  # noqa: N802, D102
    def GetDirection(self) -> Any: ...  # noqa: N802, D102
    def GetNumberOfComponentsPerPixel(self) -> int: ...  # noqa: N802, D102


Scan = Path | str | Volume | SpatialImage | ItkImage
"""What is taken as a scan, a brain mask or a further modality."""


def as_paths(given: Any) -> list[Path]:
    """Paths as `Path`, be they one or many, text or not.

    Raises:
        DataError: something is no path, for example a scan in memory.
    """
    several = [given] if isinstance(given, str | os.PathLike) or not hasattr(given, "__iter__") else list(given)
    if wrong := [type(path).__name__ for path in several if not isinstance(path, str | os.PathLike)]:
        raise DataError(f"a path is given as {wrong[0]}", "scans in memory are scored by mmccd.Detector.detect")
    return [Path(path) for path in several]


def as_volume(scan: Scan) -> Volume:
    """A scan as a volume, whatever holds it.

    Args:
        scan: A file, a volume, or an image of nibabel or SimpleITK.

    Raises:
        DataError: it cannot be read, is no scalar 3D volume, or is something that says not where its voxels lie, such
            as an array alone.
    """
    if isinstance(scan, Volume):
        return scan
    if isinstance(scan, str | os.PathLike):
        return read_volume(Path(scan))
    if isinstance(scan, SpatialImage):
        return _of_nibabel(scan)
    if isinstance(scan, ItkImage):
        return _of_itk(scan)
    if hasattr(scan, "__array__"):
        shape = tuple(getattr(scan, "shape", ()))
        raise DataError(
            f"an array of the shape {shape} does not say how its voxels lie and how large they are",
            "give mmccd.new_volume(array, affine), with the (4, 4) affine from voxels to millimetres in RAS",
        )
    raise DataError(f"a scan is given as {type(scan).__name__}, expected {_WAYS}", "convert it to one of these")


def _of_nibabel(image: SpatialImage) -> Volume:
    """A NIfTI image keeps its header, on whose grid results are written; others get a new one."""
    name = Path(image.get_filename() or "the image")
    try:
        voxels = np.asanyarray(image.dataobj)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(
            f"{name.name} cannot be read in full: {error}", "copy the file again, or give its path"
        ) from error
    if image.affine is None:
        raise DataError(f"{name.name} has no affine, so its voxels have no place or size", f"give {_WAYS}")
    if isinstance(image, nib.Nifti1Pair):
        return volume_of_nifti(voxels, image.header, name)
    return new_volume(voxels, image.affine)


def _of_itk(image: ItkImage) -> Volume:
    """ITK counts in LPS, and its arrays are (z, y, x)."""
    if (count := image.GetNumberOfComponentsPerPixel()) != 1:
        raise DataError(f"the image has {count} components per voxel, expected 1", "give the scan itself, not colours")
    package = importlib.import_module(type(image).__module__.partition(".")[0])
    dimensions = len(image.GetSpacing())
    if dimensions < 3:
        raise DataError(f"the image has {dimensions} dimensions, expected 3", "give the whole volume, not a slice")
    voxels: NDArray[np.generic] = package.GetArrayFromImage(image).T  # a view in (x, y, z)
    return new_volume(voxels, affine_of_itk(image))
