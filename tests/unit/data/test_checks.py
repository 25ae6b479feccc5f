"""What is said of a scan before its result is trusted: each check on a scan that has the fault, and on one without."""

import numpy as np
import pytest

from mmccd.data.checks import clipped, cut_off, not_stripped, odd_contrast, quality_warnings
from mmccd.data.volumes import brain_mask, new_volume, read_volume


@pytest.fixture
def tissue():
    """Intensities spread as in a T2 scan."""
    return np.random.default_rng(0).normal(600, 120, 20_000).clip(1).astype(np.float32)


def test_an_ordinary_scan_has_no_warning(healthy_scan):
    volume = read_volume(healthy_scan)

    assert quality_warnings(volume, brain_mask(volume)) == ()


def test_all_faults_of_a_scan_are_named(healthy_scan):
    volume = read_volume(healthy_scan)
    flat = np.where(volume.data > 0, np.float32(7), np.float32(0))
    wide = new_volume(np.pad(flat, 0), np.diag([5.0, 5.0, 5.0, 1.0]))

    found = quality_warnings(wide, wide.data > 0)

    assert [text.split(":")[0] for text in found] == ["not skull-stripped, or not well", "odd contrast"]


@pytest.mark.parametrize(("edge", "said"), [(19, ""), (20, ""), (21, "9 ml"[1:])])
def test_more_than_a_brain_is_not_stripped(edge, said):
    """Cubes of 20 voxels a side, 8 ml voxels: 8,000 voxels of 0.25 ml are 2,000 ml."""
    text = not_stripped(np.ones((edge, 20, 20), dtype=bool), 0.25)

    assert (said in text) if said else not text
    assert bool(text) == (edge == 21)


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
