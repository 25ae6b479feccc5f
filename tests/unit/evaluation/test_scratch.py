import numpy as np

from mmccd.evaluation.oracle import DiceCurve
from mmccd.evaluation.paper_protocol import LesionSlice
from mmccd.evaluation.scratch import Scratch

BRAIN, LESION = np.ones((3, 4), bool), np.eye(3, 4, dtype=bool)
LONG = "é" * 120
"""As long as the name of a file may be, before anything is added."""


def curve(seed):
    rng = np.random.default_rng(seed)
    return DiceCurve.of(rng.normal(size=50), rng.random(50) < 0.3, 20)


def piece(case, factor):
    return LesionSlice(case, 7, np.arange(12, dtype=np.float32).reshape(3, 4) * factor, BRAIN, LESION)


def test_what_is_kept_is_found_again_by_case_and_method(tmp_path):
    scratch = Scratch(tmp_path)
    for seed, case in enumerate(("a", LONG)):
        scratch.keep(case, {"ours": curve(seed), "théirs": curve(seed + 5)}, {"théirs": piece(case, seed + 1)})

    assert scratch.curve("a", "théirs").first == curve(5).first
    np.testing.assert_array_equal(scratch.curve(LONG, "ours").dice, curve(1).dice)
    found = list(scratch.slices(["a", LONG], "théirs"))
    assert [(one.case, one.z) for one in found] == [("a", 7), (LONG, 7)]
    np.testing.assert_array_equal(found[1].score, piece(LONG, 2).score)
    np.testing.assert_array_equal(found[1].lesion, LESION)
    assert list(scratch.slices(["a"], "ours")) == []


def test_slices_can_be_gone_through_again(tmp_path):
    scratch = Scratch(tmp_path)
    scratch.keep("a", {"m": curve(0)}, {"m": piece("a", 1.0)})
    slices = scratch.slices(["a"], "m")
    assert len(list(slices)) == len(list(slices)) == 1
