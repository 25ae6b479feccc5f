"""What the ways back of the veiled cycle find alone and together, and what a mirror image brings.

    python benchmarks/veiled_ways.py STORE MODEL [MODEL ...]

Models trained on the store: veiled cycles, and others that restore a slice at once, for comparison. Each way is scored
with the evidence of its own healthy restorations. How they are put together was chosen on the validation subjects.
Writes veiled_ways.json and .md here.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from measure import write_page
from torch import nn
from volumes import CPU, over_brain

from mmccd.comparison.scores import scans
from mmccd.data.store import Store, open_store
from mmccd.evaluation.intervals import bootstrap_mean
from mmccd.evaluation.metrics import auprc
from mmccd.method.anomaly_map import Restoration
from mmccd.method.veiled_cycle import LEFT_RIGHT
from mmccd.model.folder import load_model
from mmccd.model.model import Model
from mmccd.model.scorer import Scorer
from mmccd.training.calibration import fit_error

HERE = Path(__file__).parent
TOGETHER = "all, the least"
WAYS = {
    "straight back": [0, 2],
    "through the cycle": [1, 3],
    "not mirrored": [0, 1],
    TOGETHER: [0, 1, 2, 3],
}
"""In the order of `VeiledCycle.restorations`."""


class Some(nn.Module):
    """Some of the ways of a veiled cycle: as one restoration, or each as a mask of its own, for their mean."""

    def __init__(self, method: nn.Module, ways: list[int], *, mean: bool = False) -> None:
        super().__init__()
        self.method, self.ways, self.mean, self.evaluations = method, ways, mean, method.evaluations

    def restorations(self, source):
        (found,) = self.method.restorations(source)
        restored, sigma = (one[0, :, self.ways] for one in (found.restored, found.sigma))
        if not self.mean:
            yield Restoration.of_whole_slices(restored, sigma)
            return
        for way in range(len(self.ways)):
            yield Restoration.of_whole_slices(restored[:, [way]], sigma[:, [way]])


class Mirrored(nn.Module):
    """Another method, with the mirror image as a second way; a sigma of 1 stands for the one that it has not."""

    def __init__(self, method: nn.Module) -> None:
        super().__init__()
        self.method, self.evaluations = method, 2 * method.evaluations

    def restorations(self, source):
        (plain,) = self.method.restorations(source)
        (mirrored,) = self.method.restorations(source.flip(LEFT_RIGHT))
        both = torch.cat([plain.restored, mirrored.restored.flip(LEFT_RIGHT)], dim=2)
        yield replace(plain, restored=both, sigma=torch.ones_like(both))


def ways_of(model: Model) -> dict[str, nn.Module]:
    if model.config.method != "veiled-cycle":
        label = model.method.about.label
        return {label: model.method, f"{label}, mirrored too": Mirrored(model.method)}
    ways = {name: Some(model.method, some) for name, some in WAYS.items()}
    return {"all, their mean": Some(model.method, WAYS[TOGETHER], mean=True), **ways}


def scorer_of(model: Model, method: nn.Module, store: Store) -> Scorer:
    """A method in place of the model's own, by the evidence of its own healthy restorations."""
    error, _ = fit_error(method, store, model.config, CPU)
    return replace(model, method=method, error=error).scorer(CPU)


def auprcs(scorer: Scorer, store: Store, part: str, source: str) -> dict[str, float]:
    """Of each subject of a part; NaN without a lesion."""
    return {
        scan.expert.id: float(auprc(*over_brain(scorer, scan, {source: scan.source})))
        for scan in scans(store, part, source)
    }


def main() -> None:
    store = open_store(Path(sys.argv[1]))
    found: dict[str, dict[str, dict[str, list[float]]]] = {"validation": {}, "test": {}}
    for folder in sys.argv[2:]:
        model = load_model(folder)
        source = model.config.source
        for name, method in ways_of(model).items():
            scorer = scorer_of(model, method, store)
            for part, sources in found.items():
                values = [value for value in auprcs(scorer, store, part, source).values() if np.isfinite(value)]
                sources.setdefault(source, {})[name] = values
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
