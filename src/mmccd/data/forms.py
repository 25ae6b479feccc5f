"""The two places that a NIfTI header may give a scan, its sform and its qform, and how far they lie apart."""

import itertools

import nibabel as nib
import numpy as np
from nibabel.orientations import io_orientation
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

_UNITS_MM = {1: 1000.0, 2: 1.0, 3: 0.001}  # codes of xyzt_units; 0 and unknown ones are millimetres by custom
_MNI = 4  # of sform_code: MNI 152 space
_HUGE = 1e100  # squares of what is larger overflow


def in_mm(affine: NDArray[np.float64], header: nib.Nifti1Header) -> NDArray[np.float64]:
    """A (4, 4) affine in the unit of its header, in millimetres."""
    found = np.array(affine, dtype=np.float64)
    found[:3] *= _UNITS_MM.get(int(header["xyzt_units"]) & 7, 1.0)
    return found


def lies_in_mni(header: nib.Nifti1Header) -> bool:
    """Whether a scan says of its sform, by which it is placed, that it leads to MNI space; no other word is taken."""
    return int(header["sform_code"]) == _MNI


def both_forms_mm(header: nib.Nifti1Header) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Sform and qform, (4, 4), voxel to millimetre; None where one of them is not set, or is none."""
    if header["qform_code"] <= 0 or header["sform_code"] <= 0:
        return None
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            sform, qform = in_mm(header.get_sform(), header), in_mm(header.get_qform(), header)
    except (HeaderDataError, ValueError):
        return None
    usable = all(np.isfinite(form).all() and np.abs(form).max() <= _HUGE for form in (sform, qform))
    return (sform, qform) if usable else None


def doubt_about_forms(header: nib.Nifti1Header, name: str) -> str:
    """What the header leaves open about where the scan lies, in words; empty where nothing is.

    Args:
        header: Of the file.
        name: How the scan is called.
    """
    if header["qform_code"] <= 0 and header["sform_code"] <= 0:
        return f"{name} does not say how it lies (qform and sform codes are 0): its orientation is a guess"
    if header["qform_code"] <= 0 or header["sform_code"] <= 0:
        return ""
    forms = both_forms_mm(header)
    if forms is None or not _alike(*forms):
        return f"qform and sform of {name} disagree on its axes or voxel size: its sform is used"
    sform, qform = forms
    ends = corners(tuple(header.get_data_shape()[:3]))
    at_sform, at_qform = ends @ sform.T, ends @ qform.T
    voxels = np.abs(at_qform @ np.linalg.pinv(sform).T - ends).max()
    if voxels <= 1:
        return ""
    apart_mm = np.sqrt(((at_sform - at_qform) ** 2).sum(axis=1)).max()
    return f"qform and sform of {name} lie up to {apart_mm:.1f} mm apart: its sform is used"


def corners(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(8, 4) homogeneous voxel coordinates of the corners of a volume."""
    ends = np.ones((8, 4))
    ends[:, :3] = np.array(list(itertools.product((0.0, 1.0), repeat=3))) * (np.array(shape) - 1)
    return ends


def _alike(sform: NDArray[np.float64], qform: NDArray[np.float64]) -> bool:
    by_s, by_q = (np.sqrt((form[:3, :3] ** 2).sum(axis=0)) for form in (sform, qform))
    return np.array_equal(io_orientation(sform), io_orientation(qform)) and np.allclose(by_q, by_s, rtol=0.01)
