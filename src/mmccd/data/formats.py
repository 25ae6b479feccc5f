"""Files of scans by their names, and those in other formats than NIfTI: FreeSurfer's, NRRD, MetaImage."""

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.freesurfer.mghformat import MGHHeader
from numpy.typing import NDArray

from mmccd.errors import DataError, MmccdError
from mmccd.system.extra import needed

NIFTI = (".nii.gz", ".nii")
FREESURFER = (".mgz", ".mgh")
ITK = (".nrrd", ".mha")
SCAN_SUFFIXES = (*NIFTI, *FREESURFER, *ITK)
IN_TWO_FILES = {".nhdr": ".nrrd", ".mhd": ".mha", ".hdr": ".nii.gz", ".img": ".nii.gz"}
"""Headers whose voxels lie in a file of their own, and what holds both."""
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""And back: its own inverse."""


def is_scan_name(name: str) -> bool:
    """Whether a file name ends as that of a scan, in capitals or not."""
    return name.lower().endswith(SCAN_SUFFIXES)


def is_other_format(name: str) -> bool:
    """Whether a file is a scan, by its name, and not NIfTI."""
    return is_scan_name(name) and not name.lower().endswith(NIFTI)


def stem(path: Path) -> str:
    """File name without ``.nii.gz``, ``.mgz`` and the like."""
    for suffix in SCAN_SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def check_is_file(path: Path) -> None:
    """Refuse what is absent, is a folder or a pipe, or has the name of another format.

    Raises:
        DataError: says which.
        OSError: the path cannot be looked up.
    """
    if not path.exists():
        raise DataError(f"{path.name} does not exist", "check the path; a link may lead nowhere")
    if whole := IN_TWO_FILES.get(path.suffix.lower()):
        raise DataError(f"{path.name} is not a NIfTI file, nor a whole scan", f"save it as one file, {whole}")
    if not path.is_file() or not is_scan_name(path.name):
        raise DataError(f"{path.name} is not a NIfTI file", f"expected a file that ends in {', '.join(SCAN_SUFFIXES)}")


def read_other_format(path: Path, most_voxels: int) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """The voxels, (x, y, z) and perhaps more, and the affine to millimetres in RAS, (4, 4).

    Raises:
        DataError: it is no such file, cannot be read in full, is in colour, or claims more voxels than it may have.
        ConfigError: SimpleITK is needed and not installed.
    """
    check_is_file(path)
    try:
        return _freesurfer(path, most_voxels) if path.name.lower().endswith(FREESURFER) else _itk(path, most_voxels)
    except MmccdError:
        raise
    except Exception as error:  # of a damaged header these libraries may raise anything
        why = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{path.name} cannot be read in full: {why.replace(str(path), path.name)[:200]}",
            "the file is truncated, corrupt, or in another format than its name says",
        ) from error


def _freesurfer(path: Path, most_voxels: int) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """By hand, as nibabel leaves the file open; to its end, so that its checksum is compared."""
    compressed = path.suffix.lower() == ".mgz"
    with gzip.open(path) if compressed else path.open("rb") as stream:
        header = MGHHeader.from_fileobj(stream)
        shape, kind = header.get_data_shape(), header.get_data_dtype()
        _check_size(path, shape, most_voxels)
        stream.seek(header.get_data_offset())
        content = stream.read(math.prod(shape) * kind.itemsize)
        while stream.read(2**20):
            pass
    voxels = np.frombuffer(content, kind).reshape(shape, order="F")
    return voxels, np.asarray(header.get_affine(), dtype=np.float64)


def _itk(path: Path, most_voxels: int) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    sitk: Any = needed("SimpleITK", f"a scan that ends in {path.suffix.lower()}")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    dimensions, components = reader.GetDimension(), reader.GetNumberOfComponents()
    _check_size(path, reader.GetSize(), most_voxels)
    if dimensions < 3 or components != 1:
        raise DataError(
            f"{path.name} has {dimensions} dimensions and {components} values per voxel, expected 3 and 1",
            "give one 3D scan, not a slice, colours or vectors",
        )
    image = reader.Execute()
    return sitk.GetArrayFromImage(image).T, affine_of_itk(image)


def affine_of_itk(image: Any) -> NDArray[np.float64]:
    """Of an image of ITK, which counts to the left and to the back: (4, 4), voxel to millimetre in RAS."""
    spacing, origin = np.array(image.GetSpacing(), float), np.array(image.GetOrigin(), float)
    direction = np.array(image.GetDirection(), float).reshape(len(spacing), len(spacing))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = (direction * spacing)[:3, :3], origin[:3]
    return np.asarray(LPS_TO_RAS @ affine)


def _check_size(path: Path, shape: Any, most_voxels: int) -> None:
    if math.prod(int(side) for side in shape) > most_voxels:
        raise DataError(
            f"{path.name} claims {math.prod(int(side) for side in shape)} voxels, allowed are {most_voxels}",
            "set MMCCD_MOST_VOXELS if that is right",
        )
