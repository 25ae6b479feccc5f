"""Which DICOM files belong together, and whether they are a volume."""

import re
import warnings

import numpy as np
import pytest
from dicom_files import AXIAL, FLAIR, T1, T2, write_series
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmccd.raw.export import dicom_files
from mmccd.raw.series import series_in


def only(folder):
    (series,), broken = series_in(dicom_files(folder)[0])
    assert not broken
    return series


def test_series_that_lie_mixed_in_one_folder_are_told_apart(tmp_path):
    write_series(tmp_path, number=7, name="b", **T1)
    write_series(tmp_path, number=3, name="a", **FLAIR)
    found, broken = series_in(dicom_files(tmp_path)[0])
    assert [(one.first.number, one.modality[0], len(one.pictures), one.trouble) for one in found] == [
        (3, "flair", 6, ""), (7, "t1", 6, ""),
    ]  # fmt: skip
    assert not broken
    assert found[0].name == "series 3 (6 slices of 16 x 20)"


def test_echoes_of_one_series_are_series_of_their_own(tmp_path):
    write_series(tmp_path, uid="1.2", name="a", RepetitionTime=3000, EchoTime=15, ScanningSequence="SE")
    write_series(tmp_path, uid="1.2", name="b", RepetitionTime=3000, EchoTime=90, ScanningSequence="SE")
    found, _ = series_in(dicom_files(tmp_path)[0])
    assert [one.modality[0] for one in found] == ["pd", "t2"]


def test_echo_times_that_waver_leave_a_series_whole(tmp_path):
    write_series(tmp_path, uid="1.2", name="a", slices=5, **FLAIR)
    places = [(0.0, 0.0, 20.0 + 4.0 * index) for index in range(5)]
    write_series(tmp_path, uid="1.2", name="b", slices=5, places=places, **FLAIR | {"EchoTime": 120.004})
    assert len(only(tmp_path).places) == 10


def test_two_echoes_are_not_cut_short(tmp_path):
    for name, echo_ms in (("a", 15), ("b", 90)):
        write_series(tmp_path, uid="1.2", name=name, EchoTime=echo_ms, RepetitionTime=3000, ImagesInAcquisition=12)
    found, _ = series_in(dicom_files(tmp_path)[0])
    assert [(len(one.places), one.doubts) for one in found] == [(6, ()), (6, ())]


def test_a_copy_of_a_slice_counts_once(tmp_path):
    first, *_ = write_series(tmp_path, **FLAIR)
    (tmp_path / "IM000 (1).dcm").write_bytes(first.read_bytes())
    series = only(tmp_path)
    assert (series.trouble, len(series.places)) == ("", 6)


@pytest.mark.parametrize("agent", ["", "NONE", "no", "N/A", "-"])
def test_headers_that_say_no_agent_mean_none(tmp_path, agent):
    write_series(tmp_path, ContrastBolusAgent=agent, **T1)
    assert only(tmp_path).modality[0] == "t1"


def test_nothing_that_a_header_holds_is_said(tmp_path):
    with warnings.catch_warnings(action="ignore"):
        write_series(tmp_path, Modality="JOSEPHINE", uid="Josephine.Doe")
    with warnings.catch_warnings(action="error"):
        assert only(tmp_path).trouble == "it is of another modality, not MR"


TILT = (1.0, 0.0, 0.0, 0.0, float(np.cos(0.25)), float(np.sin(0.25)))
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


@pytest.mark.parametrize(
    ("trouble", "how"),
    [
        ("it is CT, not MR", {"Modality": "CT"}),
        ("in colour", {"SamplesPerPixel": 3}),
        ("phases", {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}),
        ("it has 2 slices", {"slices": 2}),
        ("it has 1 slice,", {"slices": 1}),
        (r"slices are missing: .* 4.0 mm, and 8.0 mm", {"places": [(0, 0, z) for z in (0, 4, 8, 16, 20, 24)]}),
        ("at the same place", {"places": [(0, 0, z) for z in (0, 4, 8, 0, 4, 8)]}),
        (r"sheared \(gantry tilt\)", {"cosines": TILT}),
        ("does not say where", {"ImagePositionPatient": None}),
    ],
)
def test_what_is_no_volume_says_why(tmp_path, trouble, how):
    write_series(tmp_path, **FLAIR | how)
    assert re.search(trouble, only(tmp_path).trouble)


def test_a_localiser_lies_in_several_directions(tmp_path):
    write_series(tmp_path, uid="1.2", name="a", slices=3, **T2)
    write_series(tmp_path, uid="1.2", name="b", slices=3, cosines=CORONAL, **T1)
    assert "several directions" in only(tmp_path).trouble


def test_a_series_that_was_cut_short_is_odd(tmp_path):
    write_series(tmp_path, ImagesInAcquisition=40, **FLAIR)
    series = only(tmp_path)
    assert series.trouble == ""
    assert series.doubts == ("the series was cut short: 6 slices are there, its header speaks of 40",)


def test_oblique_slices_are_a_volume(tmp_path):
    normal = np.cross(TILT[:3], TILT[3:])
    write_series(tmp_path, cosines=TILT, places=[tuple(normal * 4.0 * n) for n in range(6)], **FLAIR)
    assert only(tmp_path).trouble == ""


def test_files_that_are_no_images_are_left_out(tmp_path):
    write_series(tmp_path, **FLAIR)
    (report, *_) = write_series(tmp_path / "more", slices=1)
    import pydicom

    header = pydicom.dcmread(report)
    del header.Rows, header.Columns, header.PixelData
    header.save_as(report)
    assert only(tmp_path).trouble == ""


@given(st.binary(max_size=64), st.integers(0, 1500), st.integers(0, 64))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_header_is_broken_or_a_series_and_never_an_error(tmp_path, noise, place, cut):
    (path, *_) = write_series(tmp_path, slices=1, **FLAIR)
    content = path.read_bytes()
    content = content[:132] + content[132:][:place] + noise + content[132:][place + cut :]
    path.write_bytes(content)
    found, broken = series_in([path])
    assert len(found) + len(broken) <= 1
    for series in found:
        assert series.name
        assert series.trouble
        assert series.modality[1]


@pytest.mark.parametrize("tag", ["EchoTime", "RepetitionTime", "InversionTime", "SeriesNumber", "ImagesInAcquisition"])
@pytest.mark.parametrize("value", ["", "-1", "0"])
def test_numbers_that_are_missing_or_absurd_are_as_if_they_were_not_said(tmp_path, tag, value):
    write_series(tmp_path, **FLAIR | {tag: value or None})
    series = only(tmp_path)
    assert series.trouble == ""
    assert series.doubts == ()
    assert AXIAL[0] == 1.0
