"""What is said of a scan before its result is trusted: each check on a scan that has the fault, and on one without."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from mmccd.data.checks import (
    clipped,
    coarse,
    cut_off,
    not_stripped,
    odd_about_other,
    odd_about_scan,
    odd_contrast,
    padded,
    too_small,
)
from mmccd.data.volumes import brain_mask, new_volume, read_volume

DATA = Path(os.environ.get("MMCCD_DATA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.fixture
def tissue():
    """Intensities spread as in a T2 scan."""
    return np.random.default_rng(0).normal(600, 120, 20_000).clip(1).astype(np.float32)


def new_like(volume, data, sides_mm=(2.0, 2.0, 2.0)):
    return new_volume(np.ascontiguousarray(data, dtype=np.float32), np.diag([*sides_mm, 1.0]))


def said(volume, modality="flair"):
    return "; ".join(odd_about_scan(volume, volume.data > 0, modality))


@pytest.fixture
def fine(healthy_scan):
    """The phantom with voxels of 2 mm: each is cut in eight."""
    volume = read_volume(healthy_scan)
    return new_volume(np.kron(volume.data, np.ones((2, 2, 2), np.float32)), np.diag([2.0, 2.0, 2.0, 1.0]))


def test_an_ordinary_scan_has_no_warning(fine):
    assert odd_about_scan(fine, brain_mask(fine)) == ()
    assert odd_about_other("t1", fine, brain_mask(fine)) == ()


def test_all_faults_of_a_scan_are_named(healthy_scan):
    volume = read_volume(healthy_scan)
    flat = np.where(volume.data > 0, np.float32(7), np.float32(0))
    wide = new_volume(flat, np.diag([5.0, 5.0, 5.0, 1.0]))

    found = odd_about_scan(wide, wide.data > 0)

    assert [text.split(":")[0] for text in found] == [
        "axial pixels of 5.0 mm are coarse and slices are 5.0 mm thick", "not skull-stripped, or not well",
        "odd contrast",
    ]  # fmt: skip


def test_of_another_modality_only_what_is_its_own_is_said_with_its_name(fine):
    brain = brain_mask(fine)
    flat = new_volume(np.where(brain, np.float32(7), np.float32(0)), np.diag([5.0, 5.0, 5.0, 1.0]))

    (found,) = odd_about_other("t2", flat, brain)
    assert found == "t2: odd contrast: the brain has only 1 different intensities, as labels of tissue have"


def test_what_the_header_leaves_open_is_said_of_every_modality(fine):
    fine.header["qform_code"] = fine.header["sform_code"] = 0

    for found in (odd_about_scan(fine, brain_mask(fine)), odd_about_other("t1", fine, brain_mask(fine))):
        assert len(found) == 1
        assert "its orientation is a guess" in found[0]


@pytest.mark.parametrize(("edge", "said"), [(19, ""), (20, ""), (21, "2100 ml count as brain")])
def test_more_than_a_brain_is_not_stripped(edge, said):
    """Slabs of 20 x 20 voxels of 0.25 ml: 20 of them are 2,000 ml."""
    text = not_stripped(edge * 20 * 20 * 0.25)

    assert (said in text) if said else not text
    assert bool(text) == (edge == 21)


@pytest.mark.parametrize(("size_ml", "odd"), [(899.0, True), (900.0, False), (1400.0, False)])
def test_less_than_a_brain_is_doubted(size_ml, odd):
    assert bool(too_small(size_ml)) == odd
    assert not odd or "measures only 899 ml" in too_small(size_ml)


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

    assert clipped(np.minimum(tissue, 800 - tissue % 7)).endswith("% of the brain come within 1 % of the highest value")


def test_padding_is_one_value_in_much_of_the_brain(tissue):
    assert padded(tissue) == ""

    found = padded(np.append(tissue, np.full(5_000, 123.5, np.float32)))

    assert found == "20 % of what counts as brain hold the value 123.5: padding, or a mask that is too wide"


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


# --- the head ---


def with_skull(data):
    """Bone and scalp, with nothing left between."""
    far = distance_transform_edt(data == 0, sampling=2)
    scalp = np.quantile(data[data > 0], 0.9) * np.random.default_rng(0).normal(1.2, 0.1, data.shape)
    bone = np.random.default_rng(1).normal(20, 3, data.shape)
    return np.where((far > 6) & (far < 13), scalp, np.where((far > 0) & (far <= 6), bone, data))


@pytest.mark.parametrize(
    ("part", "side_mm", "why"),
    [
        (slice(None), 2.0, "ml count as brain"),
        (slice(None), 1.6, "as a skull has"),
        (slice(35, 50), 1.6, "as a skull has"),
        (slice(35, 50), 2.0, "cm2 of a slice count as brain"),
    ],
    ids=["a head", "a child's head", "a slab of it", "a slab"],
)
def test_a_skull_shows_where_the_volume_is_that_of_a_brain(fine, part, side_mm, why):
    head = new_like(fine, with_skull(fine.data)[:, :, part], [side_mm] * 3)

    found = said(head)

    assert "not skull-stripped, or not well" in found
    assert why in found
    assert "perhaps no" not in found  # of the contrast nothing follows


def test_a_slab_is_part_of_a_brain(fine):
    assert "the brain is only 36 mm high: the image covers part of it" in said(new_like(fine, fine.data[:, :, 36:54]))


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))), ids=str)
def test_axes_that_were_lost(fine, axes):
    """The header of each says that its axes are x, y and z."""
    found = said(new_like(fine, fine.data.transpose(axes)))

    assert ("the axes may be wrong" in found) == (axes[0] != 0)  # length for height does not show


@pytest.mark.parametrize(("radius", "odd"), [(2, False), (5, True)])
def test_a_hole_in_the_brain(fine, radius, odd):
    """A sphere of 10 mm has 4 ml, one of 4 mm a quarter of one."""
    centre = np.argwhere(fine.data > 0).mean(axis=0).round() + np.array([12, 0, 12])
    distance = np.sqrt(((np.indices(fine.data.shape).T - centre) ** 2).sum(axis=-1)).T

    found = said(new_like(fine, np.where(distance <= radius, 0, fine.data)))

    assert ("in which nothing is looked for: check the brain mask" in found) == odd


def test_grey_corners(fine):
    """What a registration fills the space beside the image with."""
    i, j, _ = np.indices(fine.data.shape)
    corner = ((i + j < 40) | (sum(fine.data.shape[:2]) - i - j < 40)) & (fine.data == 0)

    found = said(new_like(fine, np.where(corner, np.float32(150), fine.data)))

    assert "lie apart from the rest: padding" in found
    assert "hold the value 150: padding" in found
    assert "the axes" not in found


# --- patients ---


@pytest.mark.skipif(not DATA.is_dir(), reason="no real scans: set MMCCD_DATA")
def test_scans_of_patients_are_not_doubted_without_a_reason():
    """Every seventh; all of them were looked at, see the decision on odd scans."""
    scans = sorted((DATA / "brats128").glob("*/*_flair.nii.gz"))[::7]

    assert len(scans) > 3
    assert [said(read_volume(path)) for path in scans] == [""] * len(scans)
