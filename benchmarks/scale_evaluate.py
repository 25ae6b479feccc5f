"""What the evaluation of a large cohort costs: by how many cases there are, and by how many processes.

Called by scale.py. The cases are copies of one tiny scan with a lesion; each is read and measured in full.
"""

import json
import os
from pathlib import Path

from measure import run

from mmccd.evaluation.tables import markdown_table
from mmccd.prediction.detector import Detector
from mmccd.prediction.predict import predict
from mmccd.simulation.phantom import phantom

CASES = (100, 500, 1000)
PROCESSES = (1, 2)
OF_PROCESSES = 500
SUBJECT = "Phantom_0002"


def measured(detector: Detector, work: Path) -> list[dict[str, float]]:
    """By the number of cases, and with several processes."""
    rows = [evaluated(detector, work, count) for count in CASES]
    return [*rows, *(evaluated(detector, work, OF_PROCESSES, processes) for processes in PROCESSES[1:])]


def tables(rows: list[dict[str, float]]) -> list[str]:
    """What was found."""
    growing, several = [row for row in rows if row["processes"] == 1], [row for row in rows if row["processes"] > 1]
    alone = next(row for row in growing if row["cases"] == OF_PROCESSES)
    growth = markdown_table(
        [["cases", "seconds", "computing, ms a case", "peak memory"], *(
            [f"{row['cases']:,}", f"{row['seconds']:.0f}", f"{row['cpu_ms_a_case']:.0f}", f"{row['peak_gb']:.2f} GB"]
            for row in growing
        )]
    )  # fmt: skip
    gain = [f"{row['processes']} processes take {row['seconds']:.0f} s, one {alone['seconds']:.0f} s: "
            f"{alone['seconds'] / row['seconds']:.2f} times as fast." for row in several]  # fmt: skip
    return ["## The evaluation of many cases", growth, f"Of {OF_PROCESSES:,} cases: {' '.join(gain)}"]


def evaluated(detector: Detector, work: Path, count: int, processes: int = 1) -> dict[str, float]:
    """An evaluation of so many cases, as a command of its own."""
    cohort, results = work / f"{count}" / "cohort", work / f"{count}" / "results"
    _copies(detector, work, cohort, results, count)
    output = work / f"evaluation-{count}-{processes}"
    command = f"mmccd evaluate {results} {cohort} --workers {processes} -q -o {output}"
    measured = run(command, log=work / f"evaluate-{count}-{processes}.log")
    row = {
        "cases": count, "processes": processes, "seconds": measured.seconds, "peak_gb": measured.peak_gb,
        "cpu_ms_a_case": 1000 * measured.cpu_seconds / count,
    }  # fmt: skip
    print(row, flush=True)
    return row


def _copies(detector: Detector, work: Path, cohort: Path, results: Path, count: int) -> None:
    """A cohort with results; files that are equal are one on the disk."""
    made = work / "made"
    if not (made / "results").exists():
        phantom(made / "phantom", subjects=1, lesions=1, seed=3, spacing_mm=4.0, workers=1)
        predict(detector, made / "phantom", made / "results", subjects=[SUBJECT], workers=1)
    if (results / f"case{count - 1:05d}.json").exists():
        return
    results.mkdir(parents=True, exist_ok=True)
    record = json.loads((made / "results" / f"{SUBJECT}.json").read_text())
    for number in range(count):
        name = f"case{number:05d}"
        (cohort / name).mkdir(parents=True, exist_ok=True)
        for role in ("flair", "seg"):
            os.link(made / "phantom" / SUBJECT / f"{SUBJECT}_{role}.nii.gz", cohort / name / f"{name}_{role}.nii.gz")
        for end in ("_anomaly.nii.gz", "_mask.nii.gz"):
            os.link(made / "results" / f"{SUBJECT}{end}", results / f"{name}{end}")
        (results / f"{name}.json").write_text(json.dumps(record | {"case": name}))
