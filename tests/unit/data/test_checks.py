"""What is said of a scan before its result is trusted: each check on a scan that has the fault, and on one without."""

import numpy as np
import pytest

from mmccd.data.checks import (
    clipped,
    coarse,
    cut_off,
    not_stripped,
    odd_about_other,
    odd_about_scan,
    odd_contrast,
    too_small,
)
from mmccd.data.volumes import brain_mask, new_volume, read_volume


@pytest.fixture
def tissue():
    """Intensities spread as in a T2 scan."""
    return np.random.default_rng(0).normal(600, 120, 20_000).clip(1).astype(np.float32)


@pytest.fixture
def fine(healthy_scan):
    """The phantom with voxels of 2 mm: each is cut in eight."""
    volume = read_volume(healthy_scan)
    return new_volume(np.kron(volume.data, np.ones((2, 2, 2), np.float32)), np.diag([2.0, 2.0, 2.0, 1.0]))


def test_an_ordinary_scan_has_no_warning(fine):
    assert odd_about_scan(fine, brain_mask(fine)) == ()
    assert odd_about_other("t2", fine, brain_mask(fine)) == ()


def test_all_faults_of_a_scan_are_named(healthy_scan):
    volume = read_volume(healthy_scan)
    flat = np.where(volume.data > 0, np.float32(7), np.float32(0))
    wide = new_volume(np.pad(flat, 0), np.diag([5.0, 5.0, 5.0, 1.0]))

    found = odd_about_scan(wide, wide.data > 0)

    assert [text.split(":")[0] for text in found] == [
        "axial pixels of 5.0 mm are coarse and slices are 5.0 mm thick", "not skull-stripped, or not well",
        "odd contrast",
    ]  # fmt: skip


def test_of_another_modality_only_what_is_its_own_is_said_with_its_name(fine):
    brain = brain_mask(fine)
    flat = new_volume(np.where(brain, np.float32(7), np.float32(0)), np.diag([5.0, 5.0, 5.0, 1.0]))

    assert odd_about_other("t2", flat, brain) == ("t2: odd contrast: the brain has only 1 different intensities",)


def test_what_the_header_leaves_open_is_said_of_every_modality(fine):
    fine.header["qform_code"] = fine.header["sform_code"] = 0

    for found in (odd_about_scan(fine, brain_mask(fine)), odd_about_other("t2", fine, brain_mask(fine))):
        assert len(found) == 1
        assert "its orientation is a guess" in found[0]


@pytest.mark.parametrize(("edge", "said"), [(19, ""), (20, ""), (21, "2100 ml count as brain")])
def test_more_than_a_brain_is_not_stripped(edge, said):
    """Slabs of 20 x 20 voxels of 0.25 ml: 20 of them are 2,000 ml."""
    text = not_stripped(edge * 20 * 20 * 0.25)

    assert (said in text) if said else not text
    assert bool(text) == (edge == 21)


@pytest.mark.parametrize(("size_ml", "odd"), [(599.0, True), (600.0, False), (1400.0, False)])
def test_less_than_a_brain_is_doubted(size_ml, odd):
    assert bool(too_small(size_ml)) == odd
    assert not odd or "measures only 599 ml" in too_small(size_ml)


@pytest.mark.parametrize(
    ("spacing_mm", "said"),
    [
        ((3.0, 3.0, 3.0), ""),
        ((1.0, 3.1, 1.0), "axial pixels of 3.1 mm are coarse: small lesions are lost"),
        ((1.0, 1.0, 5.0), "slices are 5.0 mm thick: small lesions are lost"),
        ((4.0, 1.0, 5.0), "axial pixels of 4.0 mm are coarse and slices are 5.0 mm thick: small lesions are lost"),
    ],
)
def test_voxels_in_which_lesions_are_lost(spacing_mm, said):
    assert coarse(new_volume(np.ones((2, 2, 2), np.float32), np.diag([*spacing_mm, 1.0]))) == said


def test_a_brain_that_reaches_the_wall_is_cut_off_but_not_by_its_bottom():
    brain = np.zeros((10, 10, 10), dtype=bool)
    brain[2:8, 2:8, 0:8] = True
    assert cut_off(brain) == ""

    brain[2:8, 2:10, 2:10] = True

    assert cut_off(brain) == "the brain is cut off by the front, top of the image"


def test_clipping_is_many_voxels_at_the_highest_value(tissue):
    assert clipped(tissue) == ""

    assert clipped(np.minimum(tissue, 800)) == "clipped intensities: 4.7 % of the brain hold the highest value"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x, ""),
        (lambda x: x * 1e-3, ""),
        (lambda x: np.round(x / 100), "different intensities"),
        (lambda x: x**9, "99th percentile"),
        (lambda x: -x, "not above zero"),
        (lambda x: x + 1e6, "median is 1.00"),
    ],
)
def test_contrast_is_odd_where_no_scan_is_like_it(tissue, change, said):
    found = odd_contrast(change(tissue).astype(np.float32))

    assert (said in found) if said else found == ""
