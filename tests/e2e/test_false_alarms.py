"""The promised false-alarm rates, through the real pipeline: phantoms on disk, a store, a trained model, new scans."""

import numpy as np
import pytest
import torch

from mmccd.data.cohort import read_cohort
from mmccd.data.prepare import prepare
from mmccd.data.slices import StoreSettings
from mmccd.data.splits import Split, patient_of
from mmccd.data.store import Store
from mmccd.method.anomaly_map import Restoration, anomaly_map
from mmccd.model.build import build_error
from mmccd.model.config import load_config
from mmccd.model.folder import load_model
from mmccd.model.scorer import batches_of
from mmccd.prediction.detector import Detector
from mmccd.scoring.maps import SCORE_QUANTILE
from mmccd.scoring.thresholds import own_level, p_value, relative_threshold, scan_threshold, voxel_threshold
from mmccd.simulation.phantom import phantom
from mmccd.training.calibration import count_healthy
from mmccd.training.train import train

TRAINED, CALIBRATED, UNSEEN = 2, 14, 10
RATE, ALARMS = 0.1, 0.2
DRAWS = 100


@pytest.fixture(scope="module")
def healthy(tmp_path_factory, toy_settings):
    """A model, its store, and the cohort: all subjects are healthy, and most were never trained on."""
    folder = tmp_path_factory.mktemp("healthy")
    phantom(folder / "data", subjects=TRAINED + CALIBRATED + UNSEEN, lesions=0, seed=5, spacing_mm=4.0, workers=2)
    cohort = read_cohort(folder / "data")
    ids = sorted(subject.id for subject in cohort.subjects)
    split = Split(tuple(ids[:TRAINED]), tuple(ids[TRAINED : TRAINED + CALIBRATED]), tuple(ids[TRAINED + CALIBRATED :]))
    store, _ = prepare(cohort, split, folder / "store", StoreSettings("volume", 32, ("flair", "t2")), workers=2)
    scoring = {"scoring.false_positive_rate": RATE, "scoring.false_alarm_rate": ALARMS, "scoring.edge_mm": 0}
    length = {"training.steps": 20, "training.validate_every": 20}
    config = load_config("tiny", {**toy_settings, **scoring, **length, "scoring.error": "tail"})
    train(store, folder / "model", config)
    return folder, store, cohort, split


def test_unseen_healthy_scans_are_marked_no_more_than_promised(healthy):
    folder, _, cohort, split = healthy
    voxel, relative, scan = (Detector.load(folder / "model", threshold=name) for name in ("voxel", "relative", "scan"))
    promised = (CALIBRATED * RATE + 1) / (CALIBRATED + 1)
    for detector in (voxel, relative):
        assert detector.threshold.guarantee.startswith(f"on average at most {promised:.3g} of the brain")
        assert detector.threshold.subjects == CALIBRATED
        found = [detector.detect(cohort.subject(name).images["flair"].path) for name in split.test]
        shares = [float(one.mask.sum() / one.brain.sum()) for one in found]
        # One calibration set is one draw: its own rate may lie above the promise, which is about all such sets.
        assert 0 < np.mean(shares) <= promised + 3 * np.std(shares) / np.sqrt(UNSEEN)
    alarms = [scan.detect(cohort.subject(name).images["flair"].path).mask.any() for name in split.test]
    assert np.mean(alarms) <= ALARMS + 3 * np.sqrt(ALARMS * (1 - ALARMS) * (1 / UNSEEN + 1 / CALIBRATED))
    assert min(one.p_value for one in found) >= 1 / (CALIBRATED + 1)


class AllUnused(Store):
    """The same store with every subject that was not trained on in the validation part."""

    @property
    def index(self):
        return super().index.replace({"split": {"test": "validation"}})


def test_averaged_over_calibration_sets_the_promise_is_kept(healthy):
    """Subjects are dealt out again and again: some to fit the evidence and the thresholds, one to be new.

    As in a calibration each subject is scored with evidence of the others, and the new one with evidence of them all.
    """
    folder, store, _, _ = healthy
    model, cpu = load_model(folder / "model"), torch.device("cpu")
    unused = AllUnused(store.path, store.manifest)
    of_patient = count_healthy(model.method, unused, model.config, cpu)
    pairs, counts = [], []
    for subject, rows in unused.index[unused.index["split"] == "validation"].groupby("subject"):
        x = store.array("flair")[rows.index].astype(np.float32)
        restored = []
        for batch in batches_of(x, cpu, batch_size=64, bf16=False):
            with batch as part:
                (restoration,) = model.method.restorations(part)
                restored.append(restoration.restored[0])
        pairs.append((torch.from_numpy(x)[:, None], torch.cat(restored), np.asarray(store.array("brain")[rows.index])))
        counts.append(of_patient[patient_of(subject)])
    counts = torch.stack(counts)

    def scores(subject, evidence):
        x, x_hat, brain = pairs[subject]
        return anomaly_map(x, [Restoration.of_whole_slices(x_hat)], evidence)[:, 0].numpy()[brain]

    rng = np.random.default_rng(0)
    shares, relative, alarms, unusual = [], [], [], []
    for _ in range(DRAWS):
        new, *seen = rng.permutation(len(pairs))[: CALIBRATED + 1]
        total = counts[seen].sum(dim=0)
        ours = [scores(i, build_error(model.config, total - counts[i])) for i in seen]
        theirs = scores(new, build_error(model.config, total))
        shares.append((theirs > voxel_threshold(ours, rate=RATE).value).mean())
        relative.append(
            (theirs - own_level(theirs) > relative_threshold([[one] for one in ours], rate=RATE).value).mean()
        )
        alarms.append((theirs > scan_threshold(ours, rate=ALARMS).value).any())
        score, *healthy_scores = (np.quantile(one, SCORE_QUANTILE) for one in (theirs, *ours))
        unusual.append(p_value(score, healthy_scores) <= ALARMS)
    for marked in (shares, relative):
        assert np.mean(marked) == pytest.approx(RATE, abs=3 * np.std(marked) / np.sqrt(DRAWS) + 0.01)
    for rate in (np.mean(alarms), np.mean(unusual)):
        assert rate <= ALARMS + 2.5 * np.sqrt(ALARMS * (1 - ALARMS) / DRAWS)
