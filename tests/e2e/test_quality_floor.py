"""What detection reaches on simulated patients, and what brightness alone does: neither may fall unnoticed."""

import json
from dataclasses import replace

import pytest

from mmccd.cli.app import main
from mmccd.data.volumes import read_volume
from mmccd.evaluation.metrics import auprc
from mmccd.method.intensity import normalise
from mmccd.model.folder import load_model
from mmccd.prediction.detector import Detector
from mmccd.raw.brain import extract

GLIOMA = "Phantom_0007"


def with_precision(model, precision):
    training = model.config.training.model_copy(update={"precision": precision})
    return replace(model, config=model.config.model_copy(update={"training": training}))


def scores(detect, folder, subject):
    scan = read_volume(folder / subject / f"{subject}_flair.nii.gz")
    lesion = read_volume(folder / subject / f"{subject}_seg.nii.gz").data > 0
    brain = scan.data > 0
    return auprc(detect(scan)[brain], lesion[brain])


def found_by(model, folder, subject=GLIOMA, **settings):
    detector = Detector(model, device="cpu", batch_size=64, **settings)
    return scores(lambda scan: detector.detect(scan).anomaly, folder, subject)


@pytest.fixture(scope="module")
def float32(phantom_folder):
    """AUPRC of the shipped model in float32."""
    return found_by(with_precision(load_model("builtin:flair"), "float32"), phantom_folder)


def test_the_shipped_model_finds_the_simulated_glioma(float32, phantom_folder):
    """AUPRC 0.869 was measured, and 0.872 for plain intensity: on the phantom the shipped model is no better.

    It was trained on real scans. A random score would get the lesion's share of the brain, below 0.05.
    """
    intensity = scores(lambda scan: normalise(scan.data, scan.data > 0), phantom_folder, GLIOMA)
    assert float32 > 0.83
    assert 0.82 < intensity < 0.92
    assert float32 > intensity - 0.05


def test_bf16_finds_the_same(float32, phantom_folder):
    """Differences of 0.0004 and less were measured, for two subjects."""
    found = found_by(with_precision(load_model("builtin:flair"), "bf16"), phantom_folder)
    assert 0 < abs(found - float32) < 0.005  # 0 would mean that it was not used


@pytest.mark.openvino
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_openvino_finds_the_same(float32, phantom_folder, precision):
    """Differences of 0.001 and less were measured for one subject, of 0.0005 in the mean."""
    model = with_precision(load_model("builtin:flair"), precision)
    assert abs(found_by(model, phantom_folder, runtime="openvino") - float32) < 0.005


@pytest.mark.slow
def test_the_demo_reaches_what_it_reached(tmp_path, monkeypatch):
    """AUPRC measured, mean of 8 subjects. T2: MMCCD 0.377, veiled cycle 0.457, shipped model 0.474, intensity 0.125,
    the same smoothed 0.293. FLAIR: shipped model 0.509, intensity 0.640, the same smoothed 0.434."""
    monkeypatch.setattr("mmccd.raw.brain.extract", extract)  # HD-BET itself
    assert main(["demo", "--output", str(tmp_path), "--quiet"]) == 0
    found = {}
    for folder in ("mmccd", "veiled-cycle", "shipped_t2", "shipped_flair"):
        record = json.loads((tmp_path / folder / "evaluation" / "evaluation.json").read_text())
        for name, metrics in record["aggregates"].items():
            found[folder, name] = metrics["auprc"]["mean"]
    assert found["mmccd", "mmccd"] > 0.33
    assert found["veiled-cycle", "veiled-cycle"] > 0.41
    assert found["shipped_t2", "veiled-cycle"] > 0.44
    assert found["shipped_flair", "veiled-cycle"] > 0.46
    assert 0.11 < found["shipped_t2", "intensity threshold"] < 0.14
    assert 0.60 < found["shipped_flair", "intensity threshold"] < 0.68
    assert found["mmccd", "mmccd"] > found["mmccd", "smoothed intensity"]
    assert found["shipped_t2", "veiled-cycle"] > found["shipped_t2", "smoothed intensity"] + 0.10
