"""What of a store is healthy."""

import numpy as np
import pytest
from scipy.spatial import KDTree

from mmccd.data.healthy import HealthyTissue
from mmccd.data.store import Store

SPACING_MM = (4.0, 5.0, 5.0)


class Validated(Store):
    """The glioma and the MS patient of the phantom are validation subjects."""

    @property
    def index(self):
        return super().index.assign(split="validation")


@pytest.fixture
def store(phantom_store):
    return Validated(phantom_store.path, phantom_store.manifest)


def test_whole_slices_are_those_without_a_lesion(store):
    tissue = HealthyTissue(store)
    rows = tissue.rows("validation")
    np.testing.assert_array_equal(rows, store.rows("validation", healthy=True))
    assert 0 < len(rows) < len(store.index)
    assert tissue.mask(rows).all()


@pytest.mark.parametrize("margin_mm", [0, 7, 13.5])
def test_regions_are_all_that_is_farther_from_a_lesion_than_the_margin(store, margin_mm):
    """In all three directions: from every voxel to the nearest one of the lesion."""
    tissue = HealthyTissue(store, margin_mm)
    for subject, scan in store.index.groupby("subject"):
        rows = scan.index.to_numpy()
        lesion = np.asarray(store.array("lesion")[rows])
        places = np.argwhere(np.ones_like(lesion)) * SPACING_MM
        far = np.ones(lesion.shape, bool)
        if lesion.any():
            nearest_mm, _ = KDTree(np.argwhere(lesion) * SPACING_MM).query(places)
            far = (nearest_mm > margin_mm).reshape(lesion.shape)
        np.testing.assert_array_equal(tissue.mask(rows), far, err_msg=str(subject))
        np.testing.assert_array_equal(tissue.mask(rows[::-3]), far[::-3])


def test_rows_of_regions_hold_healthy_brain(store):
    tissue, brain = HealthyTissue(store, 13), store.array("brain")
    rows = tissue.rows("validation")
    held = [bool((brain[row] & tissue.mask(np.array([row]))).any()) for row in range(len(store.index))]
    np.testing.assert_array_equal(rows, np.flatnonzero(held))
    assert len(rows) > len(store.rows("validation", healthy=True))
    assert HealthyTissue(store, 1000).rows("validation").size == len(store.rows("validation", healthy=True)) - sum(
        int(scan["healthy"].sum()) for _, scan in store.index.groupby("subject") if not scan["healthy"].all()
    )


def test_without_a_lesion_mask_all_of_the_brain_is_healthy(phantom_store):
    tissue = HealthyTissue(phantom_store, 13)
    rows = phantom_store.rows("train")
    assert phantom_store.index["healthy"].iloc[rows].all()
    np.testing.assert_array_equal(tissue.rows("train"), rows)
    assert tissue.mask(rows).all()


@pytest.mark.parametrize("margin_mm", [None, 13])
def test_how_much_of_the_brain_is_seen_at_each_height(store, margin_mm):
    tissue = HealthyTissue(store, margin_mm)
    seen = tissue.seen_by_height("validation")
    assert len(seen) == 10
    assert all(0 <= share <= 1 for share in seen)
    brain = np.asarray(store.array("brain"))
    rows = tissue.rows("validation")
    healthy = (brain[rows] & tissue.mask(rows)).sum()
    assert healthy / brain.sum() < 1
    by_hand = np.zeros((2, 10))
    for _, scan in store.index.groupby("subject"):
        for place, row in enumerate(scan.index):
            part = tissue.mask(np.array([row]))[0] if row in rows else np.zeros_like(brain[row])
            by_hand[:, place * 10 // len(scan)] += (brain[row] & part).sum(), brain[row].sum()
    assert seen == pytest.approx(by_hand[0] / by_hand[1], abs=0.001)


def test_without_lesions_all_of_the_brain_is_seen(phantom_store):
    assert HealthyTissue(phantom_store).seen_by_height("train") == (1.0,) * 10
