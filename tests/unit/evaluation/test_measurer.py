import numpy as np
import pytest
from known_predictions import SHAPE, add_prediction, add_subject, lesion_of

from mmccd.data.cohort import read_cohort
from mmccd.data.problems import Problem
from mmccd.evaluation.measurer import CaseMeasurer
from mmccd.evaluation.scratch import Scratch


@pytest.fixture
def measurer(folders, tmp_path):
    data, predictions, _ = folders
    add_subject(data, "a")
    add_subject(data, "healthy", lesion=np.zeros(SHAPE, bool))
    for name in ("a", "healthy", "stranger"):
        add_prediction(predictions, name, lesion_of() * 1.0, trained_on=name == "healthy")
    (tmp_path / "scratch").mkdir()
    return CaseMeasurer(predictions, read_cohort(data), Scratch(tmp_path / "scratch"))


def test_a_case_has_rows_a_curve_and_a_slice_of_each_method(measurer):
    found = measurer("a")

    assert [(row["method"], row["dice"], row["source"]) for row in found.rows] == [
        ("cyclic_unet", 1.0, "flair"), ("intensity threshold", 1.0, "flair")
    ]  # fmt: skip
    for row in found.rows:
        assert measurer.scratch.curve("a", row["method"]).dice.max() == 1.0
        assert [one.case for one in measurer.scratch.slices(["a"], row["method"])] == ["a"]
    assert not found.trained_on
    assert found.picture.name.startswith("a\nslice ")


def test_a_healthy_case_has_no_slice_of_a_lesion(measurer):
    assert measurer("healthy").trained_on
    assert list(measurer.scratch.slices(["healthy"], "cyclic_unet")) == []


def test_what_is_wrong_with_a_case_is_its_problem_and_leaves_nothing(measurer):
    found = measurer("stranger")
    assert isinstance(found, Problem)
    assert "has no subject stranger" in found.what
    assert list(measurer.scratch.folder.iterdir()) == []
