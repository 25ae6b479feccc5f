import math

import numpy as np
import pytest
from skimage.morphology import disk, erosion

from mmccd.evaluation.measure import ExpertCase
from mmccd.evaluation.paper_protocol import (
    LesionSlice,
    largest_lesion_slice,
    paper_erosion,
    paper_metrics,
    paper_rows,
    slice_with_most_lesion,
)

SHAPE = (24, 24, 4)
BRAIN, LESION = np.zeros((2, *SHAPE), bool)
BRAIN[1:-1, 1:-1] = True
LESION[8:13, 8:12, 1:3] = True
LESION[8:13, 12, 2] = True  # slice 2 has the most


def test_paper_slice_is_the_one_with_the_most_lesion():
    score = np.random.default_rng(0).random(SHAPE).astype(np.float32)

    piece = largest_lesion_slice(ExpertCase("a", BRAIN, LESION, (1.0, 1.0, 1.0)), score)

    assert piece is not None
    assert piece.z == 2
    np.testing.assert_array_equal(piece.score, score[:, :, 2])
    np.testing.assert_array_equal(piece.brain, BRAIN[:, :, 2])
    np.testing.assert_array_equal(piece.lesion, LESION[:, :, 2])
    assert slice_with_most_lesion(LESION) == 2
    healthy = ExpertCase("a", BRAIN, np.zeros(SHAPE, bool), (1.0, 1.0, 1.0))
    assert largest_lesion_slice(healthy, score) is None


@pytest.mark.parametrize("factor", [1.0, 50.0, -1.0])
def test_paper_rows_by_hand(factor):
    brain, lesion = BRAIN[..., 0], LESION[..., 2]
    assert paper_erosion(brain)[lesion].all()
    # Scaled over both slices the lesions score 0.06 and 0.03, a false spot in b 0.02, and a rim that erosion removes 1.
    score = np.where(lesion, 0.06, 0.0)
    score[1, 1] = 1.0
    other = np.where(lesion, 0.03, 0.0)
    other[5, 5] = 0.02
    slices = [
        LesionSlice(name, 2, (factor * values + 7).astype(np.float32), brain, lesion)
        for name, values in (("a", score), ("b", other))
    ]

    rows, threshold = paper_rows(slices)

    if factor > 0:
        assert 0.019 <= threshold < 0.03
        assert [(row["case"], row["dice"], row["assd"]) for row in rows] == [("a", 1.0, 0.0), ("b", 1.0, 0.0)]
    else:
        assert all(row["dice"] < 0.3 for row in rows)


def test_paper_rows_without_contrast_or_slices():
    brain, lesion = BRAIN[..., 0], LESION[..., 2]
    rows, threshold = paper_rows([LesionSlice("a", 0, np.ones(brain.shape, np.float32), brain, lesion)])

    assert threshold == 0.0
    assert rows[0]["dice"] == 0.0
    assert math.isnan(rows[0]["assd"])
    rows, threshold = paper_rows([])
    assert rows == []
    assert math.isnan(threshold)


def test_erosion_equals_scikit_image():
    brain = np.random.default_rng(0).random((40, 50)) < 0.999
    brain[:, :3] = False

    np.testing.assert_array_equal(paper_erosion(brain), erosion(brain, disk(4)))


def test_paper_metrics_of_an_empty_prediction_are_undefined_not_a_crash():
    lesion = np.eye(12, dtype=bool)

    found = paper_metrics(np.zeros((12, 12)), lesion, np.ones((12, 12), bool), threshold=0.5)

    np.testing.assert_equal(
        found, {"dice": 0.0, "auc": 0.5, "jaccard": 0.0, "assd": math.nan, "sensitivity": 0.0, "precision": math.nan}
    )
