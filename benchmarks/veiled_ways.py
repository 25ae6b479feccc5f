"""What the ways back of the veiled cycle find alone and together, and what a mirror image brings.

    python benchmarks/veiled_ways.py STORE MODEL [MODEL ...]

Models trained on the store: veiled cycles, and others that restore a slice at once, for comparison. Each way is scored
with the evidence of its own healthy restorations. How they are put together was chosen on the validation subjects.
Writes veiled_ways.json and .md here.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from measure import write_page
from torch import nn

from mmccd.comparison.contenders import LABELS
from mmccd.comparison.scores import scans
from mmccd.data.store import open_store
from mmccd.evaluation.intervals import bootstrap_mean
from mmccd.evaluation.metrics import auprc
from mmccd.method.veiled_cycle import LEFT_RIGHT
from mmccd.model.build import build_error
from mmccd.model.model import load_model
from mmccd.prediction.detector import Detector
from mmccd.training.calibration import count_healthy

HERE = Path(__file__).parent
TOGETHER = "all, the least"
PAIRS = {
    "straight back": [0, 2],
    "through the cycle": [1, 3],
    "not mirrored": [0, 1],
    TOGETHER: [0, 1, 2, 3],
}
"""Of x_hat and its spread, in the order of `VeiledCycle.restorations`."""


class Some(nn.Module):
    """Some of the ways of a veiled cycle: as one restoration, or each as a mask of its own, for their mean."""

    def __init__(self, method: nn.Module, pairs: list[int], *, mean: bool = False) -> None:
        super().__init__()
        self.method, self.pairs, self.mean = method, pairs, mean

    def restorations(self, source):
        ((hidden, restored),) = self.method.restorations(source)
        some = torch.stack([restored[0, :, 2 * pair : 2 * pair + 2] for pair in self.pairs])
        some = some if self.mean else torch.cat(list(some), dim=1)[None]
        yield hidden.expand(len(some), -1, -1, -1, -1), some


class Mirrored(nn.Module):
    """Another method, with the mirror image as a second way; a spread of 1 stands for the one that it has not."""

    def __init__(self, method: nn.Module) -> None:
        super().__init__()
        self.method = method

    def restorations(self, source):
        ((hidden, plain),) = self.method.restorations(source)
        ((_, mirrored),) = self.method.restorations(source.flip(LEFT_RIGHT))
        same = torch.ones_like(plain)
        yield hidden, torch.cat([plain, same, mirrored.flip(LEFT_RIGHT), same], dim=2)


def ways_of(model) -> dict[str, nn.Module]:
    if model.config.method != "veiled-cycle":
        label = LABELS[model.config.method]
        return {label: model.method, f"{label}, mirrored too": Mirrored(model.method)}
    ways = {name: Some(model.method, pairs) for name, pairs in PAIRS.items()}
    return {"all, their mean": Some(model.method, PAIRS[TOGETHER], mean=True), **ways}


def main() -> None:
    store = open_store(Path(sys.argv[1]))
    found: dict[str, dict[str, dict[str, list[float]]]] = {"validation": {}, "test": {}}
    for folder in sys.argv[2:]:
        model = load_model(folder)
        source = model.config.source
        for name, method in ways_of(model).items():
            counts = count_healthy(method, store, model.config, torch.device("cpu")).sum(dim=0)
            detector = Detector(replace(model, method=method, error=build_error(model.config, counts)), device="cpu")
            for part, sources in found.items():
                values = [
                    auprc(detector.score_slices({source: scan.source}, scan.brain, scan.slice_mm)[scan.brain],
                          scan.lesion[scan.brain])
                    for scan in scans(store, part, source) if scan.lesion.any()
                ]  # fmt: skip
                sources.setdefault(source, {})[name] = [float(value) for value in values]
                print(f"{part:10s} {source:6s} {name:18s} {bootstrap_mean(values)}", flush=True)
    tables = []
    for part, sources in found.items():
        lines = [f"| source | way | AUPRC | {TOGETHER}, less it |", "| --- | --- | --- | --- |"]
        for source, ways in sources.items():
            for name, values in ways.items():
                difference = bootstrap_mean([a - b for a, b in zip(ways[TOGETHER], values, strict=True)])
                lines.append(f"| {source} | {name} | {bootstrap_mean(values)} | {difference} |")
        tables += [f"## {len(values)} {part} subjects with a lesion", "\n".join(lines)]
    what = (
        "Written by `python benchmarks/veiled_ways.py STORE MODEL ...`: whole volumes, "
        f"{store.size_px} px; 95 % bootstrap intervals, differences paired by subject; seed 0"
    )
    write_page(HERE / "veiled_ways", "The ways back of the veiled cycle", what, tables, found)


if __name__ == "__main__":
    main()
