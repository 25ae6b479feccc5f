"""What a finished case costs, by how many a folder holds; what several processes gain; what many cost.

    python benchmarks/scale.py WORK [kept] [processes] [evaluate] [report] [report_processes]

Scores the scans of a phantom once, copies the results to as many cases as are asked for, with their scans, and has
`mmccd predict` find them all finished: what is left is what each case costs besides its own work. Then scores full
scans of the phantom with one process and with two, evaluates many cases, see scale_evaluate.py, and writes and opens
pages of many cases, see scale_report.py.
Writes scale.json and .md here; parts that are not asked for stay as they were measured.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import scale_evaluate
import scale_report
from measure import write_page

from mmccd.evaluation.tables import markdown_table
from mmccd.prediction.detector import Detector
from mmccd.prediction.predict import predict
from mmccd.prediction.summary import summarise
from mmccd.simulation.phantom import phantom

HERE = Path(__file__).parent
CASES = (100, 500, 1000, 2000, 5000, 20_000)
SCANS, PROCESSES = 12, (1, 2)
MODEL = "builtin:flair"


def main() -> None:
    work, *asked = sys.argv[1:]
    if unknown := set(asked) - PARTS.keys():
        raise SystemExit(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    detector = Detector.load(MODEL, device="cpu")
    record = HERE / "scale.json"
    found = json.loads(record.read_text()) if asked and record.exists() else {}
    for part, measured in PARTS.items():
        if not asked or part in asked:
            found[part] = measured(detector, Path(work) / part)
    what = (
        f"Written by `python benchmarks/scale.py WORK`: {MODEL}; scans of the phantom, 1 mm in the second table and "
        f"4 mm in the others, {SCANS} of them in the second; one run each, the first after one that is not counted"
    )
    write_page(HERE / "scale", "Large cohorts", what, tables(found), found)


def tables(found: dict[str, list[dict[str, float]]]) -> list[str]:
    """What was found, part by part."""
    one, alone = found["kept"][0], found["processes"][0]
    growth = markdown_table(
        [["cases", "seconds", "ms a case", "more a case than with 100"], *(
            [f"{row['cases']:,}", f"{row['seconds']:.1f}", f"{row['ms_a_case']:.2f}",
             f"{row['ms_a_case'] / one['ms_a_case'] - 1:+.0%}"] for row in found["kept"]
        )]
    )  # fmt: skip
    gain = markdown_table(
        [["processes, one thread each", "seconds", "times as fast as one"], *(
            [str(row["processes"]), f"{row['seconds']:.1f}", f"{alone['seconds'] / row['seconds']:.2f}"]
            for row in found["processes"]
        )]
    )  # fmt: skip
    parts = ["## A folder in which all is done", growth, "## Several scans at once", gain]
    report = scale_report.tables(found["report"], found.get("report_processes", []))
    return [*parts, *scale_evaluate.tables(found["evaluate"]), *report]


def _kept(detector: Detector, work: Path) -> list[dict[str, float]]:
    return [finished(detector, work, count) for count in CASES]


def _processes(detector: Detector, work: Path) -> list[dict[str, float]]:
    return [scored(detector, work, count) for count in PROCESSES]


def finished(detector: Detector, work: Path, count: int) -> dict[str, float]:
    """A run that has nothing to do, over a folder of so many results."""
    scans, results = work / "scans", work / "results"
    if not results.exists():
        phantom(work / "phantom", subjects=1, lesions=0, spacing_mm=4.0, workers=1)
        scans.mkdir(parents=True)
        shutil.copy(next((work / "phantom").glob("*/*_flair.nii.gz")), scans / "case00000.nii.gz")
        predict(detector, scans, results, workers=1)
    first = sorted(results.glob("case00000*"))
    for number in range(1, count):
        name = f"case{number:05d}"
        if not (results / f"{name}.json").exists():
            shutil.copy(scans / "case00000.nii.gz", scans / f"{name}.nii.gz")
            for path in first:
                shutil.copy(path, results / path.name.replace("case00000", name))
            record = json.loads((results / f"{name}.json").read_text())
            (results / f"{name}.json").write_text(json.dumps(record | {"case": name}))
    predict(detector, scans, results, workers=1)  # what the system keeps of the disk in memory is the same for all
    os.sync()  # else the tables wait until the disk has taken the copies
    started = time.perf_counter()
    outcomes = predict(detector, scans, results, workers=1)
    seconds = time.perf_counter() - started
    if len(outcomes) != count or any(one.status != "kept" for one in outcomes):
        raise SystemExit(f"expected {count} finished cases")
    summarise(results)
    print(count, seconds, flush=True)
    return {"cases": count, "seconds": seconds, "ms_a_case": 1000 * seconds / count}


def scored(detector: Detector, work: Path, processes: int) -> dict[str, float]:
    """Full scans, scored by so many processes."""
    if not (work / "phantom").exists():
        phantom(work / "phantom", subjects=SCANS, lesions=0, spacing_mm=1.0, workers=2)
        (work / "scans").mkdir()
        for path in (work / "phantom").glob("*/*_flair.nii.gz"):
            shutil.copy(path, work / "scans" / path.name)
    shutil.rmtree(work / "results", ignore_errors=True)
    started = time.perf_counter()
    predict(detector, work / "scans", work / "results", workers=processes)
    seconds = time.perf_counter() - started
    print(processes, seconds, flush=True)
    return {"processes": processes, "seconds": seconds}


PARTS = {
    "kept": _kept, "processes": _processes, "evaluate": scale_evaluate.measured, "report": scale_report.measured,
    "report_processes": scale_report.several,
}  # fmt: skip


if __name__ == "__main__":
    main()
