"""The published metrics, to the last digit; see README.md for where the numbers come from."""

from pathlib import Path

import numpy as np
import pytest

from mmccd.evaluation.paper_protocol import paper_erosion, paper_metrics


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parent / "data" / "official_metrics.npz") as file:
        return dict(file)


@pytest.mark.parametrize("name", ["dice", "auc", "jaccard", "assd", "sensitivity", "precision"])
def test_metric_equals_the_published_code(golden, name):
    found = [
        paper_metrics(score, lesion, eroded, float(golden["threshold"]))[name]
        for score, lesion, eroded in zip(golden["score"], golden["lesion"], golden["eroded_brain"], strict=True)
    ]

    np.testing.assert_allclose(found, golden[f"metric_{name}"], rtol=0, atol=1e-12)


def test_erosion_equals_the_published_code(golden):
    for brain, eroded in zip(golden["brain"], golden["eroded_brain"], strict=True):
        np.testing.assert_array_equal(paper_erosion(brain), eroded)
