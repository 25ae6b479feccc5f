"""Scans in memory: the same volume as from the file that they would be, or a refusal that names the way."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from mmccd.data.given import as_paths, as_volume
from mmccd.data.volumes import new_volume, read_volume
from mmccd.errors import DataError

VOXELS = np.arange(1, 5 * 6 * 7 + 1, dtype=np.int16).reshape(5, 6, 7)


def oblique():
    """Axes in another order, one turned round, off the scanner's, unequal sides: nothing may be left out by chance."""
    c, s = np.cos(0.3), np.sin(0.3)
    turned = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ np.array([[0, 0, -1], [1, 0, 0], [0, 1, 0]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turned @ np.diag([1.5, 2.0, 2.5]), (10, -20, 30)
    return affine


@pytest.fixture
def path(tmp_path):
    nib.save(nib.Nifti1Image(VOXELS, oblique()), tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


def assert_same(volume, expected):
    np.testing.assert_array_equal(volume.data, expected.data)
    np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-4)
    np.testing.assert_array_equal(volume.to_file_orientation(volume.data).ravel(), VOXELS.ravel())


@pytest.mark.parametrize(
    "given",
    [
        lambda path: path,
        str,
        read_volume,
        nib.load,
        lambda path: nib.Nifti1Image(VOXELS, oblique()),
        lambda path: nib.Nifti2Image(VOXELS[..., None], oblique()),
        lambda path: nib.MGHImage(VOXELS.astype(np.float32), oblique()),
        lambda path: new_volume(VOXELS, oblique()),
        lambda path: new_volume(VOXELS[..., None], oblique().tolist()),
    ],
)
def test_a_scan_in_memory_is_that_of_its_file(path, given):
    assert_same(as_volume(given(path)), read_volume(path))


def test_a_nibabel_image_keeps_its_forms_and_its_unit(path):
    image = nib.load(path)
    image.header.set_xyzt_units("micron")
    image.set_sform(oblique() * 1000, 1)

    volume = as_volume(image)

    np.testing.assert_allclose(volume.spacing_mm, read_volume(path).spacing_mm, rtol=1e-5)
    assert volume.header["sform_code"] == 1


def test_a_mask_may_be_bool():
    assert new_volume(VOXELS > 9, np.eye(4)).data.sum() == (VOXELS > 9).sum()


@pytest.mark.parametrize("shape", ["3D", "4D of one volume"])
def test_an_image_of_simpleitk_lies_where_its_file_does(path, shape):
    image = SimpleITK.ReadImage(str(path))
    if shape != "3D":
        image = SimpleITK.JoinSeries([image])

    assert_same(as_volume(image), read_volume(path))


class Lps:
    """An image as SimpleITK has it, whose package is this module."""

    voxels, components, sides = VOXELS, 1, 3

    def GetSpacing(self):  # noqa: N802
        return (1.5, 2.0, 2.5)[: self.sides]

    def GetOrigin(self):  # noqa: N802
        return (-10.0, 20.0, 30.0)[: self.sides]

    def GetDirection(self):  # noqa: N802
        directions = oblique()[:3, :3] / (1.5, 2.0, 2.5) * np.array([[-1], [-1], [1]])
        return tuple(directions[: self.sides, : self.sides].ravel())

    def GetNumberOfComponentsPerPixel(self):  # noqa: N802
        return self.components


@pytest.fixture
def its_package(monkeypatch):
    class Package:
        @staticmethod
        def GetArrayFromImage(image):  # noqa: N802
            return image.voxels.T

    monkeypatch.setattr("mmccd.data.given.importlib.import_module", lambda name: Package)


def test_itk_counts_to_the_left_and_back_and_its_arrays_are_turned_round(path, its_package):
    assert_same(as_volume(Lps()), read_volume(path))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"components": 3}, "3 components per voxel"),
        ({"sides": 2}, "2 dimensions"),
        ({"voxels": VOXELS * 1j}, "complex"),
    ],
)
def test_colours_slices_and_complex_numbers_of_itk_are_refused(its_package, change, said):
    image = Lps()
    vars(image).update(change)

    with pytest.raises(DataError, match=said):
        as_volume(image)


COLOURS = np.zeros((3, 3, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])


@pytest.mark.parametrize(
    ("make", "said", "remedy"),
    [
        (lambda: VOXELS, r"an array of the shape \(5, 6, 7\) does not say", "mmccd.new_volume"),
        (lambda: 7, "given as int", "convert it"),
        (lambda: None, "given as NoneType", "convert it"),
        (lambda: new_volume(VOXELS[0], np.eye(4)), "array has 2 dimensions", "3D"),
        (lambda: new_volume(np.stack([VOXELS, VOXELS], -1), np.eye(4)), "array has 4 dimensions", "3D"),
        (lambda: new_volume(VOXELS * 1j, np.eye(4)), "holds complex128", "magnitudes"),
        (lambda: new_volume(COLOURS, np.eye(4)), "expected integers or floats", "colours"),
        (lambda: new_volume(VOXELS.astype(object), np.eye(4)), "holds object", "magnitudes"),
        (lambda: new_volume(VOXELS[:0], np.eye(4)), "so it has no voxel", "cut"),
        (lambda: new_volume(VOXELS, np.eye(4)[:3]), r"shape \(3, 4\), expected \(4, 4\)", "last row"),
        (lambda: new_volume(VOXELS, np.zeros((4, 4))), "not invertible", "repair"),
        (lambda: new_volume(VOXELS / np.int16(0), np.eye(4)), "NaN or infinite", "replace"),
        (lambda: nib.Nifti1Image(COLOURS, np.eye(4)), "expected integers or floats", "colours"),
        (lambda: nib.Nifti1Image(VOXELS[0], np.eye(4)), "the image has 2 dimensions", "3D"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_is_no_scan_is_refused_with_the_way(make, said, remedy):
    with pytest.raises(DataError, match=said) as caught:
        as_volume(make())

    assert remedy in caught.value.hint


def test_an_image_whose_file_is_damaged_is_refused(path):
    image = nib.load(path)
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(DataError, match=r"scan.nii.gz cannot be read in full"):
        as_volume(image)


def test_an_axis_beyond_what_nifti_1_counts():
    assert new_volume(np.ones((2**15, 1, 1), np.uint8), np.eye(4)).header.sizeof_hdr == 540


def test_paths_may_be_text_and_one_alone(path):
    assert as_paths(str(path)) == as_paths([path]) == as_paths((str(path),)) == [path]
    with pytest.raises(DataError, match="given as Nifti1Image") as caught:
        as_paths(nib.load(path))
    assert "Detector.detect" in caught.value.hint
