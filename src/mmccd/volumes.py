"""NIfTI files in and out: RAS+ for the models, the file's own grid for everything that is written."""

import gzip
import logging
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import OrientationError, apply_orientation, inv_ornt_aff, io_orientation, ornt_transform
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from mmccd.errors import DataError, GridError
from mmccd.files import write_atomically

logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # what it says of headers becomes an error of ours

NIFTI_SUFFIXES = (".nii.gz", ".nii")
# The largest healthy adult brains measure about 1.9 litres; a head with its skull and neck far more.
LARGEST_BRAIN_ML = 2500.0


@dataclass(frozen=True)
class Volume:
    """A scan in RAS+ orientation, with the geometry of the file that it came from.

    Attributes:
        data: (x, y, z) float32, x to the right, y to the front, z to the top of the head.
        affine: (4, 4) voxel to millimetre of ``data``.
        header: NIfTI header of the source file, whose grid every result is written on.
        path: The source file, or None for a volume made in memory.
    """

    data: NDArray[np.float32]
    affine: NDArray[np.float64]
    header: nib.Nifti1Header
    path: Path | None = None

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along x, y, z in millimetres."""
        x, y, z = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return float(x), float(y), float(z)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def to_file_orientation(self, data: NDArray[np.generic]) -> NDArray[np.generic]:
        """Turn an array on the RAS+ grid of ``data`` back to the axes of the source file."""
        back = ornt_transform(io_orientation(self.affine), io_orientation(self.header.get_best_affine()))
        return np.asarray(apply_orientation(data, back))


def read_volume(path: Path | str, channel: int | None = None, *, allow_zero: bool = False) -> Volume:
    """Read a NIfTI file, in full and to its checksum, and turn it to RAS+.

    Args:
        path: A ``.nii`` or ``.nii.gz`` file.
        channel: Which 3D volume of a 4D file; None expects a 3D file.
        allow_zero: Accept a volume that is zero everywhere, as a lesion mask of a healthy subject is.

    Raises:
        DataError: the file is missing, truncated, corrupt, not 3D, all zero, or holds NaN or infinity.
    """
    path = Path(path)
    image, stored = _read_image(path)
    shape = stored.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != (3 if channel is None else 4) or (channel is not None and channel >= shape[3]) or 0 in shape:
        expected = "3" if channel is None else f"4 with at least {channel + 1} channels"
        raise DataError(
            f"{path.name} has {len(shape)} dimensions {shape}, expected {expected}",
            "give one 3D file per modality; a 4D file of several modalities is read from an MSD folder",
        )
    if stored.dtype.kind not in "iuf":
        raise DataError(f"{path.name} holds {stored.dtype} voxels, expected integers or floats", "convert it")
    stored = stored.reshape(shape)
    stored = stored if channel is None else stored[..., channel]
    if not allow_zero and not stored.any():
        raise DataError(f"{path.name} is zero everywhere", "check the step that wrote it")
    return volume_from_image(image, stored, path)


def volume_from_image(image: nib.Nifti1Image, stored: NDArray[np.generic], path: Path) -> Volume:
    """Turn the 3D array ``stored`` of ``image`` to RAS+, after checking its values and its affine."""
    affine = np.asarray(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise DataError(
            f"{path.name} has an affine that is not invertible, so its voxels have no place or size",
            "repair the header (sform or qform), for example by converting the DICOM series again",
        )
    usable = np.isfinite(stored) & (np.abs(stored) <= np.finfo(np.float32).max)
    if not usable.all():
        bad = int((~usable).sum())
        raise DataError(
            f"{path.name} holds {bad} voxels that are NaN or infinite",
            "replace them, for example with numpy.nan_to_num, once you know where they come from",
        )
    try:
        orientation = io_orientation(affine)
        inverse = inv_ornt_aff(orientation, stored.shape)
    except OrientationError as error:
        raise DataError(
            f"{path.name} has an affine with axes that do not differ: {error}", "repair the header"
        ) from error
    data = np.ascontiguousarray(apply_orientation(stored, orientation), dtype=np.float32)
    header = image.header.copy()
    header.set_data_shape(stored.shape)
    return Volume(data, affine @ inverse, header, path)


def write_volume(path: Path, data: NDArray[np.generic], like: Volume) -> None:
    """Write an array on the RAS+ grid of ``like`` as NIfTI on the grid of its source file, atomically.

    Shape, affine and units are those of the source, bit for bit; names and free text in its header are left out.
    """
    stored = like.to_file_orientation(data)
    single = like.header.sizeof_hdr == 348  # NIfTI-1
    header = nib.Nifti1Header() if single else nib.Nifti2Header()
    for field in ("pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x",
                  "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units"):  # fmt: skip
        header[field] = like.header[field]
    header.set_data_shape(stored.shape)
    header.set_data_dtype(stored.dtype)
    image = nib.Nifti1Image(stored, None, header) if single else nib.Nifti2Image(stored, None, header)
    content = image.to_bytes()
    if path.name.endswith(".gz"):
        content = gzip.compress(content, compresslevel=4, mtime=0)
    write_atomically(path, content)


def new_volume(data: NDArray[np.generic], affine: NDArray[np.float64]) -> Volume:
    """Make a volume from an array in memory; ``affine`` may have any orientation."""
    image = nib.Nifti1Image(np.asarray(data), affine)
    image.header.set_xyzt_units("mm")
    return volume_from_image(image, np.asarray(data), Path("array"))


def check_same_grid(reference: Volume, other: Volume) -> None:
    """Refuse two volumes that do not share shape and affine (to a hundredth of a voxel).

    Raises:
        GridError: names both files and what differs.
    """
    tolerance_mm = 0.01 * min(reference.spacing_mm)
    names = f"{_name(reference)} and {_name(other)}"
    hint = "register them to one grid first (for example with ANTs or FSL FLIRT), then resample with this reference"
    if reference.data.shape != other.data.shape:
        raise GridError(f"{names} are not co-registered: shapes {reference.data.shape} and {other.data.shape}", hint)
    corners = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64)
    corners[:, :3] *= np.array(reference.data.shape) - 1
    apart_mm = float(np.abs(corners @ (reference.affine - other.affine).T).max())
    if apart_mm > tolerance_mm:
        raise GridError(f"{names} are not co-registered: their affines lie up to {apart_mm:.2f} mm apart", hint)


def brain_mask(volume: Volume, given: Volume | None = None) -> NDArray[np.bool_]:
    """Brain voxels, (x, y, z) bool: the mask that is given, or what skull-stripping left above zero.

    Raises:
        GridError: the given mask lies on another grid.
        DataError: the mask is empty, or no mask is given and the scan is not skull-stripped.
    """
    if given is not None:
        check_same_grid(volume, given)
        brain = given.data > 0
    else:
        brain = volume.data > 0
        size_ml = float(brain.sum()) * volume.voxel_ml
        if size_ml > LARGEST_BRAIN_ML:
            raise DataError(
                f"{_name(volume)} is not skull-stripped: {size_ml:.0f} ml lie above zero, "
                f"a brain has at most {LARGEST_BRAIN_ML:.0f}",
                "strip the skull first (HD-BET or SynthStrip), or give a brain mask",
            )
    if not brain.any():
        raise DataError(f"{_name(volume)} has no brain voxel", "check the brain mask and the intensities")
    return np.asarray(brain)


def stem(path: Path) -> str:
    """File name without ``.nii`` or ``.nii.gz``."""
    for suffix in NIFTI_SUFFIXES:
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    return path.stem


def _read_image(path: Path) -> tuple[nib.Nifti1Image, NDArray[np.generic]]:
    if not path.exists():
        raise DataError(f"{path.name} does not exist", "check the path")
    if path.is_dir() or not path.name.endswith(NIFTI_SUFFIXES):
        raise DataError(f"{path.name} is not a NIfTI file", "expected a file that ends in .nii or .nii.gz")
    try:
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content = gzip.decompress(content)  # to the end: verifies the checksum, which nibabel does not
        kind = nib.Nifti2Image if content[:4] in (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c") else nib.Nifti1Image
        image = kind.from_bytes(content)
        return image, np.asanyarray(image.dataobj)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path.name} cannot be read in full: {getattr(error, 'strerror', None) or error}",
            "the file is truncated or corrupt: copy it again",
        ) from error
    except MemoryError as error:
        raise DataError(f"{path.name} does not fit into memory", "check the shape in its header") from error
    except (ImageFileError, HeaderDataError, WrapStructError, ValueError, OverflowError) as error:
        raise DataError(f"{path.name} is not a valid NIfTI file: {error}", "convert it again") from error


def _name(volume: Volume) -> str:
    return volume.path.name if volume.path else "the volume"
