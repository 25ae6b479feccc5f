"""Over which pixels is the ordinary learnt: all that the brain touches, or the brain alone?

    python benchmarks/evidence_region.py WORK

A pixel of a resampled slice that the brain touches holds something, and is brain only where at least half of it is.
The rim beside the brain is darker than tissue. WORK is what cross_validation.py made: its second fold, whose 16 test
patients are no test patients of RESULTS.md. The veiled cycles there learnt sigma over the brain; here they are trained
once more with sigma over all that the brain touches, and evidence of both is counted both ways. Rule, written before:
the brain alone, unless AUPRC of a modality is lower then by an interval that leaves out 0. Writes evidence_region.json
and .md here.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

from cross_validation import SOURCES
from measure import write_page
from volumes import CPU, healthy_apart

from mmccd.comparison.judge import Judge
from mmccd.comparison.scores import score_volumes
from mmccd.data.healthy import HealthyTissue
from mmccd.data.own_folders import kind_of
from mmccd.data.store import Store, open_store
from mmccd.evaluation.intervals import Interval, bootstrap_mean
from mmccd.evaluation.tables import markdown_table
from mmccd.method.intensity import BACKGROUND
from mmccd.model.folder import load_model
from mmccd.model.model import Model
from mmccd.training.batches import SlicePairs
from mmccd.training.calibration import fit_error, thresholds_of
from mmccd.training.train import train

HERE = Path(__file__).parent
FOLD = 2
COLUMNS = {"auprc": "AUPRC", "dice": "label-free Dice", "healthy_marked": "healthy marked"}
REGIONS = ("touched", "brain")
BEFORE, AFTER = "sigma touched, counts touched", "sigma brain, counts brain"


class TouchedPairs(SlicePairs):
    """Batches whose brain is every pixel that it touches."""

    def __getitem__(self, rows):
        batch = super().__getitem__(rows)
        return batch | {"brain": batch["source"] > BACKGROUND}


@dataclass(frozen=True)
class TouchedStore(Store):
    """A store whose brain is every pixel of the source that it touches."""

    source: str

    def array(self, name):
        return super().array(self.source) > BACKGROUND if name == "brain" else super().array(name)


def main() -> None:
    work = Path(sys.argv[1])
    store = open_store(work / f"store{FOLD}")
    found = {source: {} for source in SOURCES}
    for source in SOURCES:
        models = {"brain": load_model(work / f"fold{FOLD}_{source}" / "models" / source / "veiled-cycle")}
        models["touched"] = trained_on_touched(models["brain"], store, work / "touched" / source)
        for sigma in REGIONS:
            for counts in REGIONS:
                rows = score_volumes(judged(models[sigma], store, counts), store, source)[0]["rows"]
                name = f"sigma {sigma}, counts {counts}"
                found[source][name] = [{key: float(row[key]) for key in COLUMNS} for row in rows]
                print(source, name, bootstrap_mean([row["auprc"] for row in rows]), flush=True)
    patients = len(found[SOURCES[0]][AFTER])
    what = (
        f"Written by `python benchmarks/evidence_region.py WORK`: whole volumes of the {patients} test patients of "
        f"fold {FOLD}, veiled cycle by evidence; 95 % bootstrap intervals, differences paired by patient; seed 0. "
        "*Touched*: every pixel that holds something; *brain*: those of which at least half is brain"
    )
    tables = [part for source in SOURCES for part in (f"## {source.upper()} as input", compared(found[source]))]
    lost = [source.upper() for source in SOURCES if gain(found[source], AFTER, "auprc").high < 0]
    kept = f"every pixel, for {', '.join(lost)}" if lost else "the brain alone, which loses nowhere"
    tables.insert(0, f"**By the rule: {kept}.**")
    write_page(HERE / "evidence_region", "Over which pixels the ordinary is learnt", what, tables, found)


def trained_on_touched(model: Model, store: Store, folder: Path) -> Model:
    """The same training, with the loss of sigma over every pixel that the brain touches."""
    if kind_of(folder) != "model":
        with patch("mmccd.training.train.SlicePairs", TouchedPairs):
            train(store, folder, model.config, resume=True)
    return load_model(folder)


def judged(model: Model, store: Store, counts: str) -> Judge:
    """The networks with evidence counted over a region, and thresholds chosen on the healthy brain."""
    counted = store
    if counts == "touched":
        counted = TouchedStore(store.path, store.manifest, model.config.source)
    error, errors = fit_error(model.method, counted, model.config, CPU)
    scorer = replace(model, error=error).scorer(CPU)
    return Judge(
        scorer, thresholds_of(healthy_apart(scorer, errors, store), HealthyTissue(store), model.config.scoring)
    )


def compared(rows: dict[str, list[dict[str, float]]]) -> str:
    """A table: means, and what each choice gains over what was done before."""
    table = [["sigma and counts over", *COLUMNS.values(), "AUPRC, less the first row", "Dice, less the first row"]]
    for name, mine in rows.items():
        gains = [gain(rows, name, key) for key in ("auprc", "dice")]
        means = [bootstrap_mean([row[key] for row in mine]) for key in COLUMNS]
        table.append([name, *map(str, means), *(["", ""] if name == BEFORE else map(str, gains))])
    return markdown_table(table)


def gain(rows: dict[str, list[dict[str, float]]], name: str, key: str) -> Interval:
    """Of one choice, over what was done before."""
    return bootstrap_mean([row[key] - before[key] for row, before in zip(rows[name], rows[BEFORE], strict=True)])


if __name__ == "__main__":
    main()
