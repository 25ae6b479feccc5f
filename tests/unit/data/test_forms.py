"""Two forms of one header: what is doubted, and masks that know the other one."""

import nibabel as nib
import numpy as np
import pytest

from mmccd.data.forms import both_forms_mm, doubt_about_forms, lies_in_mni
from mmccd.data.volumes import brain_mask, mask_on_grid, read_volume
from mmccd.errors import GridError

BRAIN = np.zeros((8, 9, 10), dtype=np.uint8)
BRAIN[2:5, 3:8, 1:7] = 1
SCANNER = np.array([[-2.5, 0, 0, 10], [0, -2.5, 0, 12], [0, 0, 2.5, -9], [0, 0, 0, 1]])


def moved(degrees):
    """What a coregistration makes of the scanner's place."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0, 8], [0, c, -s, -5], [0, s, c, 3], [0, 0, 0, 1]]) @ SCANNER


def saved(path, voxels, sform, qform=SCANNER):
    image = nib.Nifti1Image(voxels, sform)
    image.set_sform(sform, 2)
    image.set_qform(qform, 1)
    nib.save(image, path)
    return read_volume(path)


@pytest.mark.parametrize(
    ("sform", "qform", "there"), [(4, 1, True), (4, 4, True), (2, 4, False), (0, 4, False), (3, 1, False)]
)
def test_only_a_scan_whose_sform_leads_to_mni_space_lies_there(sform, qform, there):
    header = nib.Nifti1Header()
    header.set_sform(SCANNER, sform)
    header.set_qform(SCANNER, qform)

    assert lies_in_mni(header) is there


@pytest.mark.parametrize("degrees", [20, 70])
def test_a_mask_at_the_other_form_keeps_its_voxels(tmp_path, degrees):
    """Also where the two forms call the axes otherwise, at more than 45 degrees."""
    scan = saved(tmp_path / "scan.nii.gz", BRAIN * np.uint8(7), moved(degrees))
    mask = saved(tmp_path / "mask.nii.gz", BRAIN, SCANNER)

    np.testing.assert_array_equal(brain_mask(scan, mask), scan.data > 0)
    np.testing.assert_array_equal(mask_on_grid(scan, mask).affine, scan.affine)
    assert "scan.nii.gz" in scan.doubts[0]
    assert mask.doubts == ()


def test_a_mask_that_was_moved_itself_is_refused_with_both_remedies(tmp_path):
    scan = saved(tmp_path / "scan.nii.gz", BRAIN, SCANNER)
    mask = saved(tmp_path / "mask.nii.gz", BRAIN, moved(20))

    with pytest.raises(GridError, match="not co-registered") as caught:
        brain_mask(scan, mask)

    assert "mmccd preprocess" in caught.value.hint
    assert "copy its header" in caught.value.hint


def test_a_mask_of_another_shape_at_the_other_form_is_refused(tmp_path):
    scan = saved(tmp_path / "scan.nii.gz", BRAIN, moved(20))
    mask = saved(tmp_path / "mask.nii.gz", BRAIN[:-1], SCANNER)

    with pytest.raises(GridError, match="shapes"):
        brain_mask(scan, mask)


@pytest.mark.parametrize(("shift_mm", "said"), [(2.4, ""), (2.6, "lie up to 2.6 mm apart: its sform is used")])
def test_forms_are_doubted_beyond_one_voxel(shift_mm, said):
    header = nib.Nifti1Image(BRAIN, SCANNER).header
    sform = SCANNER.copy()
    sform[1, 3] += shift_mm
    header.set_sform(sform, 2)
    header.set_qform(SCANNER, 1)

    assert said in (doubt := doubt_about_forms(header, "scan"))
    assert bool(doubt) == bool(said)


def test_units_of_the_header_count_in_both_forms():
    header = nib.Nifti1Image(BRAIN, SCANNER / 1000).header
    header.set_qform(SCANNER / 1000, 1)
    header.set_xyzt_units("meter")

    sform, qform = both_forms_mm(header)

    np.testing.assert_allclose(sform[:3], SCANNER[:3], rtol=1e-5)
    np.testing.assert_allclose(qform[:3], SCANNER[:3], rtol=1e-5)


def test_a_form_that_is_none_is_no_second_one():
    header = nib.Nifti1Image(BRAIN, SCANNER).header
    header["qform_code"], header["quatern_b"] = 1, 9

    assert both_forms_mm(header) is None
    assert "disagree on its axes" in doubt_about_forms(header, "scan")
