"""Clear cases of another modality than the expected one, and of an inverted contrast."""

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, distance_transform_edt

from mmccd.data.contrast import cortex_brightness, fluid_stretch, odd_for_modality, surface_brightness
from mmccd.data.head import Head
from mmccd.data.volumes import new_volume, read_volume


def new_like(volume, data):
    return new_volume(np.ascontiguousarray(data, dtype=np.float32), volume.affine)


def said(volume, modality="flair"):
    brain = volume.data > 0
    return "; ".join(odd_for_modality(Head.of(volume, brain), volume.data[brain], modality))


@pytest.fixture
def fine(healthy_scan):
    """The phantom with voxels of 2 mm: each is cut in eight."""
    volume = read_volume(healthy_scan)
    return new_volume(np.kron(volume.data, np.ones((2, 2, 2), np.float32)), np.diag([2.0, 2.0, 2.0, 1.0]))


def test_fluid_stretches_to_its_own_side():
    tissue = np.full(80, 100.0)
    assert fluid_stretch(np.append(tissue, np.full(20, 300.0))) == pytest.approx(3.0)
    assert fluid_stretch(np.append(tissue, np.full(20, 25.0))) == pytest.approx(0.25**0.7)
    assert np.isnan(fluid_stretch(np.append(tissue, np.full(20, -1.0))))


def test_without_a_scale_nothing_is_said(fine):
    dark = new_like(fine, np.where(fine.data > 0, -1, 0))
    head = Head.of(dark, fine.data > 0)

    assert np.isnan(cortex_brightness(head))
    assert np.isnan(surface_brightness(head))
    assert odd_for_modality(head, dark.data[fine.data > 0], "flair") == ()


@pytest.fixture(scope="module")
def of_modality(phantom_folder):
    """A function that reads a modality of the phantom."""
    case = next(path for path in sorted(phantom_folder.iterdir()) if path.is_dir())
    return lambda name: read_volume(case / f"{case.name}_{name}.nii.gz")


@pytest.mark.parametrize("taken_for", ["flair", "t1", "t2", "t1ce", ""])
@pytest.mark.parametrize("given", ["flair", "t1", "t2"])
def test_another_modality_where_it_is_clear(of_modality, given, taken_for):
    """T2 and T1 are told from each other, dark fluid from T2, T1 from FLAIR; one of these scans is no rule."""
    found = said(of_modality(given), taken_for)

    clear = {("t1", "flair"), ("t2", "t1"), ("flair", "t2"), ("t1", "t2"), ("t2", "flair")}
    if (given, taken_for) not in clear:
        assert "perhaps no" not in found
    elif (given, taken_for) in {("t2", "t1"), ("flair", "t2"), ("t1", "t2")}:
        assert f"perhaps no {taken_for.upper()}: fluid looks" in found


def test_white_matter_is_brighter_than_the_cortex_in_t1(fine):
    depth = distance_transform_edt(fine.data > 0, sampling=2)
    like_t1 = np.where(depth > 10, 300, 240) + np.random.default_rng(0).normal(0, 20, depth.shape)

    found = said(new_like(fine, np.where(depth > 0, like_t1, 0)))

    assert "perhaps no FLAIR: the cortex is darker than white matter, as in T1 (0.8" in found


@pytest.mark.parametrize("modality", ["flair", "t1"])
def test_an_inverted_contrast_has_a_bright_surface(fine, modality):
    rim = (fine.data > 0) & ~binary_erosion(fine.data > 0)
    dark = np.where(rim, fine.data * 0.6, fine.data)

    assert "perhaps no" not in said(new_like(fine, dark), modality)
    assert "contrast is inverted" in said(new_like(fine, np.where(dark > 0, dark.max() * 1.1 - dark, 0)), modality)
