"""Volumes: RAS+ for the models, the file's own grid for everything that is written."""

import gzip
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt_transform
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from mmccd.data.formats import is_other_format, read_other_format
from mmccd.data.forms import both_forms_mm, corners, doubt_about_forms, in_mm
from mmccd.data.nifti import most_voxels, read_nifti
from mmccd.errors import DataError, GridError
from mmccd.system.files import write_atomically

# The largest healthy adult brains measure about 1.9 litres; a head with its skull and neck far more.
LARGEST_BRAIN_ML = 2500.0
# Microscopy of a whole brain is coarser, and no scan is made of larger voxels: beyond, the unit is not millimetres.
VOXEL_SIDES_MM = (0.01, 50.0)
# Interpolation leaves some voxels a little below zero.
NEGATIVE_SHARE = 0.05
_REGISTER = "`mmccd preprocess` brings them onto one grid, as does --strip auto; or do so with a tool of yours"
_IN_MEMORY = Path("array")
_AS_IT_IS = np.array([[0, 1], [1, 1], [2, 1]], dtype=np.float64)


@dataclass(frozen=True)
class Volume:
    """A scan in RAS+ orientation, with the geometry of the file that it came from.

    Attributes:
        data: (x, y, z) float32, x to the right, y to the front, z to the top of the head.
        affine: (4, 4) voxel to millimetre of ``data``.
        header: NIfTI header of the source file, whose grid every result is written on.
        path: The source file, or None for a volume made in memory.
        orientation: (3, 2) how the axes of the file were turned, as nibabel writes it; None finds it in ``header``.
    """

    data: NDArray[np.float32]
    affine: NDArray[np.float64]
    header: nib.Nifti1Header
    path: Path | None = None
    orientation: NDArray[np.float64] | None = None

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along x, y, z in millimetres."""
        x, y, z = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return float(x), float(y), float(z)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def voxels_sha256(self) -> str:
        """Digest of the voxels in RAS+: that of a copy, too, renamed, compressed or turned otherwise."""
        return hashlib.sha256(np.ascontiguousarray(self.data).data).hexdigest()

    @property
    def doubts(self) -> tuple[str, ...]:
        """What the header leaves open about where the scan lies, in words."""
        doubt = doubt_about_forms(self.header, _name(self))
        return (doubt,) if doubt else ()

    def to_file_orientation(self, data: NDArray[np.generic]) -> NDArray[np.generic]:
        """Turn an array on the RAS+ grid of ``data`` back to the axes of the source file."""
        # Never found anew in `affine`: of axes that lie between two of the scanner's, it would be another one.
        turned = self.orientation if self.orientation is not None else io_orientation(self.header.get_best_affine())
        return np.asarray(apply_orientation(data, ornt_transform(_AS_IT_IS, turned)))


def read_volume(path: Path | str, channel: int | None = None, *, allow_zero: bool = False) -> Volume:
    """Read a scan, in full and to its checksum, and turn it to RAS+.

    Args:
        path: NIfTI (``.nii.gz``, ``.nii``), or FreeSurfer's ``.mgz``, ``.nrrd``, ``.mha``.
        channel: Which 3D volume of a 4D file; None expects a 3D file.
        allow_zero: Accept a volume that is zero everywhere, as a lesion mask of a healthy subject is.

    Raises:
        DataError: the file is missing, truncated, corrupt, not 3D, all zero, or holds NaN or infinity.
    """
    path = Path(path)
    if is_other_format(path.name):
        volume = _of_array(*read_other_format(path, most_voxels()), path, channel)
    else:
        header, stored = read_nifti(path)
        stored = three_dimensional(stored, path.name, channel)
        volume = _turned(stored, _affine_mm(header, path), header, path)
    if not allow_zero and not volume.data.any():  # float32, in which the smallest numbers vanish
        raise DataError(f"{path.name} is zero everywhere", "check the step that wrote it")
    return volume


def three_dimensional(stored: NDArray[np.generic], name: str, channel: int | None = None) -> NDArray[np.generic]:
    """One 3D volume of what is stored; further axes of length 1 mean nothing.

    Raises:
        DataError: it has fewer or more dimensions.
    """
    shape = stored.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != (3 if channel is None else 4) or (channel is not None and not 0 <= channel < shape[3]):
        expected = "3" if channel is None else f"4 with at least {channel + 1} channels"
        raise DataError(
            f"{name} has {len(shape)} dimensions {shape}, expected {expected}",
            "give one 3D file per modality; a 4D file of several modalities is read from an MSD folder",
        )
    stored = stored.reshape(shape, order="F")
    return stored if channel is None else stored[..., channel]


def _turned(stored: NDArray[np.generic], affine: NDArray[np.float64], header: nib.Nifti1Header, path: Path) -> Volume:
    """A 3D array on the axes of a file, turned to RAS+ after its values and its affine are checked."""
    _check_affine(affine, path)
    # Minimum and maximum need no memory, unlike a mask; they are NaN if any voxel is.
    largest = np.finfo(np.float32).max
    if not (-largest <= stored.min() and stored.max() <= largest):
        bad = int((~(np.abs(stored) <= largest)).sum())
        raise DataError(
            f"{path.name} holds {bad} voxels that are NaN or infinite",
            "replace them, for example with numpy.nan_to_num, once you know where they come from",
        )
    orientation = io_orientation(affine)
    data = np.ascontiguousarray(apply_orientation(stored, orientation), dtype=np.float32)
    header = header.copy()
    header.set_data_shape(stored.shape)
    return Volume(data, affine @ inv_ornt_aff(orientation, stored.shape), header, path, orientation)


def _affine_mm(header: nib.Nifti1Header, path: Path) -> NDArray[np.float64]:
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused next
            affine = in_mm(header.get_best_affine(), header)
    except (HeaderDataError, ValueError) as error:
        raise DataError(f"{path.name} has no valid affine: {error}", "repair the header (qform or sform)") from error
    return affine


def _is_flat(affine: NDArray[np.float64], sides: NDArray[np.float64]) -> bool:
    return bool(sides.min() == 0 or abs(np.linalg.det(affine[:3, :3] / sides)) <= 1e-6)


def _check_affine(affine: NDArray[np.float64], path: Path) -> None:
    sides = np.hypot(np.hypot(affine[0, :3], affine[1, :3]), affine[2, :3])  # squares may overflow
    if not np.isfinite(affine).all() or _is_flat(affine, sides):
        raise DataError(
            f"{path.name} has an affine that is not invertible, so its voxels have no place or size",
            "repair the header (sform or qform), for example by converting the DICOM series again",
        )
    low, high = VOXEL_SIDES_MM
    if sides.min() < low or sides.max() > high:
        shown = " x ".join(f"{side:.3g}" for side in sides)
        raise DataError(
            f"{path.name} has voxels of {shown} mm, expected sides from {low:g} to {high:g} mm",
            "repair the voxel size or its unit (xyzt_units) in the header",
        )


def image_of(data: NDArray[np.generic], like: Volume) -> nib.Nifti1Image | nib.Nifti2Image:
    """An array on the RAS+ grid of ``like`` as an image on the grid of its source file, as nibabel would read it."""
    image = _written(data, like)
    return type(image).from_bytes(image.to_bytes())  # its affine is then that of the header


def write_volume(path: Path, data: NDArray[np.generic], like: Volume) -> None:
    """Write an array on the RAS+ grid of ``like`` as NIfTI on the grid of its source file, atomically.

    Shape, affine and units are those of the source, bit for bit; names and free text in its header are left out.
    """
    content = _written(data, like).to_bytes()
    if path.name.endswith(".gz"):
        content = gzip.compress(content, compresslevel=4, mtime=0)
    write_atomically(path, content)


def _written(data: NDArray[np.generic], like: Volume) -> nib.Nifti1Image | nib.Nifti2Image:
    stored = like.to_file_orientation(data)
    single = like.header.sizeof_hdr == 348  # NIfTI-1
    header = nib.Nifti1Header() if single else nib.Nifti2Header()
    for field in ("pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x",
                  "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units"):  # fmt: skip
        header[field] = like.header[field]
    header.set_data_shape(stored.shape)
    header.set_data_dtype(stored.dtype)
    return nib.Nifti1Image(stored, None, header) if single else nib.Nifti2Image(stored, None, header)


def new_volume(data: NDArray[np.generic], affine: NDArray[np.float64]) -> Volume:
    """Make a volume from an array in memory.

    Args:
        data: (x, y, z), or with further axes of length 1; integers, floats or bool.
        affine: (4, 4), voxel to millimetre in RAS, as nibabel has it; any orientation.

    Raises:
        DataError: the array is not one 3D volume of real numbers, or the affine is none.
    """
    data, affine = np.asarray(data), np.array(affine, dtype=np.float64)
    if affine.shape != (4, 4):
        raise DataError(
            f"the affine has the shape {affine.shape}, expected (4, 4)",
            "add the last row (0, 0, 0, 1), or take the affine of a nibabel image",
        )
    return _of_array(data, affine, _IN_MEMORY)


def _of_array(data: NDArray[np.generic], affine: NDArray[np.float64], path: Path, channel: int | None = None) -> Volume:
    data = _real(three_dimensional(data, path.name, channel), path)
    _check_affine(affine, path)
    header = nib.Nifti1Header() if max(data.shape) < 2**15 else nib.Nifti2Header()
    header.set_data_shape(data.shape)
    header.set_qform(affine, "unknown")
    header.set_sform(affine, "aligned")
    header.set_xyzt_units("mm")
    return _turned(data, affine, header, path)


def volume_of_nifti(data: NDArray[np.generic], header: nib.Nifti1Header, path: Path) -> Volume:
    """The same of an array with a NIfTI header, on whose grid results are written.

    Args:
        data: Scaled voxels on the axes of the header.
        header: Of a NIfTI image.
        path: What the volume is called.

    Raises:
        DataError: as `new_volume`.
    """
    return _turned(_real(three_dimensional(data, path.name), path), _affine_mm(header, path), header, path)


def _real(data: NDArray[np.generic], path: Path) -> NDArray[np.generic]:
    if data.dtype.kind not in "biuf":
        raise DataError(
            f"{path.name} holds {data.dtype} voxels, expected integers or floats",
            "give magnitudes of complex numbers, and the scan itself instead of colours",
        )
    if 0 in data.shape:
        raise DataError(f"{path.name} has the shape {data.shape}, so it has no voxel", "check how it was cut")
    return data.astype(np.uint8) if data.dtype.kind == "b" else data


def check_same_grid(reference: Volume, other: Volume) -> None:
    """Refuse two volumes that do not share shape and affine (to a hundredth of a voxel).

    Raises:
        GridError: names both files and what differs.
    """
    names = f"{_name(reference)} and {_name(other)}"
    if reference.data.shape != other.data.shape:
        raise GridError(
            f"{names} are not co-registered: shapes {reference.data.shape} and {other.data.shape}", _REGISTER
        )
    apart_mm = _apart_mm(reference.affine, other.affine, reference.data.shape)
    if apart_mm > _tolerance_mm(reference):
        raise GridError(
            f"{names} are not co-registered: their affines lie up to {apart_mm:.2f} mm apart",
            f"{_REGISTER}; if one was made of the other, voxel by voxel, copy its header (for example with fslcpgeom)",
        )


def mask_on_grid(reference: Volume, mask: Volume) -> Volume:
    """A mask on the grid of the scan that it was made of: as it lies, or where its header names the scan's other form.

    Many tools read and write one form alone. A scan that was moved in one of its forms, as SPM does, has then masks of
    the same voxels at the other. The scan's own doubts say that its forms differ.

    Raises:
        GridError: the mask lies on another grid.
    """
    try:
        check_same_grid(reference, mask)
    except GridError:
        stored = mask.to_file_orientation(mask.data)
        forms = both_forms_mm(reference.header)
        if forms is None or stored.shape != reference.to_file_orientation(reference.data).shape:
            raise
        lies = _affine_mm(mask.header, mask.path or Path("the mask"))
        if min(_apart_mm(form, lies, stored.shape) for form in forms) > _tolerance_mm(reference):
            raise
        turned = reference.orientation if reference.orientation is not None else io_orientation(forms[0])
        data = np.ascontiguousarray(apply_orientation(stored, turned))
        return replace(mask, data=data, affine=reference.affine, orientation=turned)
    return mask


def _apart_mm(one: NDArray[np.float64], other: NDArray[np.float64], shape: tuple[int, ...]) -> float:
    return float(np.abs(corners(shape) @ (one - other).T).max())


def _tolerance_mm(volume: Volume) -> float:
    return 0.01 * min(volume.spacing_mm)


def brain_mask(volume: Volume, given: Volume | None = None) -> NDArray[np.bool_]:
    """Brain voxels, (x, y, z) bool: the mask that is given, or what skull-stripping left above zero.

    Raises:
        GridError: the given mask lies on another grid.
        DataError: the mask is empty, no mask, or larger than any brain; or no mask is given and the scan is not
            skull-stripped, or has negative intensities.
    """
    if given is not None:
        given = mask_on_grid(volume, given)
        _check_brain_values(given)
        brain = given.data > 0
    else:
        _check_not_negative(volume, volume.data != 0)
        brain = volume.data > 0
    size_ml = float(brain.sum()) * volume.voxel_ml
    if size_ml > LARGEST_BRAIN_ML:
        what = f"{_name(volume)} is not skull-stripped" if given is None else f"{_name(given)} is no brain mask"
        raise DataError(
            f"{what}: {size_ml:.0f} ml lie above zero, a brain has at most {LARGEST_BRAIN_ML:.0f}",
            "--strip auto finds the brain, with mmccd[raw] installed; or give a brain mask",
        )
    if not brain.any():
        raise DataError(f"{_name(volume)} has no brain voxel", "check the brain mask and the intensities")
    return np.asarray(brain)


def check_intensities(volume: Volume, brain: NDArray[np.bool_]) -> None:
    """Refuse a scan whose intensities have no meaning for a model: z-scores, a mask, a constant.

    Args:
        volume: An image.
        brain: (x, y, z) bool, not empty.

    Raises:
        DataError: more than `NEGATIVE_SHARE` of the brain is negative, or the brain has one value only.
    """
    _check_not_negative(volume, brain)
    inside = volume.data[brain]
    if inside.size > 1 and inside.min() == inside.max():
        raise DataError(
            f"{_name(volume)} has the value {inside[0]:g} throughout the brain", "give the scan itself, not a mask"
        )


def check_range(normalised: NDArray[np.floating[Any]], volume: Volume) -> None:
    """Refuse what no network was trained on: one infinite pixel makes every weight or every restored pixel NaN.

    Args:
        normalised: Slices of the volume, any shape.
        volume: The volume, for the message.

    Raises:
        DataError: a value is infinite, NaN, or beyond what float16 holds, in which slices are stored.
    """
    if not np.all(np.abs(normalised) <= np.finfo(np.float16).max):
        raise DataError(
            f"{_name(volume)} has voxels of up to {volume.data.max():g}, allowed: 10,000 times the 90th percentile of "
            "the brain, as slices are stored in float16",
            "remove or clip its outliers, such as spikes of a resampling or markers that are burnt in",
        )


def _check_not_negative(volume: Volume, brain: NDArray[np.bool_]) -> None:
    share = float((volume.data[brain] < 0).sum()) / max(1, int(brain.sum()))
    if share > NEGATIVE_SHARE:
        raise DataError(
            f"{_name(volume)} is negative in {share:.0%} of its voxels, so zero does not mean air",
            "give the scan before its intensities were normalised (z-scores)",
        )


def _check_brain_values(mask: Volume) -> None:
    """Labels are fine, and so is a stripped scan; shares from 0 to 1 leave open where the brain ends."""
    low, high = float(mask.data.min()), float(mask.data.max())
    if low < 0 or (high <= 1 and not is_whole(mask)):
        raise DataError(
            f"{_name(mask)} is no brain mask: its values, {low:g} to {high:g}, are not whole numbers from 0",
            "give 0 outside and 1 inside, cut at 0.5",
        )


def is_whole(volume: Volume) -> bool:
    """Whether all values are whole numbers, but for rounding."""
    # Part by part: a scan of 0.5 mm fills hundreds of megabytes, and each step on it as much again.
    return all(float(np.abs(part - np.round(part)).max()) <= 1e-3 for part in volume.data)


def _name(volume: Volume) -> str:
    return volume.path.name if volume.path else "the volume"
