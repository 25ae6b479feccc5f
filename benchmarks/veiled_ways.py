"""What the two ways back of the veiled cycle find alone and together: AUPRC on the whole volumes of test subjects.

    python benchmarks/veiled_ways.py STORE MODEL [MODEL ...]

Veiled cycles trained on the store. Each way is scored with the evidence of its own healthy restorations. Writes
veiled_ways.json and .md here.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from measure import machine
from torch import nn

import mmccd
from mmccd.benchmark_scores import scans
from mmccd.bootstrap import bootstrap_mean
from mmccd.calibration import count_healthy
from mmccd.detector import Detector
from mmccd.methods import build_error
from mmccd.metrics import auprc
from mmccd.model_file import load_model
from mmccd.store import open_store

HERE = Path(__file__).parent
WAYS = {"straight back": slice(0, 1), "through the cycle": slice(1, 2), "both": slice(0, 2)}


class Some(nn.Module):
    """Some of the restorations of a method."""

    def __init__(self, method: nn.Module, ways: slice) -> None:
        super().__init__()
        self.method, self.ways = method, ways

    def restorations(self, source):
        for hidden, restored in self.method.restorations(source):
            yield hidden[self.ways], restored[self.ways]


def main() -> None:
    store = open_store(Path(sys.argv[1]))
    found: dict[str, dict[str, list[float]]] = {}
    for folder in sys.argv[2:]:
        model = load_model(folder)
        source = model.config.source
        for name, ways in WAYS.items():
            method = Some(model.method, ways)
            counts = count_healthy(method, store, model.config, torch.device("cpu")).sum(dim=0)
            detector = Detector(replace(model, method=method, error=build_error(model.config, counts)), device="cpu")
            values = [
                auprc(detector.score_slices({source: scan.source}, scan.brain, scan.slice_mm)[scan.brain],
                      scan.lesion[scan.brain])
                for scan in scans(store, "test", source) if scan.lesion.any()
            ]  # fmt: skip
            found.setdefault(source, {})[name] = [float(value) for value in values]
            print(f"{source:6s} {name:18s} {bootstrap_mean(values)}", flush=True)
    (HERE / "veiled_ways.json").write_text(json.dumps(found, indent=1) + "\n")
    lines = ["| source | way | AUPRC | both less it |", "| --- | --- | --- | --- |"]
    for source, ways in found.items():
        for name, values in ways.items():
            difference = bootstrap_mean([a - b for a, b in zip(ways["both"], values, strict=True)])
            lines.append(f"| {source} | {name} | {bootstrap_mean(values)} | {difference} |")
    page = [
        "# The two ways back of the veiled cycle",
        f"Written by `python benchmarks/veiled_ways.py STORE MODEL ...`: {len(values)} test subjects with a lesion, "
        f"whole volumes, {store.size_px} px; 95 % bootstrap intervals, differences paired by subject; mmccd "
        f"{mmccd.__version__}, seed 0, {machine()}.",
        "\n".join(lines),
    ]
    (HERE / "veiled_ways.md").write_text("\n\n".join(page) + "\n")


if __name__ == "__main__":
    main()
