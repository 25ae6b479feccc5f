"""How contenders are judged: with the thresholds of a card, or with thresholds chosen alike."""

import numpy as np
import pytest

from mmccd.comparison.contenders import INTENSITIES, contenders
from mmccd.comparison.judge import judge_intensity, judge_model
from mmccd.data.healthy import HealthyTissue
from mmccd.errors import ConfigError
from mmccd.model.folder import load_model
from mmccd.scoring.intensity_baseline import IntensityBaseline
from mmccd.training.calibration import scores_of

SCORING = {"scoring.smooth_mm": 2, "scoring.false_positive_rate": 0.25, "scoring.false_alarm_rate": 0.5}


@pytest.fixture
def config(toy_settings):
    from mmccd.model.config import load_config

    return load_config("tiny", {**toy_settings, **SCORING})


def test_a_model_is_judged_by_its_own_maps_and_thresholds(model_folder, phantom_store):
    model = load_model(model_folder)
    judge = judge_model(model, "cpu")
    assert judge.thresholds == model.card.thresholds
    rows = phantom_store.rows("test")[:6]
    x, brain = (np.asarray(phantom_store.array(name)[rows]) for name in ("flair", "brain"))
    slices = {"flair": x.astype(np.float32)}
    found = judge.scorer.anomaly_map(slices, brain, (4.0, 5.0, 5.0))
    np.testing.assert_array_equal(found, model.scorer(judge.scorer.device).anomaly_map(slices, brain, (4.0, 5.0, 5.0)))
    assert found[brain].std() > 0


def test_a_model_without_all_thresholds_is_refused(model_folder):
    model = load_model(model_folder)
    older = type(model)(
        model.method, model.error, model.config, model.card.model_copy(update={"relative_threshold": None})
    )
    with pytest.raises(ConfigError, match="calibrated by an older version, without relative_threshold"):
        judge_model(older, "cpu")


@pytest.mark.parametrize("source", ["flair", "t1"])
@pytest.mark.parametrize("name", INTENSITIES)
def test_an_intensity_is_judged_with_thresholds_chosen_as_those_of_a_model(store, config, name, source):
    """At the rates of the settings, on the healthy validation slices: none of them holds a label."""
    contender = next(contender for contender in contenders() if contender.name == name)
    judge = judge_intensity(contender, store, source, config)
    polarity = "dark" if source == "t1" else "bright"
    assert judge.scorer == IntensityBaseline(source, polarity, INTENSITIES[name], smooth_mm=2)
    ((scan,),) = scores_of(judge.scorer, HealthyTissue(store), (source,))
    above = float((scan > judge.thresholds.voxel.value).mean())
    assert above <= 0.25
    assert above == pytest.approx(0.25, abs=0.01)
    assert judge.thresholds.scan.value == scan.max()  # of one patient
    assert judge.thresholds.relative.value == pytest.approx(
        judge.thresholds.voxel.value - np.quantile(scan, 0.75), abs=1e-5
    )
    assert len(judge.thresholds.healthy_scores) == 1
