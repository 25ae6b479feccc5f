"""What is learnt from all tissue away from lesions, instead of from slices without one: AUPRC, three seeds each.

    python benchmarks/healthy_regions.py WORK SOURCE ...

WORK is what cross_validation.py made: the second fold, whose 16 test patients are no test patients of RESULTS.md. The
veiled cycle is trained as there, on healthy slices and on healthy regions. Of each patient the mean over the seeds
counts. Rule, written before: regions become what `best` trains on in a modality where the paired interval lies above 0
and the gain is 0.02 or more. A killed run goes on. Writes healthy_regions.json and .md here.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from measure import write_page
from volumes import over_brain

from mmccd.comparison.plan import Plan, training_config
from mmccd.comparison.scores import scans
from mmccd.data.own_folders import kind_of
from mmccd.data.store import open_store
from mmccd.evaluation.intervals import bootstrap_mean
from mmccd.evaluation.metrics import auprc
from mmccd.evaluation.tables import markdown_table
from mmccd.model.folder import load_model
from mmccd.training.train import train

HERE = Path(__file__).parent
FOLD, SEEDS, WORTH = 2, (0, 1, 2), 0.02
STEPS = {"training.steps": 600, "training.validate_every": 300}
KINDS = {
    "slices": {"training.healthy": "slices"},
    "regions, 13 mm": {"training.healthy": "regions", "training.lesion_margin_mm": 13},
}


def main() -> None:
    work, sources = Path(sys.argv[1]), sys.argv[2:]
    store = open_store(work / f"store{FOLD}")
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for source in sources:
        for seed in SEEDS:
            for kind, settings in KINDS.items():
                folder = work / "regions" / source / f"{kind} {seed}".replace(", ", "_").replace(" ", "_")
                config = training_config(Plan(overrides=STEPS | settings, seed=seed), store, source, "veiled-cycle")
                if kind_of(folder) != "model":
                    train(store, folder, config, resume=True)
                kept = folder.with_suffix(".json")
                if not kept.exists():
                    scorer = load_model(folder).scorer(torch.device("cpu"), batch_size=32)
                    maps = [over_brain(scorer, scan, {source: scan.source}) for scan in scans(store, "test", source)]
                    kept.write_text(json.dumps([float(auprc(*one)) for one in maps]))
                values = json.loads(kept.read_text())
                found.setdefault(source, {}).setdefault(kind, {})[str(seed)] = values
                print(source, kind, seed, bootstrap_mean(values), flush=True)
    what = (
        f"Written by `python benchmarks/healthy_regions.py WORK {' '.join(sources)}`: veiled cycle by evidence, whole "
        f"volumes of the {len(values)} test patients of fold {FOLD}, {store.size_px} px, 600 steps; mean over seeds "
        f"{', '.join(map(str, SEEDS))} with 95 % bootstrap intervals over patients, differences paired by patient"
    )
    tables = [part for source in sources for part in (f"## {source.upper()} as input", compared(found[source]))]
    won = [source.upper() for source in sources if worth_it(found[source])]
    tables.insert(0, f"**By the rule regions are worth it for: {', '.join(won) or 'none'}.**")
    write_page(HERE / "healthy_regions", "Healthy slices or healthy regions", what, tables, found)


def compared(kinds: dict[str, dict[str, list[float]]]) -> str:
    """A table: AUPRC of each seed, their mean, and what regions gain."""
    table = [["learnt from", *(f"seed {seed}" for seed in SEEDS), "mean of the seeds", "less slices"]]
    means = {kind: np.mean(list(seeds.values()), axis=0) for kind, seeds in kinds.items()}
    for kind, seeds in kinds.items():
        gain = "" if kind == "slices" else str(bootstrap_mean(means[kind] - means["slices"]))
        each = [f"{np.mean(values):.3f}" for values in seeds.values()]
        table.append([kind, *each, str(bootstrap_mean(means[kind])), gain])
    return markdown_table(table)


def worth_it(kinds: dict[str, dict[str, list[float]]]) -> bool:
    """The rule of the first lines."""
    slices, regions = (np.mean(list(kinds[kind].values()), axis=0) for kind in KINDS)
    gain = bootstrap_mean(regions - slices)
    return gain.low > 0 and gain.mean >= WORTH


if __name__ == "__main__":
    main()
