"""The same networks with another score, another sampler, or another site's healthy scans."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mmccd.data.store import Store
from mmccd.errors import ConfigError, DataError, ModelError
from mmccd.model.build import build_method
from mmccd.model.config import load_config
from mmccd.model.folder import load_model, save_model
from mmccd.prediction.detector import Detector
from mmccd.scoring.evidence import TailEvidence
from mmccd.training.calibrate import calibrate, with_thresholds
from mmccd.training.calibration import calibration_of, count_healthy

CPU = torch.device("cpu")
TAIL = {"scoring.error": "tail", "scoring.polarity": "typical", "scoring.unconditional": 0.25}


def again(model, store, output, *presets, **how):
    return calibrate(model, store, output, presets=presets, device="cpu", **how)


def changed(store, **manifest):
    return Store(store.path, store.manifest.model_copy(update=manifest))


def equal_weights(first, second):
    weights, others = first.method.state_dict(), second.method.state_dict()
    return weights.keys() == others.keys() and all(torch.equal(weights[name], others[name]) for name in weights)


@pytest.fixture(scope="module")
def by_evidence(model_folder, phantom_store, tmp_path_factory):
    output = tmp_path_factory.mktemp("recalibrated") / "tail"
    again(model_folder, phantom_store, output, overrides=TAIL)
    return output


@pytest.fixture(scope="module")
def masked_folder(model_folder, phantom_store, toy_config, tmp_path_factory):
    """An MMCCD whose weights are random."""
    config = toy_config.model_copy(update={"method": "mmccd"})
    torch.manual_seed(0)
    method = build_method(config, 48).requires_grad_(False)
    for weight in method.parameters():
        weight.add_(0.05 * torch.randn(weight.shape))
    old = load_model(model_folder)
    found = calibration_of(method, phantom_store, config, CPU)
    output = tmp_path_factory.mktemp("recalibrated") / "mmccd"
    save_model(output, method, found.error, config, with_thresholds(old.card, found))
    return output


# --- what is the same, and what is not ---


def test_without_a_change_the_threshold_is_the_same(model_folder, phantom_store, tmp_path):
    old, new = load_model(model_folder), again(model_folder, phantom_store, tmp_path / "m")
    assert new.config == old.config
    assert equal_weights(old, new)
    assert new.card.weights_sha256 == old.card.weights_sha256
    for key in ("threshold", "intensity_baseline", "training", "training_data", "parameters", "provenance"):
        assert getattr(new.card, key) == getattr(old.card, key)
    calibration = new.card.calibration
    assert calibration.store_digest == phantom_store.digest
    assert calibration.split_digest == phantom_store.manifest.split_digest
    assert calibration.provenance["device"] == "cpu"


def test_another_score_has_the_same_weights_and_a_threshold_of_its_own(model_folder, phantom_store, by_evidence):
    old, new = load_model(model_folder), load_model(by_evidence)
    assert equal_weights(old, new)
    assert new.card.threshold.value != old.card.threshold.value
    assert 1 < new.card.threshold.value < 12  # nats: for 5 %, some -ln 0.05 = 3
    assert new.config.scoring.model_dump() == old.config.scoring.model_dump() | {
        "error": "tail", "polarity": "bright", "unconditional": 0.25
    }  # fmt: skip
    assert new.config.model_copy(update={"scoring": old.config.scoring}) == old.config
    assert new.card.training == old.card.training
    assert new.card.parameters == old.card.parameters
    assert new.card.weights_sha256 != old.card.weights_sha256


def test_counts_land_in_the_file_and_come_back(model_folder, phantom_store, by_evidence):
    old, new = load_model(model_folder), load_model(by_evidence)
    counts = sum(count_healthy(old.method, phantom_store, new.config, CPU).values())
    assert counts.sum() > 10_000
    assert torch.equal(load_file(by_evidence / "model.safetensors")["evidence.counts"].long(), counts)
    assert isinstance(new.error, TailEvidence)
    assert torch.equal(new.error.counts.long(), counts)
    expected = TailEvidence(counts, polarity="bright", unconditional=0.25)  # typical of FLAIR
    torch.testing.assert_close(new.error.table, expected.table)


def test_the_detector_scores_with_it(model_folder, by_evidence, healthy_scan, lesioned_scan):
    square, tail = (Detector.load(folder, device="cpu") for folder in (model_folder, by_evidence))
    for scan in (healthy_scan, lesioned_scan):
        found, old = tail.detect(scan), square.detect(scan)
        assert found.anomaly.min() >= 0
        assert found.threshold == tail.model.card.threshold.value
        assert np.corrcoef(found.anomaly[found.brain], old.anomaly[old.brain])[0, 1] < 0.999
    healthy = tail.detect(healthy_scan)
    share = healthy.lesion_volume_ml / healthy.brain_volume_ml
    assert 0.02 < share < 0.08  # the scan that the threshold was chosen on, for 5 %


def test_a_model_can_be_calibrated_again_and_back(model_folder, phantom_store, by_evidence, tmp_path):
    back = again(by_evidence, phantom_store, tmp_path / "m", overrides={
        "scoring.error": "squared", "scoring.polarity": "either", "scoring.unconditional": 0
    })  # fmt: skip
    old = load_model(model_folder)
    assert back.config == old.config
    assert back.card.weights_sha256 == old.card.weights_sha256
    assert back.card.threshold == old.card.threshold


def test_of_presets_only_sampling_and_scoring_are_taken(model_folder, phantom_store, tmp_path):
    old = load_model(model_folder)
    new = again(model_folder, phantom_store, tmp_path / "m", "paper", "best", overrides={"scoring.smooth_mm": 6})
    best = load_config("best")
    assert (old.config.diffusion.masks, old.config.diffusion.sampling_steps) == ("combs", 1)
    assert (new.config.diffusion.masks, new.config.diffusion.sampling_steps) == ("stripes", 100)
    assert new.config.scoring == best.scoring.model_copy(update={"smooth_mm": 6})
    sections = {"diffusion": old.config.diffusion, "scoring": old.config.scoring}
    assert new.config.model_copy(update=sections) == old.config  # a Cyclic U-Net stays one
    assert new.card.intensity_baseline.smooth_mm == 6


def test_another_sampler_for_the_same_networks(masked_folder, phantom_store, tmp_path):
    old = load_model(masked_folder)
    new = again(masked_folder, phantom_store, tmp_path / "m", overrides={"diffusion.combs": 4})
    assert equal_weights(old, new)
    assert len(new.method.masks) == 8
    assert new.card.threshold.value != old.card.threshold.value


def test_another_site_has_a_threshold_of_its_own(model_folder, phantom_store, tmp_path):
    class Other(Store):
        """Its validation subjects are those that others train on."""

        @property
        def index(self):
            table = super().index.copy()
            table["split"] = table["split"].map({"train": "validation", "validation": "train", "test": "test"})
            return table

    other = Other(phantom_store.path, phantom_store.manifest.model_copy(update={"split_digest": "other"}))
    new = again(model_folder, other, tmp_path / "m")
    assert equal_weights(new, load_model(model_folder))
    assert new.card.threshold.value != load_model(model_folder).card.threshold.value
    assert new.card.threshold.subjects == 5
    assert new.card.calibration.split_digest == "other"
    assert list(new.card.calibration.scans_sha256) == phantom_store.scans_sha256(["validation"], "flair") != []


# --- refused ---


@pytest.mark.parametrize("key", ["training.steps", "network.patch_px", "method", "source", "seed"])
def test_only_sampling_and_scoring_may_change(model_folder, phantom_store, tmp_path, key):
    with pytest.raises(ConfigError, match=f"setting {key} cannot change after training") as caught:
        again(model_folder, phantom_store, tmp_path / "m", overrides={key: 1})
    assert "train a model" in caught.value.hint
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("manifest", "message", "hint"),
    [
        (
            {"size_px": 64, "pixel_mm": 3.75},
            "the store has slices of .*64.*, the model was trained on .*48",
            "--size and --protocol",
        ),
        ({"protocol": "paper-slices"}, "the store has slices of paper-slices", "--size and --protocol"),
        ({"modalities": ["t1", "t2"]}, "the model scores flair, the store has t1, t2", "prepare a store with flair"),
    ],
)
def test_stores_that_do_not_fit_are_refused(model_folder, phantom_store, tmp_path, manifest, message, hint):
    with pytest.raises(ConfigError, match=message) as caught:
        again(model_folder, changed(phantom_store, **manifest), tmp_path / "m")
    assert hint in caught.value.hint
    assert not (tmp_path / "m").exists()


def test_a_store_without_healthy_validation_slices_is_refused(model_folder, phantom_store, tmp_path):
    class Ill(Store):
        @property
        def index(self):
            return super().index.assign(healthy=False)

    with pytest.raises(DataError, match="no healthy validation slice") as caught:
        again(model_folder, Ill(phantom_store.path, phantom_store.manifest), tmp_path / "m")
    assert "--fractions 0 1 0" in caught.value.hint  # tests/unit/test_cli.py does what it says
    assert not (tmp_path / "m").exists()


def test_a_folder_with_a_model_is_not_overwritten(model_folder, by_evidence, phantom_store):
    before = {path: path.read_bytes() for path in by_evidence.iterdir()}
    for output in (by_evidence, model_folder):
        with pytest.raises(ConfigError, match="already holds a model"):
            again(model_folder, phantom_store, output)
    with pytest.raises(ConfigError, match="is a prepared store"):
        again(model_folder, phantom_store, phantom_store.path)
    assert {path: path.read_bytes() for path in by_evidence.iterdir()} == before


def test_masks_that_cannot_work_are_refused_before_anything_is_computed(masked_folder, phantom_store, tmp_path):
    with pytest.raises(ConfigError, match="9 combs of 6 px teeth on slices of 48 px"):
        again(masked_folder, phantom_store, tmp_path / "m", overrides={"diffusion.combs": 9})
    assert not (tmp_path / "m").exists()


def test_the_model_must_be_one(phantom_store, tmp_path):
    with pytest.raises(ModelError, match="is not a model"):
        again(phantom_store.path, phantom_store, tmp_path / "m")


def test_what_the_weights_were_trained_with_cannot_change(masked_folder, phantom_store, tmp_path):
    with pytest.raises(ConfigError, match=r"diffusion\.schedule_steps was 1000 in training and cannot change"):
        again(masked_folder, phantom_store, tmp_path / "m", overrides={"diffusion.schedule_steps": 500})
    assert not (tmp_path / "m").exists()


def test_a_killed_calibration_leaves_what_it_did_and_goes_on(model_folder, phantom_store, tmp_path):
    class KilledError(Exception):
        pass

    def killed(words, done, total):
        if done:
            raise KilledError

    with pytest.raises(KilledError):
        again(model_folder, phantom_store, tmp_path / "m", overrides=TAIL, progress=killed)
    assert len(list((tmp_path / "m" / "calibration").rglob("*.npy"))) == 1
    seen = []
    made = again(model_folder, phantom_store, tmp_path / "m", overrides=TAIL, progress=lambda *call: seen.append(call))
    assert seen[-1][1] == seen[-1][2] > 0
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["card.json", "model.safetensors"]
    assert made.card.threshold == again(model_folder, phantom_store, tmp_path / "n", overrides=TAIL).card.threshold
