"""The slices of one scan as a store holds them, and the settings that decide on them."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmccd.data.cohort import Subject
from mmccd.data.grid import ModelGrid
from mmccd.data.slices import StoreSettings, slices_of
from mmccd.data.subject import Case
from mmccd.data.volumes import new_volume
from mmccd.errors import ConfigError, DataError
from mmccd.method.intensity import normalise


@pytest.fixture(scope="module")
def paper_case():
    """240 x 240 x 155 voxels of 1 mm, as in BraTS; the brain reaches from slice 40 to 94, the lesion is one voxel."""
    shape = (240, 240, 155)
    brain = np.zeros(shape, bool)
    brain[60:180, 40:200, 40:95] = True
    rng = np.random.default_rng(0)
    images = {}
    for name in ("flair", "t2"):
        scan = np.zeros(shape, np.float32)
        scan[brain] = rng.gamma(9, 10, int(brain.sum())) + 1
        images[name] = new_volume(scan, np.eye(4))
    lesion = np.zeros(shape, bool)
    lesion[100, 100, 75] = True
    return Case(Subject("S", {}), images, brain, lesion)


def test_paper_slices_takes_slices_70_to_89_and_resizes_by_area(paper_case):
    table, arrays = slices_of(paper_case, StoreSettings("paper-slices", 128, ("flair", "t2")))
    assert list(table["slice"]) == list(range(70, 90))
    for name in ("flair", "t2"):
        scan = normalise(paper_case.images[name].data, paper_case.brain)
        slices = torch.from_numpy(scan).permute(2, 0, 1)[70:90, None]
        expected = F.interpolate(slices, size=(128, 128), mode="area")[:, 0].numpy()
        assert arrays[name].dtype == np.float16
        np.testing.assert_allclose(arrays[name], expected, atol=4e-3)  # half a unit of float16 below 8
    assert arrays["brain"][0].sum() * 1.875**2 <= 120 * 160 * 1.02


def test_health_is_judged_before_small_lesions_vanish(paper_case):
    table, arrays = slices_of(paper_case, StoreSettings("paper-slices", 128, ("flair",)))
    assert not arrays["lesion"].any()
    assert (table["lesion_px"] == 0).all()
    assert list(table["slice"][~table["healthy"]]) == [75]


def test_paper_slices_refuses_another_field_of_view(paper_case):
    volume = new_volume(np.ones((200, 240, 155), np.float32), np.eye(4))
    case = Case(Subject("S", {}), {"flair": volume}, volume.data > 0, None)
    with pytest.raises(DataError, match="S measures 200 x 240 mm with 155 axial slices") as caught:
        slices_of(case, StoreSettings("paper-slices", 128, ("flair",)))
    assert "--protocol volume" in caught.value.hint


@pytest.mark.parametrize(
    ("protocol", "where"),
    [("paper-slices", np.s_[100:140, 100:140, :60]), ("volume", np.s_[100:101, 100:101, 75:76])],
    ids=["below its slices", "less than half a pixel"],
)
def test_a_scan_without_brain_on_the_grid_is_refused(paper_case, protocol, where):
    brain = np.zeros_like(paper_case.brain)
    brain[where] = True
    case = dataclasses.replace(paper_case, brain=brain)
    with pytest.raises(DataError, match=f"no slice of S that the protocol {protocol} takes has brain on a grid"):
        slices_of(case, StoreSettings(protocol, 48, ("flair",)))


def test_volume_protocol_takes_every_slice_with_brain(paper_case):
    table, arrays = slices_of(paper_case, StoreSettings("volume", 48, ("flair",)))
    assert list(table["slice"]) == list(range(40, 95))
    assert set(arrays) == {"brain", "lesion", "flair"}


def test_a_voxel_that_float16_cannot_hold_is_refused(paper_case):
    scan = paper_case.images["flair"].data.copy()
    scan[100, 100, 75] = 1e8
    case = dataclasses.replace(paper_case, images={"flair": new_volume(scan, np.eye(4))})
    with pytest.raises(DataError, match=r"has voxels of up to 1e\+08, allowed: 10,000 times"):
        slices_of(case, StoreSettings("paper-slices", 128, ("flair",)))


def test_a_subject_without_a_lesion_mask_is_healthy_throughout(paper_case):
    table, arrays = slices_of(dataclasses.replace(paper_case, lesion=None), StoreSettings("volume", 48, ("flair",)))
    assert table["healthy"].all()
    assert not arrays["lesion"].any()


def test_rows_say_whose_slices_they_are_and_how_far_apart(paper_case):
    table, arrays = slices_of(paper_case, StoreSettings("volume", 48, ("flair",)))
    assert set(table["subject"]) == {"S"}
    np.testing.assert_array_equal(table["brain_px"], arrays["brain"].sum(axis=(1, 2)))
    assert (table[["spacing_x_mm", "spacing_y_mm", "spacing_z_mm"]] == 1.0).all(axis=None)


# --- settings ---


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("all", 128, ("flair",)), "protocol is 'all'"),
        (("paper", 128, ("flair",)), "protocol is 'paper'"),
        (("volume", 100, ("flair",)), "size_px is 100, expected a multiple of 16 from 32 to 512"),
        (("volume", 16, ("flair",)), "size_px is 16"),
        (("volume", 1024, ("flair",)), "size_px is 1024"),
        (("volume", 128, ()), "no modality"),
    ],
)
def test_settings_that_cannot_work(settings, message):
    with pytest.raises(ConfigError, match=message):
        StoreSettings(*settings)
    assert StoreSettings("paper-slices", 128, ("flair",)).pixel_mm == 1.875


def test_the_old_name_of_the_protocol_is_read_as_todays():
    assert StoreSettings("published", 128, ("flair",)) == StoreSettings("paper-slices", 128, ("flair",))


def test_settings_say_what_is_stored_on_which_grid():
    settings = StoreSettings("volume", 64, ("flair", "t2"))
    assert settings.grid == ModelGrid("volume", 64, 3.75)
    assert settings.arrays == [("flair", np.float16), ("t2", np.float16), ("brain", bool), ("lesion", bool)]
