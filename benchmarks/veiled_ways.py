"""What the two ways back of the veiled cycle find alone and together: AUPRC on whole volumes.

    python benchmarks/veiled_ways.py STORE MODEL [MODEL ...]

Veiled cycles trained on the store. Each way is scored with the evidence of its own healthy restorations. How both are
put together was chosen on the validation subjects. Writes veiled_ways.json and .md here.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from measure import write_page
from torch import nn

from mmccd.benchmark_scores import scans
from mmccd.bootstrap import bootstrap_mean
from mmccd.calibration import count_healthy
from mmccd.detector import Detector
from mmccd.methods import build_error
from mmccd.metrics import auprc
from mmccd.model_file import load_model
from mmccd.store import open_store

HERE = Path(__file__).parent
TOGETHER = "both, the least"
WAYS = {
    "straight back": lambda pairs: pairs[:, :, :2],
    "through the cycle": lambda pairs: pairs[:, :, 2:],
    "both, their mean": lambda pairs: torch.cat([pairs[:, :, :2], pairs[:, :, 2:]]),
    TOGETHER: lambda pairs: pairs,
}


class Some(nn.Module):
    """A method whose restorations are made of those of another."""

    def __init__(self, method: nn.Module, way) -> None:
        super().__init__()
        self.method, self.way = method, way

    def restorations(self, source):
        for hidden, restored in self.method.restorations(source):
            some = self.way(restored)
            yield hidden.expand(len(some), -1, -1, -1, -1), some


def main() -> None:
    store = open_store(Path(sys.argv[1]))
    found: dict[str, dict[str, dict[str, list[float]]]] = {"validation": {}, "test": {}}
    for folder in sys.argv[2:]:
        model = load_model(folder)
        source = model.config.source
        for name, way in WAYS.items():
            method = Some(model.method, way)
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
    write_page(HERE / "veiled_ways", "The two ways back of the veiled cycle", what, tables, found)


if __name__ == "__main__":
    main()
