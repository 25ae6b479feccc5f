"""MMCCD beside the Cyclic U-Net and plain intensity, for FLAIR, T1 and T2 as the only input, on real patients.

    MMCCD_DATA=/path/to/scans python benchmarks/real_sources.py WORK [NOTE]

Needs `brats128` (45 patients with split.csv) in $MMCCD_DATA. Writes real_sources.md and .json here; NOTE is printed on
the page. A command that has its record in WORK is not run again.
"""

import json
import os
import sys
from pathlib import Path

from measure import commands_table, keep, machine, run

import mmccd

HERE = Path(__file__).parent
TARGETS = {"flair": "t2", "t1": "t2", "t2": "flair"}
SHOWN = ("auprc", "auroc", "dice", "sensitivity", "precision", "oracle_dice")
NAMES = {
    "best": "MMCCD, `fast` then `best`",
    "cyclic": "Cyclic U-Net (published square)",
}


def commands(source: str) -> dict[str, str]:
    """What a reader would type, by stage."""
    data = "$MMCCD_DATA/brats128"
    train = "mmccd train $WORK/store $WORK"
    length = "--set training.steps=600 --set training.validate_every=300 --quiet"
    modalities = f"--source {source} --target {TARGETS[source]}"
    found = {
        "train_fast": f"{train}/fast_{source} --config tiny --config fast {modalities} {length}",
        "train_cyclic": f"{train}/cyclic_{source} --config tiny --method cyclic-unet {modalities} {length}",
        "calibrate_best": f"mmccd calibrate $WORK/fast_{source} $WORK/store $WORK/best_{source} --config best",
    }
    for name in NAMES:
        results = f"$WORK/{name}_{source}_predictions"
        found[f"predict_{name}"] = (
            f"mmccd predict $WORK/{name}_{source} {data} -o {results} --split {data}/split.csv --batch-size 64 --quiet"
        )
        found[f"evaluate_{name}"] = f"mmccd evaluate {results} {data} -o $WORK/{name}_{source}_evaluation --quiet"
    return found


def main() -> None:
    work = Path(sys.argv[1])
    note = sys.argv[2] if len(sys.argv) > 2 else ""
    work.mkdir(parents=True, exist_ok=True)
    os.environ["WORK"] = str(work)
    prepare = "mmccd prepare $MMCCD_DATA/brats128 $WORK/store --size 64 --modalities flair,t1,t2 --quiet"
    rows = [run(prepare, log=work / "prepare.log")]
    for source in TARGETS:
        for stage, command in commands(source).items():
            print(source, stage, flush=True)
            rows.append(run(command, log=work / f"{source}_{stage}.log"))
    records = {
        f"{name}_{source}": json.loads((work / f"{name}_{source}_evaluation" / "evaluation.json").read_text())
        for source in TARGETS
        for name in NAMES
    }
    keep(HERE / "real_sources.json", rows, evaluations=records)
    page = [
        "# FLAIR, T1 and T2 as the only input, on real patients",
        f"Written by `python benchmarks/real_sources.py WORK` with mmccd {mmccd.__version__}, seed 0, on {machine()}. "
        "13 test patients of brats128, whole volumes, their own pixels; 28 training and 4 validation patients; 64 x 64 "
        "slices, 0.85 M parameters per network, 600 steps of 16 slices. Means over patients with 95 % bootstrap "
        f"intervals; Dice at the threshold chosen without labels, oracle_dice with them. {note}",
    ]
    for source in TARGETS:
        page += [f"## {source.upper()} as input", _table(source, records)]
    page += ["## Cost", commands_table(rows)]
    (HERE / "real_sources.md").write_text("\n\n".join(page) + "\n")


def _table(source: str, records: dict) -> str:
    lines = [f"| method | {' | '.join(SHOWN)} |", "| --- |" + " --- |" * len(SHOWN)]
    baselines: dict[str, dict] = {}
    for name, label in NAMES.items():
        record = records[f"{name}_{source}"]
        model, *plain = record["aggregates"]
        lines.append(_line(label, record["aggregates"][model]))
        baselines |= {method: record["aggregates"][method] for method in plain}
    lines += [_line(method, values) for method, values in baselines.items()]
    for baseline, values in records[f"best_{source}"]["differences"].items():
        lines.append(_line(f"`best` - {baseline}", values))
    return "\n".join(lines)


def _line(label: str, values: dict) -> str:
    cells = [f"{v['mean']:.3f} [{v['low']:.3f}, {v['high']:.3f}]" if (v := values.get(name)) else "" for name in SHOWN]
    return f"| {label} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
