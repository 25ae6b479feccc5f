"""Cyclic U-Net, FLAIR to T2, on real patients: every command with its cost, and the table beside plain intensity.

    MMCCD_DATA=/path/to/scans python benchmarks/real_flair_t2.py WORK

Needs `brats128` (45 patients with split.csv) and `brats_full` in $MMCCD_DATA. Writes real_flair_t2.md and .json here.
"""

import json
import os
import sys
from pathlib import Path

from measure import Measured, commands_table, keep, machine, run

import mmccd

HERE = Path(__file__).parent
COMMANDS = {
    "prepare": "mmccd prepare $MMCCD_DATA/brats128 $WORK/store --size 128 --modalities flair,t2 --quiet",
    "train": "mmccd train $WORK/store $WORK/model --config small --source flair --target t2 --method cyclic-unet",
    "predict": "mmccd predict $WORK/model $MMCCD_DATA/brats128 -o $WORK/predictions"
    " --split $MMCCD_DATA/brats128/split.csv --quiet",
    "evaluate": "mmccd evaluate $WORK/predictions $MMCCD_DATA/brats128 -o $WORK/evaluation --quiet",
    "predict-full": "mmccd predict $WORK/model $MMCCD_DATA/brats_full -o $WORK/predictions_full"
    " --split $MMCCD_DATA/brats128/split.csv --quiet",
    "evaluate-full": "mmccd evaluate $WORK/predictions_full $MMCCD_DATA/brats_full -o $WORK/evaluation_full --quiet",
}


def main() -> None:
    work = Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    os.environ["WORK"] = str(work)
    rows: list[Measured] = []
    for name, command in COMMANDS.items():
        print(name, flush=True)
        rows.append(run(command, log=work / f"{name}.log"))
    card = json.loads((work / "model" / "card.json").read_text())
    keep(HERE / "real_flair_t2.json", rows, card=card,
         evaluation=json.loads((work / "evaluation" / "evaluation.json").read_text()),
         evaluation_full=json.loads((work / "evaluation_full" / "evaluation.json").read_text()))  # fmt: skip
    page = [
        "# Cyclic U-Net, FLAIR to T2, on real patients",
        f"Written by `python benchmarks/real_flair_t2.py WORK` with mmccd {mmccd.__version__}, preset `small`, "
        f"seed 0, on {machine()}. Peak memory is that of the largest process.",
        commands_table(rows),
        "## 13 test patients (128 x 128 x 155 voxels)",
        "What `prepare` said:\n\n```\n" + rows[0].output.strip() + "\n```",
        (work / "evaluation" / "table.md").read_text().removeprefix("# Evaluation\n\n").replace("\n## ", "\n### "),
        "## Two of them at full size (240 x 240 x 155 voxels)",
        (work / "evaluation_full" / "table.md").read_text().removeprefix("# Evaluation\n\n").replace("\n## ", "\n### "),
    ]
    (HERE / "real_flair_t2.md").write_text("\n\n".join(part.strip() for part in page) + "\n")


if __name__ == "__main__":
    main()
