"""Every patient of a cohort tested once, by models that never saw it: three folds, their test subjects pooled.

    python benchmarks/cross_validation.py DATA WORK RESULTS

DATA is a cohort with a split.csv, WORK a folder that keeps stores and benchmarks; a killed run goes on. The first fold
is that of RESULTS.md, whose output is RESULTS: it tests the test part of the split. The others test every second
subject of the rest each; of those who are not tested every third, by name, chooses thresholds and the others train. The
methods are those that come nearest to the preset `best`, and intensities. Writes cross_validation.json and .md here.
"""

import csv
import json
import sys
from pathlib import Path

from measure import run, write_page

from mmccd.bootstrap import bootstrap_mean
from mmccd.contenders import BEST
from mmccd.splits import read_split_csv

HERE = Path(__file__).parent
NEAREST = {"flair": "dae,cyclic-unet,veiled-cycle", "t1": "dae,veiled-cycle", "t2": "dae,veiled-cycle"}
SETTINGS = "--no-published --set training.steps=600 --set training.validate_every=300"
COLUMNS = {
    "auprc": "AUPRC",
    "dice": "label-free Dice",
    "oracle_dice": "oracle Dice",
    "healthy_marked": "healthy marked",
}


def main() -> None:
    data, work, first = map(Path, sys.argv[1:])
    work.mkdir(parents=True, exist_ok=True)
    split = read_split_csv(data / "split.csv")
    rest = sorted((*split.train, *split.validation))
    outputs = [first]
    for fold, test in ((2, rest[::2]), (3, rest[1::2])):
        parts, store = work / f"fold{fold}.csv", work / f"store{fold}"
        write_split(parts, sorted({*split.test, *rest}), set(test))
        prepare = f"mmccd prepare {data} {store} --size 64 --modalities flair,t1,t2 --split {parts}"
        run(prepare, log=work / f"prepare{fold}.log")
        for source, methods in NEAREST.items():
            output = work / f"fold{fold}_{source}"
            which = f"--sources {source} --methods {methods}"
            run(f"mmccd benchmark {store} {output} {which} {SETTINGS}", log=output.with_suffix(".log"))
            outputs.append(output)
    write(outputs)


def write_split(path: Path, subjects: list[str], test: set[str]) -> None:
    rest = [name for name in subjects if name not in test]
    validation = set(rest[::3])
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("subject", "split"))
        for name in subjects:
            table.writerow((name, "test" if name in test else "validation" if name in validation else "train"))


def write(outputs: list[Path]) -> None:
    """Pool the test subjects of benchmarks whose test parts share none; rows not in all of them are left out."""
    found: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for folder in outputs:
        for record in json.loads((folder / "results.json").read_text()):
            kept = found.setdefault(record["source"], {}).setdefault(record["contender"], {})
            for row in record.get("rows", []):  # the published sampler has none
                if row["subject"] in kept:
                    raise SystemExit(f"{row['subject']} is tested twice")
                kept[row["subject"]] = {column: row[column] for column in COLUMNS}
    tables = []
    for source, rows in found.items():
        complete = {name: subjects for name, subjects in rows.items() if subjects.keys() == rows[BEST].keys()}
        lines = [
            f"| method | {' | '.join(COLUMNS.values())} | {BEST} less it, AUPRC | ahead in |",
            "| --- |" + " --- |" * 6,
        ]
        for name, subjects in sorted(complete.items(), key=lambda item: -_auprc(item[1])):
            differences = [rows[BEST][subject]["auprc"] - row["auprc"] for subject, row in subjects.items()]
            ahead = f"{sum(value > 0 for value in differences)} of {len(differences)}"
            values = [bootstrap_mean([row[column] for row in subjects.values()]) for column in COLUMNS]
            lines.append(f"| {name} | {' | '.join(map(str, values))} | {bootstrap_mean(differences)} | {ahead} |")
        tables += [f"## {source.upper()} as input", "\n".join(lines)]
        found[source] = complete
    what = (
        f"Written by `python benchmarks/cross_validation.py DATA WORK RESULTS`: {len(rows[BEST])} patients, each "
        "tested once, three folds, whole volumes; 95 % bootstrap intervals over patients, differences paired; seed 0"
    )
    write_page(HERE / "cross_validation", "Every patient tested once", what, tables, found)


def _auprc(subjects: dict[str, dict[str, float]]) -> float:
    return bootstrap_mean([row["auprc"] for row in subjects.values()]).mean


if __name__ == "__main__":
    main()
