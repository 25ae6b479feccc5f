"""How much weight an intensity by itself deserves beside the restoration: every method and source, on the same lesions.

    python benchmarks/unconditional_share.py STORE MODEL [MODEL ...]

Models that score by evidence, trained on the store. Whole volumes of the subjects of its validation part, whose healthy
slices say what is ordinary and whose lesions nobody has trained on; test subjects stay unseen. Writes
unconditional_share.json and .md here.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from measure import write_page

from mmccd.comparison.contenders import LABELS
from mmccd.comparison.scores import scans
from mmccd.data.store import open_store
from mmccd.evaluation.intervals import bootstrap_mean
from mmccd.evaluation.metrics import auprc
from mmccd.model.model import load_model
from mmccd.prediction.detector import Detector
from mmccd.scoring.evidence import TailEvidence
from mmccd.scoring.maps import typical_polarity
from mmccd.training.calibration import count_healthy

HERE = Path(__file__).parent
SHARES = (0.0, 0.25, 0.5, 1.0)


def main() -> None:
    store = open_store(Path(sys.argv[1]))
    table: dict[str, dict[str, list[float]]] = {}
    for folder in sys.argv[2:]:
        model = load_model(folder)
        source = model.config.source
        counts = count_healthy(model.method, store, model.config, torch.device("cpu")).sum(dim=0)
        given, alone = (
            Detector(
                replace(model, error=TailEvidence(counts, polarity=typical_polarity(source), unconditional=share)),
                device="cpu",
            )
            for share in (0.0, 1.0)
        )
        shares: dict[str, list[float]] = {str(share): [] for share in SHARES}
        for scan in scans(store, "validation", source):
            if scan.lesion.any():
                maps = [one.score_slices({source: scan.source}, scan.brain, scan.slice_mm) for one in (given, alone)]
                without, only = (found[scan.brain] for found in maps)
                for share in SHARES:  # smoothing and the mean over masks are linear, so both maps are enough
                    mixed = (1 - share) * without + share * only
                    shares[str(share)].append(float(auprc(mixed, scan.lesion[scan.brain])))
        table[f"{source}, {LABELS[model.config.method]}"] = shares
        for share, values in shares.items():
            print(f"{source}, {LABELS[model.config.method]:14s} {share:4s} {bootstrap_mean(values)}", flush=True)
    lines = [f"| | {' | '.join(map(str, SHARES))} | 0.5 less 0 |", f"| --- |{' --- |' * (len(SHARES) + 1)}"]
    for name, shares in table.items():
        difference = bootstrap_mean([a - b for a, b in zip(shares["0.5"], shares["0.0"], strict=True)])
        means = " | ".join(f"{bootstrap_mean(values).mean:.3f}" for values in shares.values())
        lines.append(f"| {name} | {means} | {difference} |")
    what = (
        "Written by `python benchmarks/unconditional_share.py STORE MODEL ...`: mean AUPRC by `scoring.unconditional`, "
        f"{len(values)} validation subjects with lesion, whole volumes, {store.size_px} px; 95 % bootstrap intervals "
        "paired by subject; seed 0"
    )
    write_page(HERE / "unconditional_share", "How much an intensity by itself says", what, ["\n".join(lines)], table)


if __name__ == "__main__":
    main()
