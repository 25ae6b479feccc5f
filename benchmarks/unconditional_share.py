"""How much weight an intensity by itself deserves beside the restoration: every method and source, on the same lesions.

    python benchmarks/unconditional_share.py STORE MODEL [MODEL ...]

Models that score by evidence, trained on the store. Whole volumes of the subjects of its validation part, whose healthy
slices say what is ordinary and whose lesions nobody has trained on; test subjects stay unseen. Writes
unconditional_share.json and .md here.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from measure import machine

import mmccd
from mmccd.benchmark_scores import scans
from mmccd.bootstrap import bootstrap_mean
from mmccd.calibration import count_healthy
from mmccd.contenders import LABELS
from mmccd.detector import Detector
from mmccd.evidence import TailEvidence
from mmccd.metrics import auprc
from mmccd.model_file import load_model
from mmccd.scoring import typical_polarity
from mmccd.store import open_store

HERE = Path(__file__).parent
SHARES = (0.0, 0.25, 0.5, 1.0)


def main() -> None:
    store = open_store(Path(sys.argv[1]))
    found: dict[str, dict[str, list[float]]] = {}
    for folder in sys.argv[2:]:
        model = load_model(folder)
        source = model.config.source
        counts = count_healthy(model.method, store, model.config, torch.device("cpu")).sum(dim=0)
        for share in SHARES:
            evidence = TailEvidence(counts, polarity=typical_polarity(source), unconditional=share)
            detector = Detector(replace(model, error=evidence), device="cpu")
            values = [
                auprc(detector.score_slices({source: scan.source}, scan.brain, scan.slice_mm)[scan.brain],
                      scan.lesion[scan.brain])
                for scan in scans(store, "validation", source) if scan.lesion.any()
            ]  # fmt: skip
            name = f"{source}, {LABELS[model.config.method]}"
            found.setdefault(name, {})[str(share)] = [float(value) for value in values]
            print(f"{name:24s} {share:4.2f} {bootstrap_mean(values)}", flush=True)
    (HERE / "unconditional_share.json").write_text(json.dumps(found, indent=1) + "\n")
    lines = [f"| | {' | '.join(map(str, SHARES))} | 0.5 less 0 |", f"| --- |{' --- |' * (len(SHARES) + 1)}"]
    for name, shares in found.items():
        difference = bootstrap_mean([a - b for a, b in zip(shares["0.5"], shares["0.0"], strict=True)])
        means = " | ".join(f"{bootstrap_mean(values).mean:.3f}" for values in shares.values())
        lines.append(f"| {name} | {means} | {difference} |")
    page = [
        "# How much an intensity by itself says",
        "Written by `python benchmarks/unconditional_share.py STORE MODEL ...`: mean AUPRC by `scoring.unconditional`, "
        f"{len(values)} validation subjects with lesion, whole volumes, {store.size_px} px; 95 % bootstrap intervals "
        f"paired by subject; mmccd {mmccd.__version__}, seed 0, {machine()}.",
        "\n".join(lines),
    ]
    (HERE / "unconditional_share.md").write_text("\n\n".join(page) + "\n")


if __name__ == "__main__":
    main()
