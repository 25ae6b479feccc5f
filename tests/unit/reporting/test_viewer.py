"""What the viewer is given: the brain alone, where it lies, within the budget."""

import base64
import gzip

import nibabel as nib
import numpy as np
import pytest

from mmccd.reporting.viewer import COARSEST_MM, embed, windowed

AFFINE = np.array([[1.0, 0, 0, -20], [0, 1.0, 0, -30], [0, 0, 1.0, -10], [0, 0, 0, 1]])


def read(text):
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


@pytest.fixture
def volumes():
    """A face of 999 in front of a brain of about 100, an anomaly in it and the expert's outline."""
    random = np.random.default_rng(0)
    scan = np.full((40, 60, 30), 999, dtype=np.float32)
    brain = np.zeros(scan.shape, dtype=bool)
    brain[6:34, 5:45, 3:27] = True
    scan[brain] = random.normal(100, 10, brain.sum())
    anomaly = np.zeros_like(scan)
    anomaly[20:26, 30:36, 10:16] = 6.0
    return {"scan": scan, "brain": brain, "anomaly": anomaly, "expert": anomaly > 3}


def embedded(volumes, budget=10**7, **changes):
    values = volumes | changes
    return embed(values["anomaly"], AFFINE, scan=values["scan"], brain=values["brain"], expert=values["expert"],
                 threshold=2.0, budget=budget)  # fmt: skip


def test_no_voxel_outside_the_brain_is_stored(volumes):
    image = read(embedded(volumes).scan)
    stored = np.asarray(image.dataobj)

    assert stored.shape == (30, 42, 26)  # the brain and one voxel around it
    assert image.get_data_dtype() == np.uint8
    assert int((stored > 0).sum()) == int(volumes["brain"].sum())
    blank = embedded(volumes, scan=np.where(volumes["brain"], volumes["scan"], 0))
    assert blank.scan == embedded(volumes).scan


@pytest.mark.parametrize("budget", [10**7, 12_000, 4_000])
def test_a_finding_lies_where_it_lies_at_any_size(volumes, budget):
    found = embedded(volumes, budget)
    image = read(found.anomaly)
    values = image.get_fdata()

    centre = (np.argwhere(values > 3) @ image.affine[:3, :3].T + image.affine[:3, 3]).mean(axis=0)

    np.testing.assert_allclose(centre, [2.5, 2.5, 2.5], atol=found.voxel_mm / 2)
    assert found.size <= budget
    assert values.max() == pytest.approx(6.0, rel=0.35 if budget < 10**7 else 0.01)
    assert (read(found.expert).get_fdata() > 0).sum() * found.voxel_mm**3 == pytest.approx(216, rel=0.7)


def test_smaller_budgets_give_coarser_voxels_down_to_the_coarsest_that_there_is(volumes):
    sizes = [embedded(volumes, budget) for budget in (10**7, 12_000, 4_000, 100)]

    assert sizes[0].voxel_mm == 1.0
    assert sizes[1].voxel_mm < sizes[2].voxel_mm
    assert sizes[3].voxel_mm == COARSEST_MM
    assert sizes[3].size > 100


def test_without_a_scan_the_map_is_alone(volumes):
    found = embedded(volumes, scan=None, expert=None)

    assert (found.scan, found.expert) == ("", "")
    assert read(found.anomaly).get_fdata().max() > 0


def test_grey_levels_leave_0_to_what_is_outside():
    brain = np.array([[[True, True, True, False]]])

    assert windowed(np.array([[[-5.0, 50.0, 100.0, 900.0]]]), brain).tolist() == [[[1, 129, 255, 0]]]
