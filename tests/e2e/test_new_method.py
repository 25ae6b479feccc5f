"""A method that the house has never heard of goes all the way, once it has a line in the registry."""

import csv
import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmccd.cli.app import main
from mmccd.method.anomaly_map import Restoration
from mmccd.method.baselines.reconstruction import Reconstruction
from mmccd.method.method import About, Loss
from mmccd.method.registry import METHODS


class Blur(Reconstruction):
    """The mean of the neighbourhood, and how much of it: one weight."""

    about = About(
        label="Blur",
        phrase="a mean of the neighbourhood",
        references=("Nobody. Blur. Nowhere, 2026.",),
        losses={"blur": Loss("Blur of {source}", weight=2.0)},
    )

    def __init__(self):
        super().__init__()
        self.share = nn.Linear(1, 1, bias=False)

    @classmethod
    def build(cls, parts):
        return cls()

    def restore(self, source):
        return self.share.weight[0, 0] * F.avg_pool2d(source, 5, stride=1, padding=2)

    def losses(self, batch):
        return {"blur": (self.restore(batch.source) - batch.source).square().mean()}

    def restorations(self, source):
        yield Restoration.of_whole_slices(self.restore(source))


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(METHODS, "blur", Blur)


def run(*arguments):
    """The command line, in this process, where the toy is registered; its exit code."""
    return main([str(argument) for argument in arguments])


@pytest.mark.usefixtures("registered", "inline")
def test_a_new_method_is_trained_used_compared_and_described(phantom_folder, tmp_path, capsys):
    store, model, found = tmp_path / "store", tmp_path / "model", tmp_path / "found"
    steps = ["--set", "training.steps=6"]
    assert run("prepare", phantom_folder, store, "--size", "64", "--protocol", "volume", "-q") == 0
    assert run("train", store, model, "--config", "tiny", "--set", "method=blur", "--set", "targets=[]", *steps) == 0
    assert "Blur (blur)" in capsys.readouterr().out
    assert run("predict", model, phantom_folder, "-o", found, "-q") == 0
    record = json.loads((found / "Phantom_0007.json").read_text())
    assert record["model"]["method"] == "blur"
    assert run("report", found, "-o", tmp_path / "report.html", "-q") == 0
    assert "Nobody. Blur. Nowhere, 2026." in (tmp_path / "report.html").read_text()

    output = tmp_path / "benchmark"
    assert run("benchmark", store, output, "--methods", "blur", "--sources", "flair", *steps, "-q") == 0
    with (output / "results.csv").open(newline="") as stream:
        rows = {row["contender"]: row for row in csv.DictReader(stream)}
    assert {"Blur", "Blur, evidence"} <= set(rows)
    assert "| Blur, evidence |" in (output / "RESULTS.md").read_text()
    assert torch.isfinite(torch.tensor(float(rows["Blur"]["auprc"])))
