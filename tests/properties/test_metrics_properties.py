import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mmccd.evaluation.metrics import Confusion, SurfaceDistances, auroc

SPACING_MM = st.floats(0.1, 10.0)


@st.composite
def mask_pairs(draw):
    shape = draw(array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=6))
    pair = [draw(arrays(bool, shape)) for _ in range(2)]
    return (*pair, tuple(draw(SPACING_MM) for _ in shape))


def by_brute_force(predicted, reference, spacing_mm):
    """Directed distances from the definition: all pairs of surface voxels, neighbours looked up one by one."""

    def surface(mask):
        padded = np.pad(mask, 1)
        steps = np.concatenate([np.eye(mask.ndim, dtype=int), -np.eye(mask.ndim, dtype=int)])
        return np.array(
            [v for v in np.argwhere(mask) if not all(padded[tuple(v + 1 + step)] for step in steps)]
        ).reshape(-1, mask.ndim)

    a, b = surface(predicted) * spacing_mm, surface(reference) * spacing_mm
    gaps = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=-1))
    return gaps.min(axis=1), gaps.min(axis=0)


@given(mask_pairs())
def test_dice_is_symmetric_and_between_0_and_1(pair):
    predicted, reference, _ = pair
    dice = Confusion.between(predicted, reference).dice

    np.testing.assert_equal(dice, Confusion.between(reference, predicted).dice)
    assert np.isnan(dice) == (not predicted.any() and not reference.any())
    assert np.isnan(dice) or 0 <= Confusion.between(predicted, reference).iou <= dice <= 1


@given(mask_pairs())
def test_distances_equal_brute_force(pair):
    predicted, reference, spacing_mm = pair
    found = SurfaceDistances.between(predicted, reference, spacing_mm=spacing_mm)
    if not (predicted.any() and reference.any()):
        np.testing.assert_equal(found.average_mm, np.inf if predicted.any() or reference.any() else np.nan)
        return

    there, back = by_brute_force(predicted, reference, spacing_mm)
    assert found.average_mm == pytest.approx((there.mean() + back.mean()) / 2, abs=1e-9)
    assert found.hausdorff95_mm == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), abs=1e-9)


@given(mask_pairs(), st.sampled_from([0.25, 2.0, 8.0]))
def test_distances_are_symmetric_and_scale_with_spacing(pair, factor):
    predicted, reference, spacing_mm = pair
    once = SurfaceDistances.between(predicted, reference, spacing_mm=spacing_mm)
    swapped = SurfaceDistances.between(reference, predicted, spacing_mm=spacing_mm)
    scaled = SurfaceDistances.between(predicted, reference, spacing_mm=[factor * size for size in spacing_mm])

    for name in ("average_mm", "hausdorff95_mm"):
        np.testing.assert_allclose(getattr(swapped, name), getattr(once, name), rtol=1e-12)
        np.testing.assert_allclose(getattr(scaled, name), factor * getattr(once, name), rtol=1e-12)


@given(arrays(bool, array_shapes(min_dims=2, max_dims=3, max_side=6)))
def test_a_mask_is_at_distance_0_from_itself(mask):
    found = SurfaceDistances.between(mask, mask, spacing_mm=[1.0] * mask.ndim)

    np.testing.assert_equal(found.average_mm, 0.0 if mask.any() else np.nan)


@given(arrays(bool, 12), arrays(np.int8, 12, elements=st.integers(-5, 5)))
def test_auroc_only_sees_the_order_and_flips_with_it(lesion, score):
    area = auroc(score, lesion)

    np.testing.assert_allclose(auroc(np.exp(score.astype(float)), lesion), area)
    np.testing.assert_allclose(auroc(-score.astype(float), lesion), 1 - area)
