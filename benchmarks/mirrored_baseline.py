"""What mirror images, which the veiled cycle restores as well, would bring the denoising autoencoder.

    python benchmarks/mirrored_baseline.py WORK [SOURCE]

WORK is what cross_validation.py made: its second and third fold are restored mirrored here, the first one was for
veiled_ways.json. So all patients are tested once, and compared with the rows of cross_validation.md. Writes
mirrored_baseline.json and .md here.
"""

import json
import sys
from pathlib import Path

import numpy as np
from cross_validation import pooled
from measure import write_page
from veiled_ways import Mirrored, auprcs, scorer_of

from mmccd.comparison.contenders import BEST
from mmccd.data.store import open_store
from mmccd.evaluation.intervals import bootstrap_mean
from mmccd.model.folder import load_model

HERE = Path(__file__).parent
PLAIN, MIRRORED = "DAE, evidence", "DAE, evidence, mirrored too"


def main() -> None:
    work, source = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "t1"
    folds = [work / f"fold{fold}_{source}" for fold in (2, 3)]
    rows = pooled([HERE / "results.csv", *(fold / "results.csv" for fold in folds)])[source]
    ways = json.loads((HERE / "veiled_ways.json").read_text())["test"][source]["DAE, mirrored too"]
    first = sorted(pooled([HERE / "results.csv"])[source][PLAIN])
    mirrored = dict(zip(first, ways, strict=True))
    for number, fold in zip((2, 3), folds, strict=True):
        mirrored |= restored_mirrored(fold / "models" / source / "dae", work / f"store{number}")
    found = {name: {subject: row["auprc"] for subject, row in rows[name].items()} for name in (BEST, PLAIN)}
    found[MIRRORED] = mirrored
    lines = [f"| {source.upper()} | AUPRC | {BEST} less it | ahead in |", "| --- | --- | --- | --- |"]
    for name, subjects in found.items():
        less = np.array([found[BEST][subject] - subjects[subject] for subject in sorted(subjects)])
        compared = "| |" if name == BEST else f"| {bootstrap_mean(less)} | {(less > 0).sum()} of {less.size} |"
        lines.append(f"| {name} | {bootstrap_mean([subjects[subject] for subject in sorted(subjects)])} {compared}")
    what = (
        f"Written by `python benchmarks/mirrored_baseline.py WORK {source}`: {len(found[BEST])} patients, each tested "
        "once, whole volumes; 95 % bootstrap intervals, differences paired by patient; seed 0"
    )
    title = "Mirror images for the denoising autoencoder"
    write_page(HERE / "mirrored_baseline", title, what, ["\n".join(lines)], found)


def restored_mirrored(folder: Path, store_path: Path) -> dict[str, float]:
    """AUPRC of the test subjects, with evidence from healthy restorations of both ways."""
    model, store = load_model(folder), open_store(store_path)
    return auprcs(scorer_of(model, Mirrored(model.method), store), store, "test", model.config.source)


if __name__ == "__main__":
    main()
