"""Does a longer training change who is first? Four times the steps, on one fold of cross_validation.py.

    python benchmarks/longer_training.py WORK

WORK is what cross_validation.py made; the benchmarks with more steps go there, too, and a killed run goes on. The rows
with 600 steps are those of cross_validation.json, of the same test subjects. Writes longer_training.json and .md here.
"""

import json
import sys
from pathlib import Path

from cross_validation import by_subject, pooled
from measure import run, write_page
from mirrored_baseline import MIRRORED, restored_mirrored

from mmccd.comparison.contenders import BEST
from mmccd.comparison.paired import paired
from mmccd.evaluation.intervals import bootstrap_mean

HERE = Path(__file__).parent
FOLD, SHORT, LONG = 2, 600, 2400
METHODS = {"flair": "veiled-cycle,dae", "t1": "veiled-cycle,dae", "t2": "veiled-cycle,dae,mmccd"}
SHOWN = (BEST, "DAE, evidence", MIRRORED, "MMCCD fast, evidence", "smoothed intensity")
Values = dict[str, dict[str, float]]
"""Of one source and length: AUPRC by contender and subject."""


def main() -> None:
    work = Path(sys.argv[1])
    kept = json.loads((HERE / "cross_validation.json").read_text())
    found, tables = {}, []
    for source, methods in METHODS.items():
        store, output = work / f"store{FOLD}", work / f"longer_{source}"
        settings = f"--no-paper-sampler --set training.steps={LONG} --set training.validate_every={LONG // 2}"
        run(
            f"mmccd benchmark {store} {output} --sources {source} --methods {methods} {settings}",
            log=work / f"longer_{source}.log",
        )
        long: Values = {
            name: {subject: row["auprc"] for subject, row in tested.items()}
            for name, tested in pooled([output / "results.csv"])[source].items()
        }
        places = {subject: kept["subjects"].index(subject) for subject in sorted(long[BEST])}
        short: Values = {
            name: {subject: kept[source][name]["auprc"][place] for subject, place in places.items()} for name in long
        }
        if source == "t1":
            long[MIRRORED] = restored_mirrored(output / "models" / source / "dae", store)
            mirrored = json.loads((HERE / "mirrored_baseline.json").read_text())[MIRRORED]
            short[MIRRORED] = {subject: mirrored[subject] for subject in places}
        found[source] = {str(SHORT): short, str(LONG): long}
        tables += [f"## {source.upper()} as input", compared(short, long)]
    what = (
        f"Written by `python benchmarks/longer_training.py WORK`: AUPRC on whole volumes of the {len(places)} test "
        f"patients of fold {FOLD}, after {SHORT} and {LONG:,} training steps; 95 % bootstrap intervals, differences "
        "paired by patient; seed 0"
    )
    write_page(HERE / "longer_training", "Four times the training", what, tables, found)


def compared(short: Values, long: Values) -> str:
    lines = [
        f"| method | {SHORT} steps | {LONG:,} steps | gain | {BEST} less it, {SHORT} | {BEST} less it, {LONG:,} |",
        "| --- |" + " --- |" * 5,
    ]
    for name in (name for name in SHOWN if name in long):
        means = [bootstrap_mean(list(values[name].values())) for values in (short, long)]
        gain, _ = paired(by_subject(long[name]), by_subject(short[name]), "auprc")
        less = [paired(by_subject(values[BEST]), by_subject(values[name]), "auprc")[0] for values in (short, long)]
        ours = ["", ""] if name == BEST else less
        lines.append(f"| {name} | {' | '.join(map(str, [*means, gain, *ours]))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
