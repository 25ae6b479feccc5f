import numpy as np
import pytest
from known_predictions import SHAPE, add_prediction, add_subject, lesion_of

from mmccd.data.cohort import read_cohort
from mmccd.data.problems import Problem
from mmccd.evaluation.measurer import CaseMeasurer


@pytest.fixture
def measurer(folders):
    data, predictions, _ = folders
    add_subject(data, "a")
    add_subject(data, "healthy", lesion=np.zeros(SHAPE, bool))
    for name in ("a", "healthy", "stranger"):
        add_prediction(predictions, name, lesion_of() * 1.0, trained_on=name == "healthy")
    return CaseMeasurer(predictions, read_cohort(data), frozenset({"a"}))


def test_a_case_has_rows_a_curve_and_a_slice_of_each_method(measurer):
    found = measurer("a")

    assert [(row["method"], row["dice"], row["source"]) for row in found.rows] == [
        ("cyclic_unet", 1.0, "flair"), ("intensity threshold", 1.0, "flair")
    ]  # fmt: skip
    assert {method: curve.dice.max() for method, curve in found.curves.items()} == {
        "cyclic_unet": 1.0, "intensity threshold": 1.0
    }  # fmt: skip
    assert {method: piece.case for method, piece in found.slices.items()} == dict.fromkeys(found.curves, "a")
    assert not found.trained_on
    assert found.picture.name.startswith("a\nslice ")


def test_a_healthy_case_has_no_slice_of_a_lesion(measurer):
    found = measurer("healthy")
    assert found.trained_on
    assert found.slices == {}


def test_only_cases_that_are_drawn_have_a_picture_and_others_can_be_drawn_later(measurer):
    assert measurer("healthy").picture is None
    assert measurer.picture("healthy").name.startswith("healthy\nslice ")


def test_what_is_wrong_with_a_case_is_its_problem(measurer):
    found = measurer("stranger")
    assert isinstance(found, Problem)
    assert "has no subject stranger" in found.what
