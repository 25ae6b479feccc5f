"""One case, one map, one threshold: the row of a table that comes of them."""

import math

import numpy as np
import pytest

from mmccd.evaluation.measure import ExpertCase, Scored, measure

SHAPE = (10, 10, 4)
BRAIN, LESION = np.zeros((2, *SHAPE), bool)
BRAIN[1:-1, 1:-1] = True
LESION[2:6, 2:6, 1:3] = True
CASE = ExpertCase("a", BRAIN, LESION, (1.0, 2.0, 3.0))
HEALTHY = ExpertCase("b", BRAIN, np.zeros(SHAPE, bool), (1.0, 2.0, 3.0))


def test_an_expert_case_knows_its_voxels_and_whether_it_has_a_lesion():
    assert CASE.voxel_ml == pytest.approx(0.006)
    assert CASE.has_lesion
    assert not HEALTHY.has_lesion


def test_a_map_is_cut_above_its_threshold_and_inside_the_brain():
    score = np.random.default_rng(0).integers(0, 5, SHAPE).astype(np.float32)

    scored = Scored.cut("m", CASE, score, 2.0)

    assert (scored.method, scored.threshold) == ("m", 2.0)
    np.testing.assert_array_equal(scored.score, score)
    np.testing.assert_array_equal(scored.marked, BRAIN & (score > 2))
    assert (score[scored.marked] == 3).any()
    assert (score[BRAIN & ~scored.marked] == 2).any()


def test_a_perfect_map():
    row = measure(CASE, Scored.cut("m", CASE, LESION.astype(np.float32), 0.5))

    assert (row["case"], row["method"], row["threshold"]) == ("a", "m", 0.5)
    for name in ("dice", "iou", "sensitivity", "precision", "lesion_f1", "auroc", "auprc"):
        assert row[name] == 1, name
    assert row["assd_mm"] == row["hd95_mm"] == 0
    assert row["lesion_ml"] == row["predicted_ml"] == pytest.approx(32 * 0.006)


def test_known_numbers_of_an_imperfect_map():
    """Moved by a voxel of 2 mm to the front, and a false spot beside it."""
    score = np.roll(LESION, 1, axis=1).astype(np.float32)
    score[8, 8, 0] = 1

    row = measure(CASE, Scored.cut("m", CASE, score, 0.5))

    assert row["dice"] == pytest.approx(2 * 24 / (32 + 33))
    assert row["iou"] == pytest.approx(24 / 41)
    assert (row["sensitivity"], row["precision"]) == (pytest.approx(24 / 32), pytest.approx(24 / 33))
    assert row["lesion_f1"] == pytest.approx(2 / 3)  # the lesion is found, one piece is false
    assert row["predicted_ml"] == pytest.approx(33 * 0.006)
    assert 0 < row["assd_mm"] < row["hd95_mm"]


def test_masks_count_over_the_volume_and_areas_over_the_brain():
    """A lesion outside the brain is missed; a mark that was made outside it, were it high, is no brain voxel."""
    lesion = LESION.copy()
    lesion[0, :4, 0] = True
    case = ExpertCase("a", BRAIN, lesion, (1.0, 1.0, 1.0))
    score = LESION.astype(np.float32)
    score[~BRAIN] = 9

    row = measure(case, Scored("m", score, 0.5, LESION))

    assert row["sensitivity"] == pytest.approx(32 / 36)
    assert row["auroc"] == row["auprc"] == 1


def test_what_is_undefined_is_not_a_number():
    row = measure(HEALTHY, Scored.cut("m", HEALTHY, np.zeros(SHAPE, np.float32), 0.5))

    for name in ("dice", "iou", "sensitivity", "precision", "lesion_f1", "assd_mm", "hd95_mm", "auroc", "auprc"):
        assert math.isnan(row[name]), name
    assert row["lesion_ml"] == row["predicted_ml"] == 0
