import warnings

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from mmccd.errors import GridError
from mmccd.evaluation.metrics import (
    Confusion,
    Lesions,
    SurfaceDistances,
    auprc,
    auroc,
    average_surface_distance_mm,
    dice_at_thresholds,
    hausdorff95_mm,
)

NAN, INF = float("nan"), float("inf")
EMPTY, FULL = np.zeros((3, 4), bool), np.ones((3, 4), bool)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def random_masks(rng, shape):
    """Two blobs each, so that surfaces are not trivial."""
    masks = np.zeros((2, *shape), bool)
    for mask in masks:
        for _ in range(2):
            corner = [int(rng.integers(0, size - 3)) for size in shape]
            mask[tuple(slice(c, c + int(rng.integers(2, 8))) for c in corner)] = True
        mask &= rng.random(shape) < 0.9
    return masks


@pytest.mark.parametrize(
    ("predicted", "reference", "dice", "iou", "sensitivity", "precision", "distance_mm"),
    [
        (EMPTY, EMPTY, NAN, NAN, NAN, NAN, NAN),
        (EMPTY, FULL, 0.0, 0.0, 0.0, NAN, INF),
        (FULL, EMPTY, 0.0, 0.0, NAN, 0.0, INF),
        (FULL, FULL, 1.0, 1.0, 1.0, 1.0, 0.0),
    ],
)
def test_empty_and_full_masks(predicted, reference, dice, iou, sensitivity, precision, distance_mm):
    counts = Confusion.between(predicted, reference)
    found = (counts.dice, counts.iou, counts.sensitivity, counts.precision)
    spacing_mm = (1.0, 2.0)

    np.testing.assert_equal(found, (dice, iou, sensitivity, precision))
    np.testing.assert_equal(average_surface_distance_mm(predicted, reference, spacing_mm=spacing_mm), distance_mm)
    np.testing.assert_equal(hausdorff95_mm(predicted, reference, spacing_mm=spacing_mm), distance_mm)


def test_overlap_by_hand():
    counts = Confusion(true_positive=2, false_positive=1, false_negative=3)

    assert counts.dice == pytest.approx(4 / 8)
    assert counts.iou == pytest.approx(2 / 6)
    assert counts.sensitivity == pytest.approx(2 / 5)
    assert counts.precision == pytest.approx(2 / 3)


def test_overlap_equals_scikit_learn(rng):
    for _ in range(20):
        predicted, reference = rng.random((2, 50)) < 0.4
        counts = Confusion.between(predicted, reference)

        assert counts.dice == pytest.approx(f1_score(reference, predicted))
        assert counts.iou == pytest.approx(jaccard_score(reference, predicted))
        assert counts.sensitivity == pytest.approx(recall_score(reference, predicted))
        assert counts.precision == pytest.approx(precision_score(reference, predicted))


def test_areas_by_hand():
    score, lesion = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])

    assert auroc(score, lesion) == 0.75  # 3 of 4 pairs are in order
    assert auprc(score, lesion) == pytest.approx((1 / 1 + 2 / 3) / 2)


@pytest.mark.parametrize("lesion", [np.zeros(4, bool), np.ones(4, bool), np.zeros(0, bool)])
def test_areas_need_both_classes(lesion):
    score = np.zeros(lesion.size)

    assert np.isnan(auroc(score, lesion))
    assert np.isnan(auprc(score, lesion))


def test_two_pixels_two_millimetres_apart():
    predicted, reference = np.zeros((2, 5, 9), bool)
    predicted[2, 2] = reference[2, 6] = True

    assert average_surface_distance_mm(predicted, reference, spacing_mm=(3.0, 0.5)) == 2.0
    assert hausdorff95_mm(predicted, reference, spacing_mm=(3.0, 0.5)) == 2.0


def test_average_is_over_directions_and_not_over_pooled_surfaces():
    predicted, reference = np.zeros((2, 1, 9), bool)
    predicted[0, 0] = True
    reference[0, [0, 4, 8]] = True

    assert average_surface_distance_mm(predicted, reference, spacing_mm=(1, 1)) == (0 + (0 + 4 + 8) / 3) / 2
    assert hausdorff95_mm(predicted, reference, spacing_mm=(1, 1)) == pytest.approx(4 + 0.9 * 4)


def test_mask_at_the_image_border_has_a_surface_there():
    distances = SurfaceDistances.between(np.ones((4, 4), bool), np.ones((4, 4), bool), spacing_mm=(1, 1))

    assert distances.from_predicted_mm.size == 12


def test_a_full_mask_beside_a_far_one_is_cropped_without_effect(rng):
    predicted, reference = random_masks(rng, (12, 13, 11))
    padded = [np.pad(mask, ((9, 2), (0, 5), (30, 1))) for mask in (predicted, reference)]

    alone = SurfaceDistances.between(predicted, reference, spacing_mm=(1, 2, 3))
    inside = SurfaceDistances.between(*padded, spacing_mm=(1, 2, 3))

    assert alone.average_mm == inside.average_mm
    assert alone.hausdorff95_mm == inside.hausdorff95_mm


@pytest.mark.parametrize("spacing_mm", [(1.0,), (1.0, 1.0, 1.0), (1.0, 0.0), (1.0, -1.0), (1.0, NAN), (1.0, INF)])
def test_spacing_that_does_not_fit_is_refused(spacing_mm):
    with pytest.raises(GridError, match="does not fit masks with 2 axes"):
        average_surface_distance_mm(FULL, FULL, spacing_mm=spacing_mm)


@pytest.mark.parametrize("function", [average_surface_distance_mm, hausdorff95_mm])
def test_shapes_that_differ_are_refused(function):
    with pytest.raises(GridError, match=r"shapes \(3, 4\) and \(4, 3\)"):
        function(FULL, FULL.T, spacing_mm=(1, 1))
    with pytest.raises(GridError, match="shapes"):
        Confusion.between(FULL, FULL.T)


@pytest.mark.parametrize(("shape", "spacing_mm"), [((24, 20), (1.0, 3.0)), ((14, 12, 10), (1.0, 1.5, 3.0))])
def test_distances_equal_monai(rng, shape, spacing_mm):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI warns about its own deprecated calls
        from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

        for _ in range(10):
            pair = random_masks(rng, shape)
            a, b = (mask[None, None].astype(np.float32) for mask in pair)
            options = {"include_background": True, "spacing": list(spacing_mm)}
            directed = [float(compute_average_surface_distance(x, y, **options)) for x, y in ((a, b), (b, a))]
            hausdorff = float(compute_hausdorff_distance(a, b, percentile=95, **options))

            assert average_surface_distance_mm(*pair, spacing_mm=spacing_mm) == pytest.approx(
                np.mean(directed), rel=1e-5
            )
            assert hausdorff95_mm(*pair, spacing_mm=spacing_mm) == pytest.approx(hausdorff, rel=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("values", [3, 50, 10_000_000])
def test_areas_equal_scikit_learn(rng, dtype, values):
    """With many equal scores, with some, and with none."""
    lesion = rng.random(5000) < 0.03
    score = (rng.integers(0, values, lesion.size) / values + 0.3 * lesion).astype(dtype)

    assert auroc(score, lesion) == pytest.approx(roc_auc_score(lesion, score), rel=1e-12)
    assert auprc(score, lesion) == pytest.approx(average_precision_score(lesion, score), rel=1e-12)


def test_dice_at_thresholds_equals_thresholding(rng):
    score, lesion = rng.integers(0, 10, 80) / 10, rng.random(80) < 0.5
    thresholds = np.array([-1.0, 0.0, 0.3, 0.35, 0.9, 2.0])

    expected = [Confusion.between(score > threshold, lesion).dice for threshold in thresholds]
    np.testing.assert_allclose(dice_at_thresholds(thresholds, score, lesion), expected)


def test_lesions_have_a_size_and_are_found_where_they_are_touched():
    lesion = np.array([[1, 0, 0, 0, 0, 1, 1], [0, 1, 0, 0, 0, 0, 0]], bool)  # two that touch at a corner are one
    predicted = np.array([[0, 0, 0, 1, 0, 0, 1], [0, 0, 0, 1, 0, 0, 1]], bool)

    found = Lesions.between(predicted, lesion)

    assert found.voxels.tolist() == [2, 2]
    assert found.found.tolist() == [False, True]
    assert found.false_pieces == 1
    assert found.f1 == pytest.approx(1 / 2)


def test_lesions_of_empty_masks_are_none():
    found = Lesions.between(EMPTY, EMPTY)

    assert found.voxels.size == found.found.size == found.false_pieces == 0
    assert np.isnan(found.f1)
    assert Lesions.between(FULL, EMPTY).false_pieces == 1
    assert Lesions.between(EMPTY, FULL).found.tolist() == [False]


def test_lesions_need_one_grid():
    with pytest.raises(GridError, match="shapes"):
        Lesions.between(EMPTY, EMPTY.T)
