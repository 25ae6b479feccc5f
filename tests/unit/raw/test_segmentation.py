"""DICOM segmentations, read again with highdicom."""

import warnings

import highdicom
import numpy as np
import pydicom
import pytest
from dicom_files import AXIAL, FLAIR, PERSON, write_series

from mmccd.data.volumes import read_volume
from mmccd.errors import DataError
from mmccd.raw.convert import dicom_cohort
from mmccd.raw.segmentation import write_segmentation

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
COS, SIN = np.cos(0.4), np.sin(0.4)
OBLIQUE = (COS, SIN, 0.0, -SIN, COS, 0.0)


def converted(folder):
    (subject,) = dicom_cohort(folder)[0].subjects
    image = subject.images["flair"]
    return read_volume(image.path), image.dicom


def along(cosines, slices=6, apart_mm=4.0):
    """Where slices of this direction lie."""
    normal = np.cross(cosines[:3], cosines[3:])
    return [tuple(float(value) for value in normal * apart_mm * index) for index in range(slices)]


def marked_pixels(segmentation, files):
    """(slices, rows, columns) by the identifiers of the slices, as a viewer finds them."""
    uids = [pydicom.dcmread(file).SOPInstanceUID for file in files]
    return segmentation.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)[..., 0] > 0


@pytest.mark.parametrize("cosines", [AXIAL, SAGITTAL, OBLIQUE], ids=["axial", "sagittal", "oblique"])
def test_what_is_marked_lies_on_the_same_pixels_of_the_series(tmp_path, cosines):
    values = np.arange(16 * 20 * 6).reshape(16, 20, 6) + 1
    files = write_series(tmp_path / "p", values=values, cosines=cosines, places=along(cosines), **FLAIR)
    volume, dicom = converted(tmp_path / "p")
    marked = (volume.data % 7 == 0) & (volume.data > 900)
    write_segmentation(tmp_path / "seg.dcm", marked, volume, dicom, "a model")
    found = highdicom.seg.segread(tmp_path / "seg.dcm")
    stored = np.stack([pydicom.dcmread(file).pixel_array for file in files])
    np.testing.assert_array_equal(marked_pixels(found, files), (stored % 7 == 0) & (stored > 900))
    assert (found.Modality, str(found.PatientName), found.StudyInstanceUID) == ("SEG", PERSON, "1.2.3")
    assert found.get_segment_description(1).segment_label == "Anomaly"


def test_the_same_gets_the_same_identifiers_and_a_mark_of_nothing_is_written(tmp_path):
    files = write_series(tmp_path / "p", **FLAIR)
    volume, dicom = converted(tmp_path / "p")
    nothing = np.zeros(volume.data.shape, bool)
    uids = []
    for by in ("a model", "a model", "another"):
        write_segmentation(tmp_path / "seg.dcm", nothing, volume, dicom, by)
        found = highdicom.seg.segread(tmp_path / "seg.dcm")
        uids.append((found.SeriesInstanceUID, found.SOPInstanceUID))
    assert uids[0] == uids[1]
    assert not {*uids[1]} & {*uids[2]}
    assert not marked_pixels(found, files).any()


def test_headers_that_names_were_taken_out_of_are_enough(tmp_path):
    files = write_series(tmp_path / "p", PatientSex="X", **FLAIR)
    for file in files:
        header = pydicom.dcmread(file)
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "FrameOfReferenceUID", "SliceThickness"):
            del header[keyword]
        header.save_as(file)
    volume, dicom = converted(tmp_path / "p")
    write_segmentation(tmp_path / "seg.dcm", volume.data > 500, volume, dicom, "a model")
    found = highdicom.seg.segread(tmp_path / "seg.dcm")
    assert (found.PatientName, found.PatientSex) == ("", "")
    assert marked_pixels(found, files).sum() == (volume.data > 500).sum()


def test_a_header_that_is_not_as_dicom_says_is_refused_without_its_words(tmp_path):
    with warnings.catch_warnings(action="ignore"):
        write_series(tmp_path / "p", PatientBirthDate="secret", **FLAIR)
    volume, dicom = converted(tmp_path / "p")
    with pytest.raises(DataError, match="the header of the series does not allow it") as refused:
        write_segmentation(tmp_path / "seg.dcm", volume.data > 500, volume, dicom, "a model")
    assert "secret" not in str(refused.value)
    assert not (tmp_path / "seg.dcm").exists()


def test_whatever_a_library_raises_is_a_refusal(tmp_path, monkeypatch):
    def lacking(*_, **__):
        raise KeyError("(0028,9110)")

    write_series(tmp_path / "p", **FLAIR)
    volume, dicom = converted(tmp_path / "p")
    monkeypatch.setattr("highdicom.seg.Segmentation", lacking)
    with pytest.raises(DataError, match="something in it is not as DICOM says"):
        write_segmentation(tmp_path / "seg.dcm", volume.data > 500, volume, dicom, "a model")


def test_files_that_lie_elsewhere_are_refused(tmp_path):
    write_series(tmp_path / "p", **FLAIR)
    write_series(tmp_path / "q", places=[(100.0, 0.0, 4.0 * index) for index in range(6)], **FLAIR)
    volume, _ = converted(tmp_path / "p")
    with pytest.raises(DataError, match="do not lie where the scan was read"):
        write_segmentation(tmp_path / "seg.dcm", volume.data > 500, volume, converted(tmp_path / "q")[1], "a model")
