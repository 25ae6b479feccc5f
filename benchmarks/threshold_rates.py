"""How much of a healthy brain may lie above the threshold: label-free Dice by false-positive rate, beside the oracle's.

    python benchmarks/threshold_rates.py WORK

WORK is what cross_validation.py made. Only its second and third fold are looked at, whose test subjects train and
validate in RESULTS.md: the test subjects of that page took no part in choosing a rate. Writes threshold_rates.json and
.md here.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from measure import write_page
from volumes import CPU, Floats, Mask, healthy_apart, over_brain

from mmccd.comparison.scores import scans
from mmccd.data.store import Store, open_store
from mmccd.evaluation.metrics import Confusion
from mmccd.evaluation.oracle import DiceCurve, best_threshold, threshold_value
from mmccd.method.registry import METHODS
from mmccd.model.folder import load_model
from mmccd.model.model import Model
from mmccd.scoring.thresholds import voxel_threshold
from mmccd.training.calibration import fit_error

HERE = Path(__file__).parent
RATES = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1)
FOLDS = (2, 3)
ORACLE = "oracle"


def main() -> None:
    work = Path(sys.argv[1])
    lines = [f"| | {' | '.join(f'{rate:.0%}' for rate in RATES)} | {ORACLE} |", "| --- |" + " --- |" * (len(RATES) + 1)]
    table: dict[str, dict[str, list[float]]] = {}
    for source in ("flair", "t1", "t2"):
        for method in ("veiled-cycle", "dae"):
            row: dict[str, list[float]] = {}
            for fold in FOLDS:
                model = load_model(work / f"fold{fold}_{source}" / "models" / source / method)
                healthy, cases = found_by(model, open_store(work / f"store{fold}"), source)
                cuts = {f"{rate:.0%}": voxel_threshold(healthy, rate=rate).value for rate in RATES}
                oracle = best_threshold(DiceCurve.of(score, lesion, int(lesion.sum())) for score, lesion in cases)
                cuts[ORACLE] = threshold_value(oracle or 0)
                for name, cut in cuts.items():
                    values = [float(Confusion.between(score > cut, lesion).dice) for score, lesion in cases]
                    row.setdefault(name, []).extend(values)
            name_of_row = f"{source}, {METHODS[method].about.label}"
            table[name_of_row] = row
            *free, oracle = (float(np.mean(values)) for values in row.values())
            shown = [f"{dice:.3f} ({dice / oracle - 1:+.0%})" for dice in free]
            lines.append(f"| {name_of_row} | {' | '.join(shown)} | {oracle:.3f} |")
            print(lines[-1], flush=True)
    what = (
        f"Written by `python benchmarks/threshold_rates.py WORK`: mean Dice over {len(row[ORACLE])} patients in "
        "two folds, whole volumes, 64 px; in brackets, how far from the one threshold of a fold that was chosen with "
        "labels; seed 0"
    )
    write_page(HERE / "threshold_rates", "Label-free Dice by false-positive rate", what, ["\n".join(lines)], table)


def found_by(model: Model, store: Store, source: str) -> tuple[list[Floats], list[tuple[Floats, Mask]]]:
    """Of each validation patient the map over its healthy brain; of each test subject map and lesion over the brain.

    Evidence is that of the validation patients; each of them is scored by that of the others, as in a calibration.
    """
    error, errors = fit_error(model.method, store, model.config, CPU)
    scorer = replace(model, error=error).scorer(CPU)
    healthy = [np.concatenate(scans_of_one) for scans_of_one in healthy_apart(scorer, errors, store)]
    tested = [scan for scan in scans(store, "test", source) if scan.expert.has_lesion]
    return healthy, [over_brain(scorer, scan, {source: scan.source}) for scan in tested]


if __name__ == "__main__":
    main()
