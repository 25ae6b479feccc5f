"""Does `mmccd train --dry-run` tell what the training then takes?

    OMP_NUM_THREADS=1 python benchmarks/dry_run.py STORE WORK

STORE has slices of 64 px of FLAIR and T2. For each method a dry run, and right after it the training, each in a process
of its own; both count from the call of the function, after what is imported. A killed run goes on. Writes dry_run.json
and .md here.
"""

import json
import sys
import time
from pathlib import Path

import torch
from measure import run, write_page

from mmccd.data.store import open_store
from mmccd.model.config import Config, load_config
from mmccd.training.dry_run import dry_run
from mmccd.training.train import train

HERE = Path(__file__).parent
METHODS = ("veiled-cycle", "mmccd", "cyclic-unet")
STEPS = 200
PARTS = ("training", "calibration", "whole")


def main() -> None:
    store, work = Path(sys.argv[1]), Path(sys.argv[2])
    work.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for method in METHODS:
        found[method] = {}
        for how in ("predicted", "measured"):
            command = f"{sys.executable} {__file__} {store} {work / method} {how} {method}"
            done = run(command, log=work / f"{how}_{method}.log")
            found[method][how] = {**json.loads(done.output), "share": done.cpu_seconds / done.seconds}
    what = (
        "Written by `python benchmarks/dry_run.py STORE WORK`: seconds that `mmccd train --dry-run` predicts for a "
        f"training, and that the training right after it took; preset `tiny`, FLAIR to T2, {STEPS} steps at 64 px, "
        f"with the calibration; {torch.get_num_threads()} thread of a machine that others used as well, one run each; "
        "seed 0. *On the processor*: the prediction times the share of the time for which the dry run had the "
        "processor, against the seconds that the training computed: what others did hardly counts there"
    )
    write_page(HERE / "dry_run", "What a training costs, told before it", what, [table(found)], found)


def table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """A row for each method and part."""
    lines = [
        "| method | part | predicted | measured | ratio | on the processor: predicted | measured | ratio |",
        "| --- |" + " --- |" * 7,
    ]
    for method, seconds in found.items():
        for part in PARTS:
            told, took = seconds["predicted"][part], seconds["measured"][part]
            told_cpu, took_cpu = told * seconds["predicted"]["share"], seconds["measured"][f"{part}_cpu"]
            lines.append(
                f"| {method} | {part} | {told:.1f} s | {took:.1f} s | {told / took:.2f} | {told_cpu:.1f} s "
                f"| {took_cpu:.1f} s | {told_cpu / took_cpu:.2f} |"
            )
    return "\n".join(lines)


def config_of(method: str) -> Config:
    return load_config("tiny", {"method": method, "source": "flair", "targets": ["t2"], "training.steps": STEPS})


def predicted(store: Path, output: Path, method: str) -> dict[str, float]:
    cost = dry_run(open_store(store), output, config_of(method))
    return {"training": cost.training_s, "calibration": cost.calibration_s, "whole": cost.whole_s}


def measured(store: Path, output: Path, method: str) -> dict[str, float]:
    calibrating: list[tuple[float, float]] = []

    def progress(what: str, _done: int, _total: int) -> None:
        if what.startswith("calibrating"):
            calibrating.append(now())

    started = now()
    train(open_store(store), output, config_of(method), progress=progress)
    moments = {"training": (started, calibrating[0]), "calibration": (calibrating[0], now())}
    found = {"whole": (started, moments["calibration"][1]), **moments}
    wall = {part: end[0] - start[0] for part, (start, end) in found.items()}
    return wall | {f"{part}_cpu": end[1] - start[1] for part, (start, end) in found.items()}


def now() -> tuple[float, float]:
    """Seconds of the clock, and those that this process computed."""
    return time.perf_counter(), time.process_time()


if __name__ == "__main__":
    if len(sys.argv) > 3:
        how = {"predicted": predicted, "measured": measured}[sys.argv[3]]
        print(json.dumps(how(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[4])))
    else:
        main()
