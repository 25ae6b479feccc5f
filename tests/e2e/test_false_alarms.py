"""The promised false-alarm rates, through the real pipeline: phantoms on disk, a store, a trained model, new scans."""

import numpy as np
import pytest

from mmccd.benchmark_scores import scans
from mmccd.cohort import read_cohort
from mmccd.config import load_config
from mmccd.conformal import p_value, scan_threshold, voxel_threshold
from mmccd.detector import Detector
from mmccd.phantom import make_phantom
from mmccd.preparation import StoreSettings, prepare
from mmccd.scoring import SCORE_QUANTILE
from mmccd.splits import Split
from mmccd.training import train

TRAINED, CALIBRATED, UNSEEN = 2, 14, 10
RATE, ALARMS = 0.1, 0.2
DRAWS = 300


@pytest.fixture(scope="module")
def healthy(tmp_path_factory, toy_settings):
    """A model, its store, and the cohort: all subjects are healthy, and most were never trained on."""
    folder = tmp_path_factory.mktemp("healthy")
    make_phantom(folder / "data", subjects=TRAINED + CALIBRATED + UNSEEN, lesions=0, seed=5, spacing_mm=4.0, workers=2)
    cohort = read_cohort(folder / "data")
    ids = sorted(subject.id for subject in cohort.subjects)
    split = Split(tuple(ids[:TRAINED]), tuple(ids[TRAINED : TRAINED + CALIBRATED]), tuple(ids[TRAINED + CALIBRATED :]))
    store, _ = prepare(cohort, split, folder / "store", StoreSettings("volume", 32, ("flair", "t2")), workers=2)
    scoring = {"scoring.false_positive_rate": RATE, "scoring.false_alarm_rate": ALARMS, "scoring.edge_mm": 0}
    length = {"training.steps": 20, "training.validate_every": 20}
    config = load_config("tiny", {**toy_settings, **scoring, **length, "scoring.evidence": "tail"})
    train(store, folder / "model", config)
    return folder, store, cohort, split


def test_unseen_healthy_scans_are_marked_no_more_than_promised(healthy):
    folder, _, cohort, split = healthy
    voxel, scan = (Detector.load(folder / "model", threshold=name) for name in ("voxel", "scan"))
    assert voxel.threshold["guarantee"] == "an unseen healthy subject has on average at most 0.1 of its brain marked"
    assert voxel.threshold["subjects"] == CALIBRATED
    found = [voxel.detect(cohort.subject(name).images["flair"].path) for name in split.test]
    shares = [float(one.mask.sum() / one.brain.sum()) for one in found]
    # One calibration set is one draw: its own rate may lie above the promise, which is about all such sets.
    assert 0 < np.mean(shares) <= RATE + 3 * np.std(shares) / np.sqrt(UNSEEN) + 0.02
    alarms = [scan.detect(cohort.subject(name).images["flair"].path).mask.any() for name in split.test]
    assert np.mean(alarms) <= ALARMS + 3 * np.sqrt(ALARMS * (1 - ALARMS) * (1 / UNSEEN + 1 / CALIBRATED))
    assert min(one.p_value for one in found) >= 1 / (CALIBRATED + 1)


def test_averaged_over_calibration_sets_the_promise_is_kept_to_the_letter(healthy):
    """The maps of all unused subjects, dealt out again and again to calibrate on and to be new."""
    folder, store, _, _ = healthy
    detector = Detector.load(folder / "model")
    maps = []
    for part in ("validation", "test"):
        for one in scans(store, part, "flair", "t2"):
            maps.append(detector.score_slices(one.source, one.brain, one.slice_mm)[one.brain])
    scores = [float(np.quantile(one, SCORE_QUANTILE)) for one in maps]
    rng = np.random.default_rng(0)
    shares, alarms, unusual = [], [], []
    for _ in range(DRAWS):
        new, *seen = rng.permutation(len(maps))[: CALIBRATED + 1]
        chosen = [maps[i] for i in seen]
        shares.append((maps[new] > voxel_threshold(chosen, rate=RATE).value).mean())
        alarms.append((maps[new] > scan_threshold(chosen, rate=ALARMS).value).any())
        unusual.append(p_value(scores[new], [scores[i] for i in seen]) <= ALARMS)
    assert np.mean(shares) <= RATE + 2 * np.std(shares) / np.sqrt(DRAWS)
    for rate in (np.mean(alarms), np.mean(unusual)):
        assert ALARMS / 3 < rate <= ALARMS + 2.5 * np.sqrt(ALARMS * (1 - ALARMS) / DRAWS)
