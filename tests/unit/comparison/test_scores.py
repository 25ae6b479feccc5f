"""What is measured of a contender's maps."""

import numpy as np

from mmccd.comparison.scores import (
    CURVE_RECALLS,
    score_artefacts,
    score_lesion_slices,
    score_paper_protocol,
    score_volumes,
)
from mmccd.data.store import Store
from mmccd.evaluation.metrics import auprc
from mmccd.evaluation.paper_protocol import PAPER_METRICS


def zeros(image, brain):
    return np.zeros_like(image)


def test_a_perfect_score_is_perfect_in_every_metric(store, perfect):
    found, pieces = score_volumes(perfect, store, "flair")
    for row in found["rows"]:
        assert row["auprc"] == row["lesion_f1"] == 1
        assert row["dice"] == row["oracle_dice"] == row["scan_dice"] == row["relative_dice"] > 0.99
        assert row["healthy_marked"] == row["healthy_alarm"] == row["relative_healthy_marked"] == 0
        assert row["lesion_ml"] > 0.1
    assert found["precision_at_recalls"] == [1.0] * len(CURVE_RECALLS)
    assert found["seconds_per_slice"] > 0
    assert [piece.case for piece in pieces] == ["Phantom_0007", "Phantom_0008"]


def test_a_map_that_is_lifted_as_a_whole_needs_a_relative_threshold(store, perfect, judge_of):
    score = perfect.scorer.score
    lifted = judge_of(lambda image, brain: score(image, brain) + 3)
    rows = (score_volumes(one, store, "flair")[0]["rows"] for one in (lifted, perfect))
    for row, usual in zip(*rows, strict=True):
        assert row["dice"] < 0.5 < row["relative_dice"] == usual["dice"]
        assert row["healthy_marked"] == 1
        assert row["relative_healthy_marked"] == 0


def test_a_score_of_nothing_finds_nothing(store, judge_of):
    for row in score_volumes(judge_of(zeros), store, "flair")[0]["rows"]:
        assert row["dice"] == row["lesion_f1"] == row["healthy_marked"] == 0
        assert row["p_value"] == 1
        assert row["auprc"] < 0.2
        assert np.isnan(row["assd_mm"])  # the distance to nothing is infinite, which no record can hold
        assert np.isnan(row["hd95_mm"])


def test_what_is_as_ordinary_as_can_be_is_not_marked_by_a_relative_threshold(store, judge_of):
    """Most of a map may be at its least value, and a relative threshold below 0; predict and evaluate cut alike."""
    for row in score_volumes(judge_of(zeros, threshold=-0.5), store, "flair")[0]["rows"]:
        assert row["relative_healthy_marked"] == 0
        assert row["healthy_marked"] == 1


def test_the_slices_of_the_papers_protocol_are_those_with_most_lesion(store, perfect):
    _, volumes = score_volumes(perfect, store, "flair")
    slices, seconds = score_lesion_slices(perfect, store, "flair")
    assert seconds > 0
    assert len(volumes) == len(slices) == 2
    for one, other in zip(volumes, slices, strict=True):
        assert (one.case, one.z) == (other.case, other.z)
        table = store.index[store.index["subject"] == one.case]
        assert one.z == table["slice"][table["lesion_px"].idxmax()]
        assert all(array.base is None for piece in (one, other) for array in (piece.score, piece.brain, piece.lesion))
        np.testing.assert_array_equal(one.score, other.score)
        assert auprc(one.score[one.brain], one.lesion[one.brain]) == 1


def test_the_papers_protocol_has_a_row_for_each_slice(store, perfect):
    """The rim that it cuts off is as wide as the paper's, 7.5 mm, on whatever grid."""
    _, pieces = score_volumes(perfect, store, "flair")
    rows = score_paper_protocol(pieces, store.grid.pixel_mm)
    assert [(row["case"], row["z"]) for row in rows] == [(piece.case, piece.z) for piece in pieces]
    assert all({*PAPER_METRICS} <= {*row} for row in rows)
    whole, wide = (score_paper_protocol(pieces, mm) for mm in (1000.0, 0.5))
    assert [row["dice"] for row in whole] == [1, 1]
    assert [row["dice"] for row in wide] < [row["dice"] for row in whole]
    assert score_paper_protocol([], 1.0) == []


class WithoutLesions(Store):
    """Nobody drew a lesion in the first test subject."""

    def array(self, name):
        found = super().array(name)
        if name == "lesion":
            found = np.array(found)
            found[self.index["subject"] == "Phantom_0007"] = False
        return found


def test_a_subject_without_a_lesion_has_no_dice_and_no_slice_in_the_papers_protocol(store, judge_of):
    healthy = WithoutLesions(store.path, store.manifest)
    bright = judge_of(lambda image, brain: image, threshold=1.0)
    found, volumes = score_volumes(bright, healthy, "flair")
    without, usual = found["rows"]
    assert all(np.isnan(without[name]) for name in ("dice", "relative_dice", "scan_dice", "oracle_dice", "auprc"))
    assert without["lesion_ml"] == 0
    assert 0 <= without["healthy_marked"] <= 1
    assert usual["dice"] >= 0
    slices, _ = score_lesion_slices(bright, healthy, "flair")
    assert [piece.case for piece in volumes] == [piece.case for piece in slices] == ["Phantom_0008"]


def test_artefacts_are_told_from_clean_slices_by_what_they_change(store, judge_of):
    """The block of lost signal is what darkness finds; nothing tells apart what is never looked at."""
    darkest = judge_of(lambda image, brain: np.where(brain, -image, 0))
    found = score_artefacts(darkest, store, "flair", "t2", seed=0)
    assert found["missing block"] > 0.9
    constant = score_artefacts(judge_of(zeros), store, "flair", "t2", seed=0)
    assert set(constant.values()) == {0.5}
