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

import numpy as np
from measure import write_page

from mmccd.comparison.contenders import LABELS
from mmccd.comparison.scores import scans
from mmccd.data.store import open_store
from mmccd.evaluation.intervals import bootstrap_mean
from mmccd.evaluation.metrics import Confusion, auprc
from mmccd.model.model import load_model
from mmccd.prediction.detector import Detector
from mmccd.scoring.maps import intensity_score, smoothed, typical_polarity
from mmccd.training.fuse import fuse

HERE = Path(__file__).parent


def main() -> None:
    store = open_store(Path(sys.argv[1]))
    models = {load_model(folder).config.source: Path(folder) for folder in sys.argv[2:]}
    (method,) = {LABELS[load_model(folder).config.method] for folder in sys.argv[2:]}
    subsets = [names for size in range(1, len(models) + 1) for names in combinations(models, size)]
    rows: dict[str, list[dict]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for names in subsets:
            if len(names) == 1:
                detector = Detector.load(models[names[0]])
            else:
                detector = Detector(fuse([models[name] for name in names], store, Path(folder) / "-".join(names)))
            rows[f"{method}, {' + '.join(names)}"] = [_row(one, *_found(detector, one)) for one in _subjects(store)]
    for names in subsets:
        rows[f"smoothed intensity, {' + '.join(names)}"] = [
            _row(one, _bright(store, one, names)) for one in _subjects(store)
        ]
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
    return [dict(zip(store.modalities, one, strict=True)) for one in together if one[0].lesion.any()]


def _found(detector, one):
    scan = next(iter(one.values()))
    found = detector.score_slices({name: one[name].source for name in detector.sources}, scan.brain, scan.slice_mm)
    return found, float(detector.threshold["value"])


def _bright(store, one, names):
    scan = one[names[0]]
    spacing_mm = (scan.slice_mm, *(store.manifest["pixel_mm"],) * 2)
    return np.sum(
        [smoothed(intensity_score(one[name].source, typical_polarity(name)), scan.brain, smooth_mm=4.0,
                  spacing_mm=spacing_mm) for name in names], axis=0
    )  # fmt: skip


def _row(one, found, threshold=None):
    scan = next(iter(one.values()))
    row = {"subject": scan.subject, "auprc": auprc(found[scan.brain], scan.lesion[scan.brain])}
    if threshold is not None:
        row["dice"] = Confusion.between(scan.brain & (found > threshold), scan.lesion).dice
    return row


if __name__ == "__main__":
    main()
