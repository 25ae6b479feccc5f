"""What `mmccd fuse` gains over each of its members: AUPRC and Dice on the whole volumes of a store's test subjects.

    python benchmarks/fusion_gain.py STORE MODEL MODEL ...

Models of one method and of different sources, which score by evidence, trained on the store. All pairs and all together
are fused on the validation subjects. Beside them stands what needs no network: the smoothed intensities of the same
modalities, and their sum. Writes fusion_gain.json and .md here.
"""

import sys
import tempfile
from itertools import combinations
from pathlib import Path

from measure import write_page
from volumes import CPU, lesion_of

from mmccd.comparison.scores import scans
from mmccd.data.store import open_store
from mmccd.evaluation.intervals import bootstrap_mean
from mmccd.evaluation.metrics import Confusion, auprc
from mmccd.model.config import typical
from mmccd.model.folder import load_model
from mmccd.model.scorer import FusedScorer
from mmccd.scoring.intensity_baseline import IntensityBaseline
from mmccd.training.fuse import fuse

HERE = Path(__file__).parent
SMOOTH_MM = 4.0


def main() -> None:
    store = open_store(Path(sys.argv[1]))
    models = {load_model(folder).config.source: Path(folder) for folder in sys.argv[2:]}
    (method,) = {load_model(folder).method.about.label for folder in sys.argv[2:]}
    subsets = [names for size in range(1, len(models) + 1) for names in combinations(models, size)]
    rows: dict[str, list[dict]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for names in subsets:
            members = [models[name] for name in names]
            alone = len(members) == 1
            model = load_model(members[0]) if alone else fuse(members, store, Path(folder) / "-".join(names))
            scorer, threshold = model.scorer(CPU), model.card.threshold.value
            rows[f"{method}, {' + '.join(names)}"] = [_row(scorer, one, threshold) for one in _subjects(store)]
    for names in subsets:
        bright = [IntensityBaseline(name, typical("polarity", name), "smoothed", SMOOTH_MM) for name in names]
        scorer = FusedScorer(list(zip(names, bright, strict=True)))
        rows[f"smoothed intensity, {' + '.join(names)}"] = [_row(scorer, one) for one in _subjects(store)]
    single = {name: [row["auprc"] for row in kept] for name, kept in rows.items()}
    first = f"{method}, {next(iter(models))}"
    lines = ["| input | AUPRC | less the first row | label-free Dice |", "| --- | --- | --- | --- |"]
    for name, kept in rows.items():
        difference = bootstrap_mean([a - b for a, b in zip(single[name], single[first], strict=True)])
        dice = bootstrap_mean([row["dice"] for row in kept]) if "dice" in kept[0] else ""
        lines.append(f"| {name} | {bootstrap_mean(single[name])} | {difference} | {dice} |")
    what = (
        f"Written by `python benchmarks/fusion_gain.py STORE MODEL ...`: {len(kept)} test subjects with a lesion, "
        f"whole volumes, {store.size_px} px; 95 % bootstrap intervals, differences paired by subject; seed 0"
    )
    write_page(HERE / "fusion_gain", "What several modalities gain", what, ["\n".join(lines)], rows)


def _subjects(store):
    """Each test subject as its scans by modality."""
    together = zip(*(scans(store, "test", name) for name in store.modalities), strict=True)
    return [dict(zip(store.modalities, one, strict=True)) for one in together if one[0].expert.has_lesion]


def _row(scorer, one, threshold=None):
    """Of one subject: AUPRC; and Dice of a threshold."""
    scan = next(iter(one.values()))
    found = scorer.anomaly_map({name: each.source for name, each in one.items()}, scan.brain, scan.spacing_mm)
    lesion = lesion_of(scan)
    row = {"subject": scan.expert.id, "auprc": auprc(found[scan.brain], lesion[scan.brain])}
    if threshold is not None:
        row["dice"] = Confusion.between(scan.brain & (found > threshold), lesion).dice
    return row


if __name__ == "__main__":
    main()
