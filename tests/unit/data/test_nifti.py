"""Files off the disk; every damaged and odd one is in tests/robustness."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mmccd.data.formats import check_is_file, is_scan_name, stem
from mmccd.data.nifti import read_nifti
from mmccd.errors import DataError

VOXELS = np.arange(60, dtype=np.int16).reshape(3, 4, 5)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i2", "<u4", ">f4", "<f8"])
def test_voxels_and_header_are_those_that_nibabel_reads(tmp_path, kind, dtype):
    header = kind.header_class(endianness=">" if dtype[0] == ">" else "<")
    header.set_data_dtype(dtype)
    nib.save(kind(VOXELS.astype(dtype), np.diag([2.0, 3, 4, 1]), header), tmp_path / "a.nii.gz")

    header, voxels = read_nifti(tmp_path / "a.nii.gz")

    expected = nib.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(voxels, np.asanyarray(expected.dataobj))
    assert voxels.dtype == expected.get_data_dtype()
    assert np.array_equal(header.get_best_affine(), expected.affine)


@pytest.mark.parametrize(("slope", "intercept"), [(0.3, -7.0), (1.0, 0.5), (2.0, 0.0)])
def test_scaling_is_that_of_nibabel_to_the_bit(tmp_path, slope, intercept):
    image = nib.Nifti1Image(VOXELS, np.eye(4))
    image.header.set_slope_inter(slope, intercept)
    nib.save(image, tmp_path / "a.nii")
    _, voxels = read_nifti(tmp_path / "a.nii")
    np.testing.assert_array_equal(voxels, np.asanyarray(nib.load(tmp_path / "a.nii").dataobj))


def test_the_content_says_whether_it_is_compressed(tmp_path):
    content = nib.Nifti1Image(VOXELS, np.eye(4)).to_bytes()
    for name, stored in (("a.nii", gzip.compress(content)), ("b.nii.gz", content)):
        (tmp_path / name).write_bytes(stored)
        np.testing.assert_array_equal(read_nifti(tmp_path / name)[1], VOXELS)


def test_files_that_are_not_scans(tmp_path):
    (tmp_path / "folder.nii.gz").mkdir()
    (tmp_path / "scan.dcm").write_bytes(b"DICM")
    with pytest.raises(DataError, match=r"nowhere\.nii does not exist"):
        check_is_file(tmp_path / "nowhere.nii")
    for name in ("folder.nii.gz", "scan.dcm"):
        with pytest.raises(DataError, match=f"{name} is not a NIfTI file"):
            read_nifti(tmp_path / name)


def test_a_path_that_cannot_be(tmp_path):
    with pytest.raises(DataError, match="File name too long"):
        read_nifti(tmp_path / ("a" * 300 + ".nii"))


def test_names():
    assert [stem(Path(name)) for name in ("a.b.nii.gz", "a.nii", "A.NII.GZ", "a.csv")] == ["a.b", "a", "A", "a"]
    assert [is_scan_name(name) for name in ("a.nii.gz", "a.NII", "a.gz", "nii")] == [True, True, False, False]
