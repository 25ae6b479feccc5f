"""Every metric beside the plainest program that its definition allows, on 500 random small masks; and beside MONAI."""

import itertools
import math

import numpy as np
import pytest
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
)

from mmccd.evaluation.metrics import Confusion, SurfaceDistances, auprc, auroc, lesion_f1

MASKS = 500
EXACT = 1e-9


def random_cases():
    """Two masks of 2 or 3 axes with up to 7 voxels each, a score with many ties, and a voxel size."""
    generator = np.random.default_rng(20260101)
    for _ in range(MASKS):
        shape = tuple(generator.integers(1, 8, size=generator.integers(2, 4)))
        densities = generator.choice([0.0, 0.1, 0.3, 0.7, 1.0], 2, p=[0.06, 0.3, 0.3, 0.3, 0.04])
        predicted, reference = (generator.random(shape) < density for density in densities)
        score = generator.integers(-3, 4, shape).astype(np.float32) + generator.choice([0, 0.5]) * predicted
        yield predicted, reference, score, tuple(generator.uniform(0.3, 5, len(shape)))


CASES = list(random_cases())


def ratio(part, whole):
    return part / whole if whole else math.nan


def voxels(mask):
    return [tuple(int(i) for i in voxel) for voxel in np.argwhere(mask)]


def plain_overlap(predicted, reference):
    a, b = set(voxels(predicted)), set(voxels(reference))
    return {
        "dice": ratio(2 * len(a & b), len(a) + len(b)),
        "iou": ratio(len(a & b), len(a | b)),
        "sensitivity": ratio(len(a & b), len(b)),
        "precision": ratio(len(a & b), len(a)),
    }


def plain_auroc(score, lesion):
    """Share of pairs of a lesion voxel and another one in which the lesion has the higher score; ties are half."""
    inside, outside = score[lesion].tolist(), score[~lesion].tolist()
    wins = sum((a > b) + (a == b) / 2 for a in inside for b in outside)
    return ratio(wins, len(inside) * len(outside))


def plain_auprc(score, lesion):
    """Precision at each threshold, weighted by the recall that is gained there."""
    if lesion.all() or not lesion.any():
        return math.nan
    area = recall = 0.0
    for threshold in sorted(set(score.tolist()), reverse=True):
        marked = score >= threshold
        hits = int((marked & lesion).sum())
        area += (hits / int(lesion.sum()) - recall) * hits / int(marked.sum())
        recall = hits / int(lesion.sum())
    return area


def plain_pieces(mask):
    """Connected sets of voxels, by walking over faces, edges and corners."""
    left, pieces = set(voxels(mask)), []
    while left:
        piece, front = set(), {left.pop()}
        while front:
            piece |= front
            around = {
                tuple(i + step for i, step in zip(voxel, steps, strict=True))
                for voxel in front
                for steps in itertools.product((-1, 0, 1), repeat=mask.ndim)
            }
            front = around & left
            left -= front
        pieces.append(piece)
    return pieces


def plain_lesion_f1(predicted, lesion):
    lesions, pieces = plain_pieces(lesion), plain_pieces(predicted)
    marked, true = set(voxels(predicted)), set(voxels(lesion))
    found = sum(bool(piece & marked) for piece in lesions)
    false = sum(not piece & true for piece in pieces)
    return ratio(2 * found, 2 * found + false + len(lesions) - found)


def plain_distances(predicted, reference, spacing_mm):
    def surface(mask):
        inside = set(voxels(mask))
        steps = [step for step in itertools.product((-1, 0, 1), repeat=mask.ndim) if sum(map(abs, step)) == 1]
        return [
            voxel
            for voxel in inside
            if any(tuple(i + s for i, s in zip(voxel, step, strict=True)) not in inside for step in steps)
        ]

    def apart(a, b):
        return math.sqrt(sum(((i - j) * mm) ** 2 for i, j, mm in zip(a, b, spacing_mm, strict=True)))

    ends = surface(predicted), surface(reference)
    return [[min(apart(a, b) for b in theirs) for a in ours] for ours, theirs in (ends, ends[::-1])]


def plain_percentile(values, share):
    values = sorted(values)
    position = share * (len(values) - 1)
    low = math.floor(position)
    high = min(low + 1, len(values) - 1)
    return values[low] + (position - low) * (values[high] - values[low])


def test_overlap():
    for predicted, reference, _, _ in CASES:
        found = Confusion.between(predicted, reference)
        for name, expected in plain_overlap(predicted, reference).items():
            assert getattr(found, name) == pytest.approx(expected, abs=EXACT, nan_ok=True)


@pytest.mark.parametrize(("ours", "plain"), [(auroc, plain_auroc), (auprc, plain_auprc)])
def test_areas(ours, plain):
    for _, reference, score, _ in CASES:
        found = ours(score.ravel(), reference.ravel())
        assert found == pytest.approx(plain(score.ravel(), reference.ravel()), abs=EXACT, nan_ok=True)


def test_lesion_f1():
    for predicted, reference, _, _ in CASES:
        assert lesion_f1(predicted, reference) == pytest.approx(
            plain_lesion_f1(predicted, reference), abs=EXACT, nan_ok=True
        )


def test_distances():
    measured = 0
    for predicted, reference, _, spacing_mm in CASES:
        found = SurfaceDistances.between(predicted, reference, spacing_mm=spacing_mm)
        if not (predicted.any() and reference.any()):
            expected = math.inf if predicted.any() or reference.any() else math.nan
            np.testing.assert_equal((found.average_mm, found.hausdorff95_mm), (expected, expected))
            continue
        measured += 1
        there, back = plain_distances(predicted, reference, spacing_mm)
        assert found.average_mm == pytest.approx((np.mean(there) + np.mean(back)) / 2, abs=EXACT)
        assert found.hausdorff95_mm == pytest.approx(
            max(plain_percentile(there, 0.95), plain_percentile(back, 0.95)), abs=EXACT
        )
    assert measured > 0.7 * MASKS


def monai_form(mask):
    return torch.from_numpy(mask)[None, None]


@pytest.mark.filterwarnings("ignore")  # of MONAI, about empty masks
def test_monai_agrees_where_both_are_defined_alike():
    """In float32. It has NaN for a reference without lesion, and pools both directions before it averages distances."""
    compared = 0
    for predicted, reference, _, spacing_mm in CASES[:200]:
        found, distances = Confusion.between(predicted, reference), None
        theirs = {"y_pred": monai_form(predicted), "y": monai_form(reference)}
        dice = float(compute_dice(**theirs, include_background=True))
        iou = float(compute_iou(**theirs, include_background=True))
        if not reference.any():
            assert math.isnan(dice)
            assert math.isnan(iou)
            continue
        assert (dice, iou) == pytest.approx((found.dice, found.iou), abs=1e-6)
        if not predicted.any():
            continue
        compared += 1
        distances = SurfaceDistances.between(predicted, reference, spacing_mm=spacing_mm)
        kwargs = {**theirs, "include_background": True, "spacing": list(spacing_mm)}
        hd95 = float(compute_hausdorff_distance(**kwargs, percentile=95))
        assert hd95 == pytest.approx(distances.hausdorff95_mm, abs=1e-5)
        directed = float(compute_average_surface_distance(**kwargs, symmetric=False))
        assert directed == pytest.approx(distances.from_predicted_mm.mean(), abs=1e-5)
        pooled = np.concatenate([distances.from_predicted_mm, distances.from_reference_mm]).mean()
        symmetric = float(compute_average_surface_distance(**kwargs, symmetric=True))
        assert symmetric == pytest.approx(pooled, abs=1e-5)
    assert compared > 100
