"""Every patient of a cohort tested once, by models that never saw it: three folds, their test subjects pooled.

    python benchmarks/cross_validation.py DATA WORK FIRST

DATA is a cohort with a split.csv, WORK a folder that keeps stores and benchmarks; a killed run goes on. FIRST is the
results.csv of the first fold, that of RESULTS.md, which tests the test part of the split. The others test every second
subject of the rest each; of those who are not tested every third, by name, chooses thresholds and the others train.
Every method of `mmccd benchmark` is compared. Writes cross_validation.json and .md here.
"""

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from measure import run, write_page

from mmccd.comparison.contenders import BEST
from mmccd.comparison.paired import holm, paired, verdict
from mmccd.comparison.record import BenchmarkRecord
from mmccd.data.splits import read_split_csv
from mmccd.evaluation.intervals import bootstrap_mean

HERE = Path(__file__).parent
SOURCES = ("flair", "t1", "t2")
SETTINGS = "--no-paper-sampler --set training.steps=600 --set training.validate_every=300"
COLUMNS = {
    "auprc": "AUPRC",
    "dice": "label-free Dice",
    "oracle_dice": "oracle Dice",
    "healthy_marked": "healthy marked",
}
Rows = dict[str, dict[str, dict[str, float]]]
"""Of one source: contender, subject, column."""


def main() -> None:
    data, work, first = map(Path, sys.argv[1:])
    work.mkdir(parents=True, exist_ok=True)
    split = read_split_csv(data / "split.csv")
    rest = sorted((*split.train, *split.validation))
    results = [first]
    for fold, test in ((2, rest[::2]), (3, rest[1::2])):
        parts, store = work / f"fold{fold}.csv", work / f"store{fold}"
        write_split(parts, sorted({*split.test, *rest}), set(test))
        prepare = f"mmccd prepare {data} {store} --size 64 --modalities {','.join(SOURCES)} --split {parts}"
        run(prepare, log=work / f"prepare{fold}.log")
        for source in SOURCES:
            output = work / f"fold{fold}_{source}"
            run(f"mmccd benchmark {store} {output} --sources {source} {SETTINGS}", log=output.with_suffix(".log"))
            results.append(output / "results.csv")
    write(pooled(results))


def write_split(path: Path, subjects: list[str], test: set[str]) -> None:
    rest = [name for name in subjects if name not in test]
    validation = set(rest[::3])
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("subject", "split"))
        for name in subjects:
            table.writerow((name, "test" if name in test else "validation" if name in validation else "train"))


def pooled(results: Sequence[Path]) -> dict[str, Rows]:
    """The test subjects of all folds together.

    Raises:
        SystemExit: A subject is tested twice, or not by every contender.
    """
    found: dict[str, Rows] = {source: {} for source in SOURCES}
    for path in results:
        with path.open(newline="") as stream:
            for row in csv.DictReader(stream):
                subjects = found[row["source"]].setdefault(row["contender"], {})
                if row["subject"] in subjects:
                    raise SystemExit(f"{row['subject']} is tested twice")
                subjects[row["subject"]] = {column: float(row[column] or "nan") for column in COLUMNS}
    for source, rows in found.items():
        for name, subjects in rows.items():
            if subjects.keys() != rows[BEST].keys():
                raise SystemExit(f"{name} on {source} lacks {rows[BEST].keys() ^ subjects.keys()}")
    return found


def write(found: dict[str, Rows]) -> None:
    tables = []
    for source, rows in found.items():
        tables += [f"## {source.upper()} as input", *against_best(rows)]
    subjects = list(found[SOURCES[0]][BEST])
    kept = {
        source: {
            name: {column: [tested[subject][column] for subject in subjects] for column in COLUMNS}
            for name, tested in rows.items()
        }
        for source, rows in found.items()
    }
    what = (
        f"Written by `python benchmarks/cross_validation.py DATA WORK FIRST`: {len(subjects)} patients, each tested "
        "once, three folds, whole volumes; 95 % bootstrap intervals over patients, differences paired by patient, p by "
        "Wilcoxon's signed-rank test with Holm's correction for all rows; behind: the interval lies above 0; seed 0"
    )
    write_page(HERE / "cross_validation", "Every patient tested once", what, tables, {"subjects": subjects, **kept})


def by_subject(auprc: Mapping[str, float]) -> BenchmarkRecord:
    """What `paired` and `verdict` compare."""
    rows = [{"subject": subject, "auprc": value} for subject, value in sorted(auprc.items())]
    return BenchmarkRecord(contender="", method="", scoring="", source="", rows=rows)


def against_best(rows: Rows) -> list[str]:
    """A table, the highest AUPRC first, and whom `best` is ahead of."""
    means = {name: [bootstrap_mean(values(tested, column)) for column in COLUMNS] for name, tested in rows.items()}
    names = sorted(rows, key=lambda name: -means[name][0].mean)
    others = [name for name in names if name != BEST]
    records = {name: by_subject({s: row["auprc"] for s, row in tested.items()}) for name, tested in rows.items()}
    compared_with = {name: paired(records[BEST], records[name], "auprc") for name in others}
    p = dict(zip(others, holm([p for _, p in compared_with.values()]), strict=True))
    lines = [
        f"| method | {' | '.join(COLUMNS.values())} | {BEST} less it, AUPRC | p | ahead in |",
        "| --- |" + " --- |" * (len(COLUMNS) + 3),
    ]
    for name in names:
        compared = ["", "", ""]
        if name != BEST:
            ahead = sum(rows[BEST][subject]["auprc"] > row["auprc"] for subject, row in rows[name].items())
            shown_p = f"{p[name]:.4f}" if p[name] >= 1e-4 else "< 0.0001"
            compared = [str(compared_with[name][0]), shown_p, f"{ahead} of {len(rows[name])}"]
        lines.append(f"| {name} | {' | '.join([*map(str, means[name]), *compared])} |")
    return ["\n".join(lines), verdict(records, BEST)]


def values(tested: dict[str, dict[str, float]], column: str) -> list[float]:
    """One per subject, in the order of their names."""
    return [tested[subject][column] for subject in sorted(tested)]


if __name__ == "__main__":
    main()
