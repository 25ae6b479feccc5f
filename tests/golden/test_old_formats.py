"""What every version so far has left on disk is still read, and says the same: see tests/fixtures/README.md."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from mmccd.data.store import open_store
from mmccd.errors import MmccdWarning
from mmccd.evaluation.evaluate import evaluate
from mmccd.model.config import load_config
from mmccd.model.folder import load_any, load_model
from mmccd.prediction.detector import Detector
from mmccd.prediction.predict import predict
from mmccd.training.train import Hardware, train

FIXTURES = Path(__file__).parents[1] / "fixtures"
FORMATS = sorted(FIXTURES.glob("format_*"))
MODELS = sorted(path for folder in FORMATS for path in (folder / "models").iterdir())
CONFIGS = sorted(path for folder in FORMATS for path in (folder / "configs").iterdir())


def named(path):
    return "-".join(path.relative_to(FIXTURES).parts)


@pytest.fixture(params=FORMATS, ids=named)
def folder(request):
    return request.param


def test_every_format_is_kept_whole():
    assert [path.name for path in FORMATS][:1] == ["format_1"]
    assert {path.stem for path in (FORMATS[0] / "models").iterdir()} == {
        "cyclic-unet", "mmccd", "veiled-cycle", "ae", "vae", "dae", "ddpm", "anoddpm", "pddpm", "fusion"
    }  # fmt: skip
    for folder in FORMATS:
        assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 400_000


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_a_model_gives_the_map_that_it_gave_then(model):
    folder = model.parents[1]
    store = open_store(folder / "store")
    test = store.rows("test")
    slices = {source: store.array(source)[test].astype(np.float32) for source in ("flair", "t2")}
    brain, spacing_mm = np.asarray(store.array("brain")[test]), (6.0, *[store.grid.pixel_mm] * 2)
    found = Detector.load(model, device="cpu").scorer.anomaly_map(slices, brain, spacing_mm)[1]
    with np.load(folder / "maps.npz", allow_pickle=False) as maps:
        expected = maps[model.stem]
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_store_is_what_it_was(folder):
    store = open_store(folder / "store")
    store.verify()
    assert store.digest == json.loads((folder / "store.json").read_text())["digest"]
    assert [len(store.rows(part)) for part in ("train", "validation", "test")] == [3, 3, 3]


# What a setting of then is called now, and what its value is; None where it is no setting any more.
TODAY = {
    "scoring.evidence": lambda value: ("scoring.error", {"square": "squared"}.get(value, value)),
    "network.from_background": None,
    "diffusion.sampler": None,
    "diffusion.stripes_wrap": None,
    "diffusion.train_masks": None,
    "diffusion.train_on": None,
}
# What `typical` stands for where the source is FLAIR, as it is in all of these.
TYPICAL = {"scoring.polarity": "bright", "scoring.unconditional": 0.0}


@pytest.mark.parametrize("config", CONFIGS, ids=named)
def test_settings_mean_what_they_meant(config):
    with pytest.warns(MmccdWarning, match="is called scoring.error now|is no setting any more"):
        read = load_config(config).model_dump(mode="json")
    compared = 0
    for section, values in yaml.safe_load(config.read_text()).items():
        for key, value in values.items() if isinstance(values, dict) else [("", values)]:
            name = f"{section}.{key}".strip(".")
            if name in TODAY and TODAY[name] is None:
                continue
            now, expected = TODAY[name](value) if name in TODAY else (name, value)
            found = read
            for part in now.split("."):
                found = found[part]
            assert found == (TYPICAL[now] if expected == "typical" else expected), now
            compared += 1
    assert compared > 10


@pytest.mark.filterwarnings("ignore:setting .* is no setting any more")
def test_a_training_that_was_killed_goes_on(folder, tmp_path):
    """To the weights that it would have had then; rounding may grow to the size of a step, not beyond."""
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "last.ckpt").write_bytes(gzip.decompress((folder / "last.ckpt.gz").read_bytes()))
    seen = []
    config = load_config(folder / "configs" / "unfinished.yaml")
    resumed = train(
        open_store(folder / "store"), tmp_path, config, resume=True, hardware=Hardware(device="cpu"),
        progress=lambda what, done, _: seen.append((what.partition(":")[0], done)),
    )  # fmt: skip
    assert [done for what, done in seen if what != "calibrating"] == [3, 4]
    expected = load_model(folder / "finished").method.state_dict()
    for name, tensor in resumed.method.state_dict().items():
        np.testing.assert_allclose(tensor, expected[name], rtol=0, atol=config.training.learning_rate)


def test_predictions_are_evaluated_as_they_were(folder, tmp_path):
    evaluate(folder / "predictions", folder / "cohort", tmp_path, resamples=100)
    found, expected = (json.loads((place / "evaluation.json").read_text()) for place in (tmp_path, folder))
    assert found["cases"] == expected["cases"]
    compare(found["aggregates"], expected["aggregates"])


def compare(found, expected):
    if isinstance(expected, dict):
        for key, value in expected.items():  # a later version may know more
            compare(found[key], value)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-6)
    else:
        assert found == expected


def test_finished_cases_of_another_version_are_scored_again_to_the_same_numbers(folder, tmp_path):
    """A record says which version made it; another one keeps nothing that it has not made itself."""
    output = shutil.copytree(folder / "predictions", tmp_path / "out")
    before = json.loads((output / "S3.json").read_text())
    detector = Detector(load_any(folder / "models" / "mmccd.zip"), device="cpu")
    (outcome,) = predict(detector, [folder / "cohort"], output, subjects=["S3"])
    assert outcome.status in ("done", "kept")
    assert outcome.score == pytest.approx(before["score"], rel=1e-5)
    assert outcome.lesion_volume_ml == pytest.approx(before["lesion_volume_ml"], rel=1e-3)
