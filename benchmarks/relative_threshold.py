"""Does a threshold travel better that is counted from each scan's own level? Label-free Dice of both, side by side.

    python benchmarks/relative_threshold.py WORK

WORK is what cross_validation.py and other_disease.py made: models of folds 2 and 3 are calibrated anew, which gives
their weights both thresholds, and score the 32 test patients of these folds and the two with multiple sclerosis; a
patient with multiple sclerosis has the mean over both folds. Writes relative_threshold.json and .md here.
"""

import json
import sys
from pathlib import Path

import pandas as pd
from cross_validation import SOURCES
from measure import write_page

from mmccd.comparison.contenders import BEST, DIFFUSION, INTENSITIES, Contender
from mmccd.comparison.judge import Judge, judge_intensity, judge_model
from mmccd.comparison.scores import score_volumes
from mmccd.data.own_folders import CARD
from mmccd.data.store import open_store
from mmccd.evaluation.intervals import bootstrap_mean
from mmccd.evaluation.tables import markdown_table
from mmccd.model.folder import load_model
from mmccd.system.files import write_json
from mmccd.training.calibrate import calibrate

HERE = Path(__file__).parent
FOLDS = (2, 3)
METHODS = {BEST: "veiled-cycle", "DAE, evidence": "dae", DIFFUSION: "mmccd"}
BASELINES = ("smoothed intensity", "intensity")
COLUMNS = ("dice", "relative_dice", "oracle_dice", "healthy_marked", "relative_healthy_marked")
Rows = list[dict[str, float]]


def main() -> None:
    work = Path(sys.argv[1])
    found = {source: {name: scored(work, source, name) for name in (*METHODS, *BASELINES)} for source in SOURCES}
    tables = []
    for source in SOURCES:
        tables.append(f"## {source.upper()} as input")
        for title, kind in (("Glioma", "glioma"), ("Multiple sclerosis", "ms")):
            lines = {name: by_patient(kinds[kind]) for name, kinds in found[source].items()}
            tables += [f"### {title}, {len(lines[BEST])} patients", compared(lines)]
    what = (
        "Written by `python benchmarks/relative_threshold.py WORK`: whole volumes, models of folds 2 and 3 of "
        "cross_validation.md, scored by evidence; *voxel* is the one threshold for all scans, *relative* is counted "
        "from the upper quartile of each scan's own map, both chosen without labels; *oracle* is the one threshold "
        "for all scans that suits their labels best; 95 % bootstrap intervals over patients, differences paired; seed 0"
    )
    write_page(HERE / "relative_threshold", "A threshold above the scan's own level", what, tables, found)


def scored(work: Path, source: str, name: str) -> dict[str, Rows]:
    """Rows by kind of disease, of both folds."""
    kept = work / "relative" / f"{source}_{name.replace(' ', '_')}.json"
    if not kept.exists():
        found: dict[str, Rows] = {"glioma": [], "ms": []}
        for fold in FOLDS:
            judge = judged(work, fold, source, name)
            for kind, store in (("glioma", f"store{fold}"), ("ms", "store_ms")):
                rows = score_volumes(judge, open_store(work / store), source)[0]["rows"]
                found[kind] += [{key: row[key] for key in ("subject", *COLUMNS)} for row in rows]
        write_json(kept, found)
    rows: dict[str, Rows] = json.loads(kept.read_text())
    return rows


def judged(work: Path, fold: int, source: str, name: str) -> Judge:
    store = open_store(work / f"store{fold}")
    old = work / f"ms{fold}_{source}" / "models" / source
    if name in INTENSITIES:
        config = load_model(old / METHODS[BEST]).config
        return judge_intensity(Contender(name, intensity=INTENSITIES[name]), store, source, config)
    new = work / "relative" / f"fold{fold}_{source}_{METHODS[name]}"
    if not (new / CARD).is_file():
        calibrate(old / METHODS[name], store, new)
    return judge_model(load_model(new))


def by_patient(rows: Rows) -> Rows:
    """One row for each, the mean of its rows; NaN where none is defined."""
    table = pd.DataFrame(rows).astype({column: float for column in COLUMNS})
    return table.groupby("subject")[list(COLUMNS)].mean().to_dict("records")


def compared(lines: dict[str, Rows]) -> str:
    """A table: thresholds side by side."""
    heads = ["voxel", "relative", "gain", "oracle", "healthy marked, voxel", "healthy marked, relative"]
    table = [["Dice of", *heads]]
    for name, rows in lines.items():
        values = {column: [row[column] for row in rows] for column in COLUMNS}
        gains = [after - before for before, after in zip(values["dice"], values["relative_dice"], strict=True)]
        shown = (values["dice"], values["relative_dice"], gains, *(values[column] for column in COLUMNS[2:]))
        table.append([name, *(str(bootstrap_mean(one)) for one in shown)])
    return markdown_table(table)


if __name__ == "__main__":
    main()
