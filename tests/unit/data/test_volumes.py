"""NIfTI in and out: every stored form is read right, every result lies on the grid of its source."""

import gzip
import itertools

import nibabel as nib
import numpy as np
import pytest

from mmccd.data.volumes import Volume, brain_mask, check_same_grid, new_volume, read_volume, write_volume
from mmccd.errors import DataError, GridError

SHAPE = (6, 5, 4)
AFFINE = np.array([[-2.0, 0, 0, 7], [0, 0, 3.0, -4], [0, 1.5, 0, 2], [0, 0, 0, 1]])
COUNTS = np.arange(np.prod(SHAPE)).reshape(SHAPE)


def oblique(angle=0.3):
    """Rotated about the first axis, with unequal spacing."""
    c, s = np.cos(angle), np.sin(angle)
    turned = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ np.diag([1.5, 2.0, 2.5])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turned, (10, -20, 30)
    return affine


def save(path, voxels=COUNTS, affine=AFFINE, kind=nib.Nifti1Image, dtype=np.float32, header=None):
    nib.save(kind(np.asarray(voxels).astype(dtype), affine, header), path)
    return path


def in_ras(voxels, affine):
    return nib.as_closest_canonical(nib.Nifti1Image(np.asarray(voxels, np.float64), affine)).get_fdata()


# --- stored forms ---


@pytest.mark.parametrize("dtype", ["uint8", "int16", ">i2", "int32", "float32", ">f4", "float64"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_every_data_type_is_read_right_and_written_on_its_grid(tmp_path, dtype, suffix, kind):
    header = kind.header_class(endianness=">" if dtype.startswith(">") else "<")
    header.set_data_dtype(dtype)
    path = save(tmp_path / f"a{suffix}", kind=kind, dtype=dtype, header=header)

    volume = read_volume(path)
    write_volume(tmp_path / f"b{suffix}", volume.data, volume)

    assert volume.data.dtype == np.float32
    np.testing.assert_array_equal(volume.data, in_ras(COUNTS, AFFINE))
    source, written = nib.load(path), nib.load(tmp_path / f"b{suffix}")
    assert source.header.endianness == (">" if dtype.startswith(">") else "<")
    assert isinstance(written, kind)
    assert np.array_equal(written.affine, source.affine)
    np.testing.assert_array_equal(written.get_fdata(), COUNTS)


def test_slope_and_intercept_are_applied_and_not_inherited(tmp_path):
    image = nib.Nifti1Image(COUNTS.astype(np.int16), AFFINE)
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, tmp_path / "a.nii.gz")

    volume = read_volume(tmp_path / "a.nii.gz")
    write_volume(tmp_path / "b.nii.gz", volume.data, volume)

    np.testing.assert_array_equal(volume.data, in_ras(COUNTS * 0.5 - 3, AFFINE))
    np.testing.assert_array_equal(nib.load(tmp_path / "b.nii.gz").get_fdata(), COUNTS * 0.5 - 3)


def test_one_volume_of_a_4d_file_and_a_4d_file_of_one(tmp_path):
    both = np.stack([COUNTS, 1000 - COUNTS], axis=3)
    save(tmp_path / "a.nii.gz", both)
    save(tmp_path / "b.nii.gz", COUNTS[..., None])

    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz", 1).data, in_ras(1000 - COUNTS, AFFINE))
    np.testing.assert_array_equal(read_volume(tmp_path / "b.nii.gz").data, in_ras(COUNTS, AFFINE))
    for channel, text in ((None, "4 dimensions .* expected 3"), (2, "expected 4 with at least 3 channels")):
        with pytest.raises(DataError, match=text):
            read_volume(tmp_path / "a.nii.gz", channel)
    volume = read_volume(tmp_path / "a.nii.gz", 0)
    write_volume(tmp_path / "c.nii.gz", volume.data, volume)
    assert nib.load(tmp_path / "c.nii.gz").shape == SHAPE


# --- geometry ---


@pytest.mark.parametrize(("qform", "sform"), [(1, 0), (0, 1), (2, 4), (1, 1), (0, 0), (4, 2)])
def test_affine_is_bit_equal_whatever_the_codes(tmp_path, qform, sform):
    image = nib.Nifti1Image(COUNTS.astype(np.float32), None)
    image.header.set_zooms((1.5, 2.0, 2.5))
    image.header.set_qform(oblique(0.3), qform, strip_shears=True)
    image.header.set_sform(oblique(0.7) * 1.01, sform)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, tmp_path / "a.nii.gz")

    volume = read_volume(tmp_path / "a.nii.gz")
    write_volume(tmp_path / "b.nii.gz", volume.data, volume)

    source, written = nib.load(tmp_path / "a.nii.gz"), nib.load(tmp_path / "b.nii.gz")
    assert written.shape == source.shape
    assert np.array_equal(written.affine, source.affine)
    fields = ("pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y",
              "qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units")  # fmt: skip
    for field in fields:
        np.testing.assert_array_equal(written.header[field], source.header[field], field)
    np.testing.assert_array_equal(written.get_fdata(), COUNTS)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product((1, -1), repeat=3)))
def test_ras_does_not_depend_on_the_order_of_the_axes(tmp_path, order, flips):
    orientation = np.array([[axis, flip] for axis, flip in zip(order, flips, strict=True)], float)
    base = nib.Nifti1Image(COUNTS.astype(np.float32), oblique())
    nib.save(base.as_reoriented(orientation), tmp_path / "a.nii.gz")

    volume = read_volume(tmp_path / "a.nii.gz")

    np.testing.assert_array_equal(volume.data, COUNTS)
    np.testing.assert_allclose(volume.affine, oblique(), atol=1e-5)
    assert volume.spacing_mm == pytest.approx((1.5, 2.0, 2.5))
    assert volume.voxel_ml == pytest.approx(0.0075)
    np.testing.assert_array_equal(volume.to_file_orientation(volume.data), nib.load(tmp_path / "a.nii.gz").get_fdata())


DOUBLE_OBLIQUE = np.array([[np.sqrt(0.5), -0.5, -0.5], [0, np.sqrt(0.5), -np.sqrt(0.5)], [np.sqrt(0.5), 0.5, 0.5]])


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_maps_of_scans_at_45_degrees_lie_on_the_axes_of_their_file(tmp_path, order):
    """Two axes of the scanner are as near: turned twice, such a scan would not come back."""
    affine = np.eye(4)
    affine[:3, :3] = DOUBLE_OBLIQUE[:, order]
    cube = np.arange(64.0).reshape(4, 4, 4)
    volumes = [read_volume(save(tmp_path / "a.nii", cube, affine)), new_volume(cube, affine)]
    for volume in volumes:
        write_volume(tmp_path / "b.nii", volume.data, volume)
        np.testing.assert_array_equal(nib.load(tmp_path / "b.nii").get_fdata(), cube)


def test_free_text_of_the_header_is_not_written(tmp_path):
    image = nib.Nifti1Image(COUNTS.astype(np.float32), AFFINE)
    for field in ("descrip", "db_name", "aux_file", "intent_name"):
        image.header[field] = b"JANEDOE"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"JANEDOE born 1970"))
    nib.save(image, tmp_path / "a.nii.gz")
    assert gzip.decompress((tmp_path / "a.nii.gz").read_bytes()).count(b"JANEDOE") == 5

    volume = read_volume(tmp_path / "a.nii.gz")
    write_volume(tmp_path / "b.nii.gz", volume.data, volume)
    write_volume(tmp_path / "c.nii", volume.data, volume)

    assert b"JANEDOE" not in gzip.decompress((tmp_path / "b.nii.gz").read_bytes())
    assert b"JANEDOE" not in (tmp_path / "c.nii").read_bytes()


def test_written_bytes_do_not_depend_on_the_time(tmp_path):
    volume = new_volume(COUNTS.astype(np.float32), AFFINE)
    write_volume(tmp_path / "a.nii.gz", volume.data, volume)
    content = (tmp_path / "a.nii.gz").read_bytes()
    assert content[4:8] == bytes(4)  # gzip's time stamp
    assert b"a.nii" not in content


# --- refused ---


def test_zero_is_refused_unless_it_is_a_mask(tmp_path):
    path = save(tmp_path / "a.nii.gz", np.zeros(SHAPE))
    with pytest.raises(DataError, match="zero everywhere"):
        read_volume(path)
    assert not read_volume(path, allow_zero=True).data.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers_are_counted(tmp_path, bad):
    voxels = COUNTS.astype(np.float32)
    voxels[0, :2, 0] = bad
    with pytest.raises(DataError, match="2 voxels that are NaN or infinite"):
        read_volume(save(tmp_path / "a.nii.gz", voxels))


def test_complex_voxels_and_flat_affines_are_refused(tmp_path):
    save(tmp_path / "complex.nii.gz", dtype=np.complex64)
    with pytest.raises(DataError, match="complex64"):
        read_volume(tmp_path / "complex.nii.gz")
    flat = nib.Nifti1Image(COUNTS.astype(np.float32), None)
    flat.header.set_sform(np.diag([1.0, 1.0, 0.0, 1.0]), 1)
    nib.save(flat, tmp_path / "flat.nii.gz")
    with pytest.raises(DataError, match="not invertible"):
        read_volume(tmp_path / "flat.nii.gz")


def test_values_beyond_float32_are_refused(tmp_path):
    with pytest.raises(DataError, match="NaN or infinite"):
        read_volume(save(tmp_path / "a.nii.gz", np.full(SHAPE, 1e300), dtype=np.float64))


# --- grids and brains ---


def test_same_grid_is_judged_to_a_hundredth_of_a_voxel():
    reference = new_volume(COUNTS.astype(np.float32), oblique())
    for shift_mm, same in ((0.014, True), (0.016, False)):
        other = Volume(reference.data, reference.affine.copy(), reference.header)
        other.affine[0, 3] += shift_mm  # 1 % of the smallest spacing is 0.015
        if same:
            check_same_grid(reference, other)
        else:
            with pytest.raises(GridError, match=r"array and the volume are not co-registered: .* 0.02 mm apart"):
                check_same_grid(reference, other)
    with pytest.raises(GridError, match="shapes"):
        check_same_grid(reference, new_volume(COUNTS[1:].astype(np.float32), oblique()))


def test_brain_is_what_lies_above_zero_or_in_the_mask():
    scan = new_volume((COUNTS - 3).astype(np.float32), np.eye(4))
    mask = new_volume((COUNTS == 3).astype(np.float32), np.eye(4))
    np.testing.assert_array_equal(brain_mask(scan), COUNTS > 3)
    np.testing.assert_array_equal(brain_mask(scan, mask), COUNTS == 3)
    with pytest.raises(GridError):
        brain_mask(scan, new_volume((COUNTS == 3).astype(np.float32), np.eye(4) * 2))
    with pytest.raises(DataError, match="no brain voxel"):
        brain_mask(new_volume(COUNTS * 0, np.eye(4)))


def test_more_than_a_brain_is_a_head():
    ones = np.ones((10, 10, 10), np.float32)
    assert brain_mask(new_volume(ones, np.diag([13.5, 13.5, 13.5, 1]))).all()  # 2460 ml
    with pytest.raises(DataError, match="not skull-stripped: 2744 ml") as caught:
        brain_mask(new_volume(ones, np.diag([14.0, 14.0, 14.0, 1])))
    assert "--strip auto" in caught.value.hint
