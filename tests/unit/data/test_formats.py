"""Scans in FreeSurfer's format, NRRD and MetaImage: the same voxels at the same place."""

import gzip
import sys
from contextlib import suppress

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmccd.data.cohort import read_cohort
from mmccd.data.formats import is_other_format, is_scan_name, stem
from mmccd.data.volumes import read_volume, write_volume
from mmccd.errors import ConfigError, DataError, MmccdError

COS, SIN = np.cos(0.2), np.sin(0.2)
OBLIQUE = np.array([[0, -COS, SIN, 30], [1, 0, 0, -40], [0, SIN, COS, 5], [0, 0, 0, 1]]) @ np.diag([2, 1.2, 3, 1])


@pytest.fixture
def scan(tmp_path):
    data = np.random.default_rng(0).integers(1, 900, (12, 10, 8)).astype(np.int16)
    image = nib.Nifti1Image(data, OBLIQUE)
    nib.save(image, tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


def other(scan, end):
    path = scan.with_name(f"other{end}")
    if end in (".mgz", ".mgh"):
        image = nib.load(scan)
        nib.save(nib.MGHImage(np.asarray(image.dataobj).astype(np.float32), image.affine), path)
    else:
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(scan)), str(path), useCompression=end == ".nrrd")
    return path


@pytest.mark.parametrize("end", [".mgz", ".mgh", ".nrrd", ".mha"])
def test_a_scan_in_another_format_is_the_same_scan(scan, end, tmp_path):
    known, found = read_volume(scan), read_volume(other(scan, end))
    np.testing.assert_array_equal(found.data, known.data)
    corner = [*np.array(known.data.shape) - 1, 1]
    np.testing.assert_allclose(found.affine @ corner, known.affine @ corner, atol=0.05)  # forms are orthogonal
    write_volume(tmp_path / "map.nii.gz", found.data, found)
    again = read_volume(tmp_path / "map.nii.gz")
    np.testing.assert_array_equal(again.data, found.data)
    np.testing.assert_allclose(again.affine, found.affine, atol=1e-4)


@pytest.mark.parametrize("end", [".mgz", ".nrrd", ".mha"])
def test_what_is_cut_short_or_claims_too_much_is_refused(scan, end, monkeypatch):
    path = other(scan, end)
    monkeypatch.setenv("MMCCD_MOST_VOXELS", "100")
    with pytest.raises(DataError, match="claims 960 voxels, allowed are 100"):
        read_volume(path)
    monkeypatch.delenv("MMCCD_MOST_VOXELS")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="cannot be read in full") as caught:
        read_volume(path)
    assert str(path.parent) not in caught.value.message
    for nothing in (b"no scan at all", b"", gzip.compress(b""), gzip.compress(content[::-1])):
        path.write_bytes(nothing)
        with pytest.raises(DataError, match=r"cannot be read in full|claims"):
            read_volume(path)


def test_names_of_scans():
    assert [stem(path) for path in map(__import__("pathlib").Path, ("a.nii.gz", "a.b.MGZ", "a.nrrd"))] == [
        "a",
        "a.b",
        "a",
    ]
    assert is_scan_name("x.Mha")
    assert not is_scan_name("x.png")
    assert is_other_format("x.mgz")
    assert not is_other_format("x.nii")


@pytest.mark.parametrize(("name", "whole"), [("a.nhdr", ".nrrd"), ("a.mhd", ".mha"), ("a.hdr", ".nii.gz")])
def test_a_header_alone_names_the_format_that_holds_both(tmp_path, name, whole):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match="nor a whole scan") as caught:
        read_volume(tmp_path / name)
    assert caught.value.hint == f"save it as one file, {whole}"


def test_a_cohort_may_have_any_of_them(scan, tmp_path):
    for subject, end in (("P1", ".mgz"), ("P2", ".nrrd")):
        folder = tmp_path / "cohort" / subject
        folder.mkdir(parents=True)
        other(scan, end).rename(folder / f"{subject}_flair{end}")
    assert [list(subject.images) for subject in read_cohort(tmp_path / "cohort").subjects] == [["flair"], ["flair"]]


def test_without_the_extra_the_way_is_named(scan, monkeypatch):
    path = other(scan, ".nrrd")
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(ConfigError, match=r"a scan that ends in \.nrrd needs SimpleITK") as caught:
        read_volume(path)
    assert "pip install 'mmccd[raw]'" in caught.value.hint


@given(st.binary(min_size=1, max_size=8), st.integers(0, 300))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_header_is_refused_or_read_and_never_an_error_of_another_kind(scan, noise, place):
    path = other(scan, ".mgh")
    content = path.read_bytes()
    path.write_bytes(content[:place] + noise + content[place + len(noise) :])
    with suppress(MmccdError):
        read_volume(path)
