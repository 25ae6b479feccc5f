"""Which files of a folder are DICOM."""

import os

import nibabel as nib
import numpy as np
import pytest
from dicom_files import FLAIR, write_series

from mmccd.raw.export import dicom_files, holds_dicom, is_dicom, kinds_in


def test_dicom_is_known_by_its_first_bytes_whatever_its_name(tmp_path):
    first, *_ = write_series(tmp_path / "a" / "b", **FLAIR)
    plain = tmp_path / "IM1"
    plain.write_bytes(first.read_bytes())
    text = tmp_path / "notes.dcm"
    text.write_text("not DICOM")
    assert is_dicom(plain)
    assert not is_dicom(text)
    assert holds_dicom(tmp_path)
    assert not holds_dicom(tmp_path / "nothing")
    found, closed = dicom_files(tmp_path)
    assert plain in found
    assert text not in found
    assert closed == []


def test_it_is_found_however_deep_and_behind_notes(tmp_path):
    deep = tmp_path / "s" / "scans" / "4-FLAIR" / "resources" / "DICOM" / "files"
    write_series(deep, **FLAIR)
    for number in range(8):
        (deep / f"{number}.txt").touch()
    assert holds_dicom(tmp_path)
    assert len(dicom_files(tmp_path)[0]) == 6


def test_links_are_followed_and_hidden_folders_are_not(tmp_path):
    write_series(tmp_path / "elsewhere" / "series", **FLAIR)
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "export" / "again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "round").symlink_to(tmp_path / "export")
    assert holds_dicom(tmp_path / "export")
    assert len(dicom_files(tmp_path / "export")[0]) == 6
    write_series(tmp_path / "other" / ".Trashes", **FLAIR)
    assert not holds_dicom(tmp_path / "other")
    assert dicom_files(tmp_path / "other") == ([], [])


def test_masks_and_results_beside_it_are_no_scans(tmp_path):
    write_series(tmp_path / "p", **FLAIR)
    image = nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4))
    nib.save(image, tmp_path / "p" / "roi.nii.gz")
    assert holds_dicom(tmp_path)
    nib.save(image, tmp_path / "p" / "p_flair.nii.gz")
    assert kinds_in(tmp_path) == (True, True)
    assert not holds_dicom(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(tmp_path):
    *_, last = write_series(tmp_path / "a", **FLAIR)
    write_series(tmp_path / "b", **FLAIR)
    last.chmod(0)
    (tmp_path / "b").chmod(0)
    assert sorted(dicom_files(tmp_path)[1]) == [last, tmp_path / "b"]


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    write_series(tmp_path, **FLAIR)
    (tmp_path / "IM999.dcm").symlink_to(tmp_path / "gone")
    assert dicom_files(tmp_path)[1] == [tmp_path / "IM999.dcm"]
