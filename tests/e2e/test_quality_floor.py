"""What detection reaches on simulated patients, and what brightness alone does: neither may fall unnoticed."""

from dataclasses import replace

import numpy as np
import pytest

from mmccd.detector import Detector
from mmccd.intensity import normalise
from mmccd.metrics import auprc
from mmccd.model_file import load_model
from mmccd.volumes import read_volume

GLIOMA, MS = "Phantom_0007", "Phantom_0008"


def with_precision(model, precision):
    training = model.config.training.model_copy(update={"precision": precision})
    return replace(model, config=model.config.model_copy(update={"training": training}))


def scores(detect, folder, subject):
    scan = read_volume(folder / subject / f"{subject}_flair.nii.gz")
    lesion = read_volume(folder / subject / f"{subject}_seg.nii.gz").data > 0
    brain = scan.data > 0
    return auprc(detect(scan)[brain], lesion[brain])


@pytest.fixture(scope="module")
def float32():
    return Detector(with_precision(load_model("builtin:flair"), "float32"), device="cpu", batch_size=64)


def test_the_shipped_model_finds_the_simulated_glioma(float32, phantom_folder):
    """AUPRC 0.668 was measured, and 0.872 for plain intensity: on the phantom the shipped model is below it, and says so.

    It was trained on real scans. A random score would get the lesion's share of the brain, below 0.05.
    """
    found = scores(lambda scan: float32.detect(scan).anomaly, phantom_folder, GLIOMA)
    intensity = scores(lambda scan: normalise(scan.data, scan.data > 0), phantom_folder, GLIOMA)
    assert found > 0.62
    assert 0.82 < intensity < 0.92
    assert found > intensity - 0.25


def test_bf16_finds_the_same(float32, phantom_folder):
    """Differences of 0.0005 and less were measured, also over 6 subjects of 2 mm."""
    bf16 = Detector(with_precision(load_model("builtin:flair"), "bf16"), device="cpu", batch_size=64)
    for subject in (GLIOMA, MS):
        ours, theirs = (
            scores(lambda scan, one=one: one.detect(scan).anomaly, phantom_folder, subject) for one in (bf16, float32)
        )
        assert abs(ours - theirs) < 0.005
    scan = phantom_folder / GLIOMA / f"{GLIOMA}_flair.nii.gz"
    assert not np.array_equal(bf16.detect(scan).anomaly, float32.detect(scan).anomaly)  # it was used


@pytest.mark.openvino
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_openvino_finds_the_same(float32, phantom_folder, precision):
    model = with_precision(load_model("builtin:flair"), precision)
    openvino = Detector(model, device="cpu", batch_size=64, runtime="openvino")
    for subject in (GLIOMA, MS):
        ours, theirs = (
            scores(lambda scan, one=one: one.detect(scan).anomaly, phantom_folder, subject)
            for one in (openvino, float32)
        )
        assert abs(ours - theirs) < 0.005
