"""What the published diffusion gains from healthy regions: AUPRC by the paper's error and by evidence.

    python benchmarks/mmccd_regions.py WORK SOURCE ...

WORK is what cross_validation.py made: the second fold, whose 16 test patients are no test patients of RESULTS.md. MMCCD
is trained twice, as there: on healthy slices, as in the paper, and on all tissue 13 mm from lesions and more. It is
scored by the paper's squared error and by evidence. Rule, written before: it gains from regions where the paired
interval lies above 0 and the mean is 0.02 or more. A killed run goes on. Writes mmccd_regions.json and .md here.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from healthy_regions import FOLD, KINDS, STEPS, WORTH
from measure import write_page
from volumes import CPU, over_brain

from mmccd.comparison.contenders import SQUARED
from mmccd.comparison.plan import Plan, training_config
from mmccd.comparison.scores import scans
from mmccd.data.own_folders import kind_of
from mmccd.data.store import Store, open_store
from mmccd.evaluation.intervals import bootstrap_mean
from mmccd.evaluation.metrics import auprc
from mmccd.evaluation.tables import markdown_table
from mmccd.method.anomaly_map import squared_error
from mmccd.model.config import load_config
from mmccd.model.folder import load_model
from mmccd.model.scorer import Scorer
from mmccd.training.train import train

HERE = Path(__file__).parent
SEED = 0
Values = dict[str, dict[str, list[float]]]
"""AUPRC of each patient, by what was learnt from and by error."""


def main() -> None:
    work, sources = Path(sys.argv[1]), sys.argv[2:]
    store = open_store(work / f"store{FOLD}")
    found: dict[str, Values] = {}
    for source in sources:
        for kind, settings in KINDS.items():
            folder = work / "by_method" / source / f"mmccd_{settings['training.healthy']}"
            if kind_of(folder) != "model":
                train(
                    store, folder, training_config(Plan(overrides=STEPS | settings, seed=SEED), store, source, "mmccd")
                )
            values = found.setdefault(source, {})[kind] = scored(folder, store, source)
            print(source, kind, {error: str(bootstrap_mean(one)) for error, one in values.items()}, flush=True)
    count = len(next(iter(values.values())))
    what = (
        f"Written by `python benchmarks/mmccd_regions.py WORK {' '.join(sources)}`: MMCCD, whole volumes of the "
        f"{count} test patients of fold {FOLD}, {store.size_px} px, 600 steps, seed {SEED}; AUPRC with 95 % bootstrap "
        "intervals over patients, differences paired by patient"
    )
    write_page(HERE / "mmccd_regions", "MMCCD on healthy regions", what, [verdict(found), compared(found)], found)


def scored(folder: Path, store: Store, source: str) -> dict[str, list[float]]:
    """AUPRC of each patient by the paper's squared error and by evidence; kept beside the model."""
    kept = folder.with_suffix(".json")
    if not kept.exists():
        model = load_model(folder)
        evidence = model.scorer(CPU, batch_size=32)
        paper = load_config([], {**model.config.model_dump(mode="json"), **SQUARED})
        errors: dict[str, Scorer] = {
            "squared": replace(evidence, error=squared_error, config=paper),
            "evidence": evidence,
        }
        tested = list(scans(store, "test", source))
        values = {
            name: [float(auprc(*over_brain(scorer, scan, {source: scan.source}))) for scan in tested]
            for name, scorer in errors.items()
        }
        kept.write_text(json.dumps(values))
    found: dict[str, list[float]] = json.loads(kept.read_text())
    return found


def compared(found: dict[str, Values]) -> str:
    """A table: AUPRC from slices, from regions, and what regions gain."""
    slices, regions = KINDS
    table = [["input", "error", "learnt from slices", f"learnt from {regions}", "less slices"]]
    for source, values in found.items():
        for error in values[slices]:
            before, after = values[slices][error], values[regions][error]
            means = map(bootstrap_mean, (before, after, np.subtract(after, before)))
            table.append([source.upper(), error, *map(str, means)])
    return markdown_table(table)


def verdict(found: dict[str, Values]) -> str:
    """By the rule of the first lines."""
    slices, regions = KINDS
    gaining = []
    for source, values in found.items():
        for error in values[slices]:
            gain = bootstrap_mean(np.subtract(values[regions][error], values[slices][error]))
            if gain.low > 0 and gain.mean >= WORTH:
                gaining.append(f"{source.upper()} by {error}")
    return f"**By the rule MMCCD gains from regions on: {', '.join(gaining) or 'none'}.**"


if __name__ == "__main__":
    main()
