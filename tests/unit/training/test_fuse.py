import json
import shutil

import numpy as np
import pytest

from mmccd.comparison.scores import scans
from mmccd.data.store import Store
from mmccd.data.volumes import new_volume, read_volume
from mmccd.errors import ConfigError, DataError, GridError, ModelError
from mmccd.evaluation.evaluate import evaluate
from mmccd.model.config import load_config
from mmccd.model.export import export
from mmccd.model.folder import load_any, load_model
from mmccd.model.model import known_scans
from mmccd.prediction.detector import Detector
from mmccd.prediction.predict import predict
from mmccd.scoring.thresholds import own_level
from mmccd.training.calibrate import calibrate
from mmccd.training.fuse import fuse
from mmccd.training.train import train


@pytest.fixture(scope="module")
def members(model_folder, phantom_store, toy_settings, tmp_path_factory):
    """Two models that score by evidence: of FLAIR, and of T2."""
    folder = tmp_path_factory.mktemp("members")
    calibrate(model_folder, phantom_store, folder / "flair", overrides={"scoring.error": "tail"})
    tail = {"scoring.error": "tail", "scoring.smooth_mm": 3}
    config = load_config("tiny", {**toy_settings, **tail, "source": "t2", "targets": ["flair"]})
    train(phantom_store, folder / "t2", config)
    return folder / "flair", folder / "t2"


@pytest.fixture(scope="module")
def fused(members, phantom_store, tmp_path_factory):
    output = tmp_path_factory.mktemp("fused") / "model"
    fuse(members, phantom_store, output)
    return output


@pytest.fixture
def scan_of(phantom_folder):
    def path(subject, modality):
        return phantom_folder / subject / f"{subject}_{modality}.nii.gz"

    return path


def test_the_map_is_the_sum_of_the_members_maps(members, fused, phantom_store):
    whole, *parts = (Detector.load(folder) for folder in (fused, *members))
    (scan,), (other,) = (list(scans(phantom_store, "validation", name)) for name in ("flair", "t2"))
    slices = {"flair": scan.source, "t2": other.source}
    found, *maps = (one.scorer.anomaly_map(slices, scan.brain, scan.spacing_mm) for one in (whole, *parts))
    np.testing.assert_allclose(found, maps[0] + maps[1], rtol=1e-5, atol=1e-5)
    assert all(one.max() > 0 for one in maps)

    healthy = found[scan.brain & scan.healthy[:, None, None]]
    card = whole.model.card
    assert 0.049 < (healthy > card.threshold.value).mean() < 0.0502
    assert card.scan_threshold.value == pytest.approx(healthy.max())
    relative = card.relative_threshold.value + own_level(healthy)
    assert 0.049 < (healthy > relative).mean() < 0.0502
    assert card.healthy_scores == (pytest.approx(np.quantile(healthy, 0.99), rel=1e-5),)
    assert card.members == ("flair", "t2")
    calibrated_on = [digest for name in ("flair", "t2") for digest in phantom_store.scans_sha256(["validation"], name)]
    assert len(calibrated_on) == 2
    assert list(card.calibration.scans_sha256) == calibrated_on
    assert known_scans(load_any(fused)) >= set(calibrated_on)


def test_trainings_of_one_modality_are_averaged(members, phantom_store, toy_settings, scan_of, tmp_path):
    flair, _ = members
    config = load_config("tiny", {**toy_settings, "scoring.error": "tail", "seed": 1})
    train(phantom_store, tmp_path / "again", config)
    fuse([flair, tmp_path / "again"], phantom_store, tmp_path / "mean")
    export(tmp_path / "mean", tmp_path / "mean.zip")

    (scan,) = scans(phantom_store, "validation", "flair")
    found, first, second = (
        Detector.load(folder).scorer.anomaly_map({"flair": scan.source}, scan.brain, scan.spacing_mm)
        for folder in (tmp_path / "mean.zip", flair, tmp_path / "again")
    )
    np.testing.assert_allclose(found, (first + second) / 2, rtol=1e-5, atol=1e-6)
    assert np.abs(first - second).max() > 0.1

    detector = Detector.load(tmp_path / "mean")
    assert detector.model.card.members == ("flair", "flair-2")
    assert 0.049 < (found[scan.brain & scan.healthy[:, None, None]] > detector.threshold.value).mean() < 0.0502
    (outcome,) = predict(detector, [scan_of("Phantom_0007", "flair")], tmp_path / "out")  # one file is enough
    assert outcome.status == "done"


def test_thresholds_of_another_site_are_of_the_evidence_that_is_used(members, phantom_store, tmp_path):
    """Evidence counted anew at the site would not be that of the members."""

    class Elsewhere(Store):
        digest = "0" * 64

        def array(self, name):
            found = super().array(name)
            return found if found.dtype == bool else np.where(found > -3, 1.3 * found + 0.5, found)

    elsewhere = Elsewhere(phantom_store.path, phantom_store.manifest)
    fuse(members, elsewhere, tmp_path / "fused")
    whole = Detector.load(tmp_path / "fused")
    (scan,), (other,) = (list(scans(elsewhere, "validation", name)) for name in ("flair", "t2"))
    slices = {"flair": scan.source, "t2": other.source}
    found = whole.scorer.anomaly_map(slices, scan.brain, scan.spacing_mm)
    healthy = found[scan.brain & scan.healthy[:, None, None]]
    card = whole.model.card
    assert 0.049 < (healthy > card.threshold.value).mean() < 0.0502
    assert card.scan_threshold.value == pytest.approx(healthy.max())
    brightness = scan.source[scan.brain & scan.healthy[:, None, None]]
    assert 0.04 < (brightness > card.intensity_baseline.threshold.plain).mean() < 0.0502


class LesionedToo(Store):
    """A validation patient who has no slice without a lesion is there as well."""

    @property
    def index(self):
        table = super().index
        lesioned = (table["subject"] == "Phantom_0007") & ~table["healthy"]
        return table.assign(split=table["split"].mask(lesioned, "validation"))


def test_members_may_differ_in_what_is_healthy(members, phantom_store, tmp_path):
    """The one that counted whole slices knows nothing of that patient, whom the first one's regions are of, too."""
    flair, t2 = members
    shutil.copytree(t2, tmp_path / "t2")
    card = json.loads((t2 / "card.json").read_text())
    card["config"]["training"]["healthy"] = "regions"
    (tmp_path / "t2" / "card.json").write_text(json.dumps(card))
    store = LesionedToo(phantom_store.path, phantom_store.manifest)
    found = fuse((tmp_path / "t2", flair), store, tmp_path / "fused").card
    assert len(found.healthy_scores) == 2
    assert "healthy regions (more than 13 mm from a lesion)" in found.threshold.guarantee


def test_a_fusion_needs_nothing_but_its_own_folder(members, fused, tmp_path):
    copy = shutil.copytree(fused, tmp_path / "copy")
    loaded = load_any(copy)
    for member, folder in zip(loaded.members, members, strict=True):
        assert member.card.weights_sha256 == load_model(folder).card.weights_sha256
        assert member.config == load_model(folder).config


def test_a_subject_needs_all_modalities_on_one_grid(fused, scan_of):
    detector = Detector.load(fused)
    flair, t2 = scan_of("Phantom_0007", "flair"), scan_of("Phantom_0007", "t2")
    found = detector.detect(flair, others={"t2": t2})
    assert found.mask.any()
    assert found.volume.path == flair
    with pytest.raises(DataError, match="needs flair, t2 of a subject, t2 is missing"):
        detector.detect(flair)
    volume = read_volume(t2)
    shifted = volume.affine.copy()
    shifted[0, 3] += 8
    with pytest.raises(GridError):
        detector.detect(flair, others={"t2": new_volume(volume.data, shifted)})


def test_predict_and_evaluate_a_cohort(fused, phantom_folder, tmp_path):
    cohort = tmp_path / "cohort"
    for subject in ("Phantom_0007", "Phantom_0008"):
        shutil.copytree(phantom_folder / subject, cohort / subject)
    (cohort / "Phantom_0008" / "Phantom_0008_t2.nii.gz").unlink()
    detector = Detector.load(fused)
    outcomes = {outcome.case: outcome for outcome in predict(detector, [cohort], tmp_path / "out")}
    assert outcomes["Phantom_0007"].status == "done"
    assert outcomes["Phantom_0008"].status == "failed"
    assert "has no t2" in outcomes["Phantom_0008"].error
    record = json.loads((tmp_path / "out" / "Phantom_0007.json").read_text())
    assert record["source"] == "flair"
    assert record["model"] == {"method": "fusion of flair, t2", "targets": ["t2", "flair"]}
    assert {"scan", "t2", "model"} <= set(record["origin"])
    found = evaluate(tmp_path / "out", cohort, tmp_path / "tables")
    assert [row["method"] for row in found.rows][:2] == ["fusion of flair, t2", "intensity threshold"]

    again = predict(detector, [cohort / "Phantom_0007"], tmp_path / "out")
    assert [outcome.status for outcome in again] == ["kept"]


def test_a_loose_file_is_not_enough(fused, scan_of, tmp_path):
    (outcome,) = predict(Detector.load(fused), [scan_of("Phantom_0007", "flair")], tmp_path / "out")
    assert outcome.status == "failed"
    assert "needs flair, t2 of a subject" in outcome.error


def test_what_cannot_be_fused_is_refused(members, model_folder, fused, phantom_store, store_of_three, tmp_path):
    flair, t2 = members
    for models in ([], [flair], [flair, flair]):
        with pytest.raises(ConfigError, match="cannot be fused"):
            fuse(models, phantom_store, tmp_path / "out")
    with pytest.raises(ConfigError, match="the model of flair scores by the squared error"):
        fuse([model_folder, t2], phantom_store, tmp_path / "out")
    with pytest.raises(ConfigError, match="the store does not have the slices of the model of flair"):
        fuse(members, store_of_three, tmp_path / "out")
    with pytest.raises(ConfigError, match="already holds a model"):
        fuse(members, phantom_store, fused)
    with pytest.raises(ConfigError, match="is a prepared store"):
        fuse(members, phantom_store, phantom_store.path)
    with pytest.raises(ModelError, match="is a fusion of several models"):
        fuse([fused, t2], phantom_store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("names", [["../flair", "t2"], ["..", "t2"], "flair", [1, 2]])
def test_a_card_that_leads_elsewhere_is_refused(fused, tmp_path, names):
    copy = shutil.copytree(fused, tmp_path / "copy")
    card = json.loads((copy / "card.json").read_text())
    (copy / "card.json").write_text(json.dumps(card | {"members": names}))
    with pytest.raises(ModelError, match=r"names no members|is damaged: members"):
        load_any(copy)


def test_a_member_that_is_missing_is_named(fused, tmp_path):
    copy = shutil.copytree(fused, tmp_path / "copy")
    shutil.rmtree(copy / "t2")
    with pytest.raises(ModelError, match="t2 is not a model"):
        load_any(copy)
