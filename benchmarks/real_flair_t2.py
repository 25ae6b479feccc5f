"""One method, FLAIR to T2, on real patients: every command with its cost, and the table beside plain intensity.

    MMCCD_DATA=/path/to/scans python benchmarks/real_flair_t2.py METHOD WORK [NOTE]

Needs `brats128` (45 patients with split.csv) and `brats_full` in $MMCCD_DATA. Writes real_flair_t2_METHOD.md and .json
here; NOTE is printed on the page. A command that has its record in WORK is not run again.
"""

import json
import os
import sys
from pathlib import Path

from measure import commands_table, keep, machine, run

import mmccd

HERE = Path(__file__).parent


def commands(method: str) -> dict[str, str]:
    """What a reader would type, by stage."""
    split = "--split $MMCCD_DATA/brats128/split.csv"
    return {
        "prepare": "mmccd prepare $MMCCD_DATA/brats128 $WORK/store --size 128 --modalities flair,t2 --quiet",
        "train": f"mmccd train $WORK/store $WORK/model --config small --source flair --target t2 --method {method}",
        "predict": f"mmccd predict $WORK/model $MMCCD_DATA/brats128 -o $WORK/predictions {split} --quiet",
        "evaluate": "mmccd evaluate $WORK/predictions $MMCCD_DATA/brats128 -o $WORK/evaluation --quiet",
        "predict-full": f"mmccd predict $WORK/model $MMCCD_DATA/brats_full -o $WORK/predictions_full {split} --quiet",
        "evaluate-full": "mmccd evaluate $WORK/predictions_full $MMCCD_DATA/brats_full -o $WORK/evaluation_full -q",
    }


def main() -> None:
    method, work = sys.argv[1], Path(sys.argv[2])
    note = sys.argv[3] if len(sys.argv) > 3 else ""
    work.mkdir(parents=True, exist_ok=True)
    os.environ["WORK"] = str(work)
    rows = []
    for stage, command in commands(method).items():
        print(stage, flush=True)
        rows.append(run(command, log=work / f"{stage}.log"))
    record = {name: json.loads((work / name / "evaluation.json").read_text())
              for name in ("evaluation", "evaluation_full")}  # fmt: skip
    card = json.loads((work / "model" / "card.json").read_text())
    keep(HERE / f"real_flair_t2_{method}.json", rows, card=card, **record)
    page = [
        f"# {method}, FLAIR to T2, on real patients",
        f"Written by `python benchmarks/real_flair_t2.py {method} WORK` with mmccd {mmccd.__version__}, preset `small` "
        f"({card['training']['steps']} steps), seed {card['config']['seed']}, on {machine()}. Peak memory is that "
        f"of the largest process. {note}",
        commands_table(rows),
        "What `prepare` said:\n\n```\n" + rows[0].output.strip() + "\n```",
        "Healthy validation slices at the end of training: "
        + ", ".join(f"{name.partition('/')[2]} error {value:.3f}" for name, value in card["training"].items()
                    if name.startswith("validation/")) + f"; threshold {card['threshold']['value']:.3f}.",
        "## 13 test patients (128 x 128 x 155 voxels)",
        _table(work / "evaluation"),
        "## Two of them at full size (240 x 240 x 155 voxels)",
        _table(work / "evaluation_full"),
    ]  # fmt: skip
    (HERE / f"real_flair_t2_{method}.md").write_text("\n\n".join(part.strip() for part in page) + "\n")


def _table(folder: Path) -> str:
    return (folder / "table.md").read_text().removeprefix("# Evaluation\n\n").replace("\n## ", "\n### ")


if __name__ == "__main__":
    main()
