"""Another disease: multiple sclerosis, by the models that cross_validation.py trained on healthy slices of gliomas.

    python benchmarks/other_disease.py WORK MS

WORK is what cross_validation.py made: the models of its second and third fold are used again, and each benchmark is
scored once more with the patients of MS, a cohort prepared with every subject as test subject, beside its own. A
patient's value is the mean over the two trainings. The patients of all disease together are these and the 45 of
cross_validation.json. Writes other_disease.json and .md here.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from cross_validation import SETTINGS, SOURCES, by_subject
from measure import run, write_page

from mmccd.comparison.contenders import BEST
from mmccd.comparison.paired import holm, paired, verdict

HERE = Path(__file__).parent
FOLDS = (2, 3)
COLUMNS = ("auprc", "dice", "oracle_dice")
Values = dict[str, dict[str, dict[int, dict[str, float]]]]
"""Of one source: contender, subject, fold, column."""


def main() -> None:
    work, cohort = map(Path, sys.argv[1:])
    kept = json.loads((HERE / "cross_validation.json").read_text())
    store = work / "store_ms"
    run(
        f"mmccd prepare {cohort} {store} --size 64 --modalities {','.join(SOURCES)} --fractions 0 0 1",
        log=work / "prepare_ms.log",
    )
    found, tables = {}, []
    for source in SOURCES:
        values: Values = {}
        for fold in FOLDS:
            for contender, subject, row in scored(work, store, fold, source):
                values.setdefault(contender, {}).setdefault(subject, {})[fold] = row
        glioma = {name: dict(zip(kept["subjects"], kept[source][name]["auprc"], strict=True)) for name in kept[source]}
        found[source] = values
        tables += [f"## {source.upper()} as input", *compared(values, glioma), label_free(values, kept[source])]
    patients = len(found[SOURCES[0]][BEST])
    what = (
        f"Written by `python benchmarks/other_disease.py WORK MS`: whole volumes of {patients} patients with "
        f"multiple sclerosis, by models of folds {' and '.join(map(str, FOLDS))}, and of these and the "
        f"{len(kept['subjects'])} patients of cross_validation.md together; 95 % bootstrap intervals over patients, "
        "differences paired by patient, p by Wilcoxon's signed-rank test with Holm's correction; seed 0"
    )
    write_page(HERE / "other_disease", "Another disease", what, tables, found)


def scored(work: Path, store: Path, fold: int, source: str) -> list[tuple[str, str, dict[str, float]]]:
    """Contender, subject and columns of the other disease."""
    output = work / f"ms{fold}_{source}"
    shutil.copytree(work / f"fold{fold}_{source}" / "models", output / "models", dirs_exist_ok=True)
    command = f"mmccd benchmark {work / f'store{fold}'} {output} --sources {source} --also ms={store} {SETTINGS}"
    run(command, log=output.with_suffix(".log"))
    records = json.loads((output / "results.json").read_text())
    return [
        (one["contender"], row["subject"], {column: row[column] for column in COLUMNS})
        for one in records
        for row in one["kinds"]["ms"]
    ]


def compared(values: Values, glioma: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A table, the highest mean first, and whom `best` is ahead of when all patients are taken together."""
    means = {
        name: {subject: float(np.mean([row["auprc"] for row in folds.values()])) for subject, folds in tested.items()}
        for name, tested in values.items()
    }
    everyone = {name: by_subject({**glioma[name], **means[name]}) for name in values}
    names = sorted(values, key=lambda name: -np.mean([*means[name].values()]))
    others = [name for name in names if name != BEST]
    together = {name: paired(everyone[BEST], everyone[name], "auprc") for name in others}
    p = dict(zip(others, holm([p for _, p in together.values()]), strict=True))
    subjects = sorted(means[BEST])
    count = len(everyone[BEST].rows)
    heads = [*(f"AUPRC, fold {fold}" for fold in FOLDS), "mean", "label-free Dice", "oracle Dice"]
    heads += [f"{BEST} less it, patient by patient", f"{BEST} less it, all {count} patients", "p"]
    lines = [f"| method | {' | '.join(heads)} |", "| --- |" + " --- |" * len(heads)]
    for name in names:
        rows = [values[name][subject] for subject in subjects]
        by_fold = [np.mean([folds[fold]["auprc"] for folds in rows]) for fold in FOLDS]
        overall = [np.mean([row[column] for folds in rows for row in folds.values()]) for column in COLUMNS]
        shown = [f"{value:.3f}" for value in (*by_fold, *overall)]
        less = ["", "", ""]
        if name != BEST:
            each = ", ".join(f"{means[BEST][subject] - means[name][subject]:+.3f}" for subject in subjects)
            less = [each, str(together[name][0]), f"{p[name]:.4f}" if p[name] >= 1e-4 else "< 0.0001"]
        lines.append(f"| {name} | {' | '.join([*shown, *less])} |")
    return ["\n".join(lines), f"All {count} patients: {verdict(everyone, BEST)}"]


def label_free(values: Values, glioma: Mapping[str, Mapping[str, list[float]]]) -> str:
    """Dice of `best` over the patients of all disease, beside the oracle's."""
    means = {
        column: [*glioma[BEST][column], *(np.mean([row[column] for row in folds.values()])
                                          for folds in values[BEST].values())]
        for column in ("dice", "oracle_dice")
    }  # fmt: skip
    dice, oracle = (float(np.mean(means[column])) for column in ("dice", "oracle_dice"))
    return (
        f"Its label-free Dice over these {len(means['dice'])} patients is {dice:.3f}, that of the oracle {oracle:.3f}: "
        f"{100 * (1 - dice / oracle):.1f} % behind."
    )


if __name__ == "__main__":
    main()
