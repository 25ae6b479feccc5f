"""NIfTI files off the disk: to their last byte and checksum, and never more of them than their header claims."""

import gzip
import logging
import math
import os
import zlib
from io import BufferedIOBase
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from mmccd.data.formats import check_is_file
from mmccd.errors import ConfigError, DataError

logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # what it says of headers becomes an error of ours

MOST_VOXELS = 2**28
"""Voxels that a file may have: 645 along each side, which holds a head at 0.5 mm twice over (ADR 0022)."""
_SPARE_BYTES = 4096  # what writers pad a file with
_BLOCK_BYTES = 2**20
_OTHER_FORMATS = {
    b"version https://git-lfs": ("a pointer of Git LFS, not the scan itself", "fetch it with `git lfs pull`"),
    b"/annex/objects": ("a pointer of git-annex, not the scan itself", "fetch it with `git annex get`"),
    b"<": ("a web page or XML, not a scan", "look at it in a text editor: a download may have ended in an error page"),
    b"PK\x03\x04": ("a zip archive", "unpack it"),
    b"NRRD": ("in the NRRD format", "name it .nrrd"),
    b"\x89HDF": ("in the HDF5 or MINC format", "convert it to NIfTI"),
}


def read_nifti(path: Path) -> tuple[nib.Nifti1Header, NDArray[np.generic]]:
    """The header and the scaled voxels of a file that is read in full; whether it is compressed shows in its bytes.

    Nothing is allocated before the header is checked, and no more than it claims. It may claim `MOST_VOXELS`, or what
    the environment variable ``MMCCD_MOST_VOXELS`` says.

    Raises:
        DataError: there is no such file, it is not NIfTI, truncated, damaged or larger than its header claims, claims
            too many voxels, or its voxels are neither integers nor floats.
    """
    try:
        check_is_file(path)
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream: BufferedIOBase = gzip.GzipFile(fileobj=file) if compressed else file
            header = _header(path, stream)
            voxels = _voxels(path, stream, header)
            _check_end(path, stream)
            return header, _scaled(path, header, voxels)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path.name} cannot be read in full: {getattr(error, 'strerror', None) or error}",
            "the file is truncated or corrupt: copy it again",
        ) from error
    except MemoryError as error:
        raise DataError(f"{path.name} does not fit into memory: {error}", "check the shape in its header") from error
    except (HeaderDataError, WrapStructError, ValueError, OverflowError) as error:
        raise DataError(f"{path.name} is not a valid NIfTI file: {error}", "convert it again") from error


def _header(path: Path, stream: BufferedIOBase) -> nib.Nifti1Header:
    start = stream.read(4)
    size = {int.from_bytes(start, order) for order in ("little", "big")} & {348, 540} if len(start) == 4 else set()
    if not size:
        raise _not_nifti(path, start + stream.read(200))
    kind: type[nib.Nifti1Header] = nib.Nifti1Header if size == {348} else nib.Nifti2Header
    block = start + _exactly(stream, size.pop() - 4)
    header: nib.Nifti1Header = kind(block, check=True)
    as_stored = kind(block, check=False)  # the check makes 1 mm of a side of 0
    if as_stored["sform_code"] <= 0 and 0 in as_stored["pixdim"][1 : 1 + min(3, as_stored["dim"][0])]:
        raise DataError(
            f"{path.name} has no voxel size: its pixdim is 0, and it has no sform", "repair the header (pixdim)"
        )
    if header["magic"].item()[:2] != b"n+":
        raise DataError(
            f"{path.name} is only the header of an image: its voxels are in a file of their own (.img)",
            "convert the pair to one .nii.gz file",
        )
    return header


def _not_nifti(path: Path, start: bytes) -> DataError:
    if not start:
        return DataError(f"{path.name} is empty: it has 0 bytes", "copy it again")
    if start[128:132] == b"DICM":
        return DataError(
            f"{path.name} is not a valid NIfTI file: it is a DICOM file", "convert its series with dcm2niix"
        )
    for magic, (what, hint) in _OTHER_FORMATS.items():
        if start.lstrip().startswith(magic):
            return DataError(f"{path.name} is not a valid NIfTI file: it is {what}", hint)
    return DataError(
        f"{path.name} is not a valid NIfTI file: it begins with {start[:8]!r}, not with the size of a header",
        "convert or copy it again",
    )


def _voxels(path: Path, stream: BufferedIOBase, header: nib.Nifti1Header) -> NDArray[np.generic]:
    shape, dtype = tuple(map(int, header.get_data_shape())), header.get_data_dtype()
    if not shape or min(shape) < 1:
        raise DataError(f"{path.name} has the shape {shape}, so it has no voxel", "convert it again")
    if dtype.kind not in "iuf":
        raise DataError(f"{path.name} holds {dtype} voxels, expected integers or floats", "convert it")
    if math.prod(shape) > (most := most_voxels()):
        raise DataError(
            f"{path.name} claims {math.prod(shape)} voxels {shape}, more than the {most} that are read",
            "its header is damaged; or, if it is that large, set MMCCD_MOST_VOXELS to that number",
        )
    to_skip = header.get_data_offset() - header.sizeof_hdr  # extensions, which nothing here needs
    while to_skip > 0:
        to_skip -= len(_exactly(stream, min(to_skip, _BLOCK_BYTES)))
    content = np.empty(math.prod(shape) * dtype.itemsize, np.uint8)
    for first in range(0, content.size, _BLOCK_BYTES):
        block = content[first : first + _BLOCK_BYTES]
        block[:] = np.frombuffer(_exactly(stream, block.size), np.uint8)
    return np.asarray(content.view(dtype).reshape(shape, order="F"))


def _exactly(stream: BufferedIOBase, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError("it ends before its header says")
    return content


def _check_end(path: Path, stream: BufferedIOBase) -> None:
    """Read what is left, with the checksum behind it."""
    spare = len(stream.read(_SPARE_BYTES + 1))
    if spare > _SPARE_BYTES:
        raise DataError(
            f"{path.name} holds more than its header claims, so one of the two is wrong", "convert or copy it again"
        )
    while stream.read(_BLOCK_BYTES):
        pass


def _scaled(path: Path, header: nib.Nifti1Header, voxels: NDArray[np.generic]) -> NDArray[np.generic]:
    if np.isinf(header["scl_slope"]):
        raise DataError(f"{path.name} has an infinite scl_slope, so its intensities are unknown", "convert it again")
    slope, intercept = header.get_slope_inter()
    if slope is None:  # 0 or NaN: stored as it is
        return voxels
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused later, with the other infinities
        return np.asarray(apply_read_scaling(voxels, slope, intercept or 0.0))


def most_voxels() -> int:
    """How many voxels a file may have: `MOST_VOXELS`, or what ``MMCCD_MOST_VOXELS`` says.

    Raises:
        ConfigError: that is no number.
    """
    text = os.environ.get("MMCCD_MOST_VOXELS", str(MOST_VOXELS))
    if not text.isdecimal():
        raise ConfigError(f"MMCCD_MOST_VOXELS is {text!r}, expected a whole number", f"leave it out for {MOST_VOXELS}")
    return int(text)
