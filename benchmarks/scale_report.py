"""What a page of a large cohort costs: to write, by how many cases there are, and to open in Chromium.

Called by scale.py. The cases are copies of one tiny scan, with other scores; each is read, drawn and written in full.
"""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
from measure import run

from mmccd.evaluation.tables import markdown_table
from mmccd.prediction.detector import Detector
from mmccd.prediction.predict import predict
from mmccd.simulation.phantom import phantom

CASES = (100, 1000, 5000, 20_000)
PROCESSES = (1, 2)
OF_PROCESSES = 1000
FIRST = "case00000"
# Software rendering, as in a machine without a GPU; root has no sandbox.
FLAGS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox", "--disable-dev-shm-usage"]


def measured(detector: Detector, work: Path) -> list[dict[str, float]]:
    """By the number of cases."""
    rows = [(written(detector, work, count), _page(work, count, 1)) for count in CASES]
    return [row | opened(page) for row, page in rows]


def several(detector: Detector, work: Path) -> list[dict[str, float]]:
    """With one process and with two, one after the other, to be run on cores that are idle."""
    return [written(detector, work, OF_PROCESSES, processes) for processes in PROCESSES]


def tables(growing: list[dict[str, float]], processes: list[dict[str, float]]) -> list[str]:
    """What was found; of several processes only what was measured."""
    head = ["cases", "seconds", "computing, ms a case", "peak memory", "the page", "pages beside it",
            "largest of them", "usable after", "sorted in", "found in"]  # fmt: skip
    growth = markdown_table(
        [head, *(
            [f"{row['cases']:,}", f"{row['seconds']:.0f}", f"{row['cpu_ms_a_case']:.0f}", f"{row['peak_gb']:.2f} GB",
             f"{row['page_mb']:.1f} MB", f"{row['pages_beside']:.0f}", f"{row['largest_beside_mb']:.1f} MB",
             f"{row['usable_s']:.2f} s", f"{row['sorting_s']:.2f} s", f"{row['finding_s']:.2f} s"] for row in growing
        )]
    )  # fmt: skip
    note = (
        "`mmccd report RESULTS --scans SCANS`, one process, with a viewer for each case. Seconds depend on what else "
        "the machine does; computing is the time of the processor, of which the start is nearly half in the first row. "
        "Usable: all cases are in the table, which can be sorted and searched, in Chromium on one core, from the file."
    )
    parts = ["## The page of many cases", note, growth]
    if processes:
        one, two = (row["seconds"] for row in processes)
        gain = f"{processes[0]['cases']:,} cases take {one:.0f} s with one process and {two:.0f} s with two"
        parts.append(f"{gain}: {one / two:.2f} times as fast.")
    return parts


def written(detector: Detector, work: Path, count: int, processes: int = 1) -> dict[str, float]:
    """A report of so many cases, as a command of its own."""
    work.mkdir(parents=True, exist_ok=True)
    scans, results = work / f"{count}" / "scans", work / f"{count}" / "results"
    _copies(detector, work, scans, results, count)
    page = _page(work, count, processes)
    command = f"mmccd report {results} --scans {scans} --workers {processes} -q -o {page}"
    measured = run(command, log=work / f"report-{count}-{processes}.log")
    pages = sorted(page.parent.glob("report_pages/*.html"))
    row = {
        "cases": count, "processes": processes, "seconds": measured.seconds, "cpu_seconds": measured.cpu_seconds,
        "cpu_ms_a_case": 1000 * measured.cpu_seconds / count, "peak_gb": measured.peak_gb,
        "page_mb": page.stat().st_size / 1e6, "pages_beside": len(pages),
        "largest_beside_mb": max((path.stat().st_size for path in pages), default=0) / 1e6,
    }  # fmt: skip
    print(row, flush=True)
    return row


def _page(work: Path, count: int, processes: int) -> Path:
    return work / f"{count}-{processes}" / "report.html"


def opened(page: Path) -> dict[str, float]:
    """Seconds until Chromium shows the table ready for use, sorts it, and finds a case in it; on one core."""
    from playwright.sync_api import sync_playwright

    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(ours)})  # what is started from here on stays on it, too
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            view = browser.new_page(viewport={"width": 1280, "height": 900})
            view.goto("about:blank")  # a browser that runs already
            started = time.perf_counter()
            view.goto(page.resolve().as_uri(), wait_until="load")
            view.wait_for_selector("#all tbody tr")
            usable = time.perf_counter() - started
            started = time.perf_counter()
            view.evaluate("document.querySelectorAll('#all thead button')[1].click()")
            sorting = time.perf_counter() - started
            started = time.perf_counter()
            if view.locator("#all [data-find]").count():
                view.fill("#all [data-find]", "99")
            finding = time.perf_counter() - started
            browser.close()
    finally:
        os.sched_setaffinity(0, ours)
    return {"usable_s": round(usable, 2), "sorting_s": round(sorting, 2), "finding_s": round(finding, 2)}


def _copies(detector: Detector, work: Path, scans: Path, results: Path, count: int) -> None:
    """Results of so many scans; files that are equal are one on the disk."""
    made = work / "made"
    if not (made / "results").exists():
        phantom(made / "phantom", subjects=1, lesions=1, seed=3, spacing_mm=4.0, workers=1)
        (made / "scans").mkdir()
        shutil.copy(next((made / "phantom").glob("Phantom_0002/*_flair.nii.gz")), made / "scans" / f"{FIRST}.nii.gz")
        predict(detector, made / "scans", made / "results", workers=1)
    if (results / f"case{count - 1:05d}.json").exists():
        return
    scans.mkdir(parents=True, exist_ok=True)
    results.mkdir(exist_ok=True)
    record = json.loads((made / "results" / f"{FIRST}.json").read_text())
    healthy = np.array(record["p_value_of"]["healthy_scores"])
    scores = np.random.default_rng(0).lognormal(np.log(np.median(healthy)), 0.35, count)
    for number, score in enumerate(scores):
        name = f"case{number:05d}"
        os.link(made / "scans" / f"{FIRST}.nii.gz", scans / f"{name}.nii.gz")
        for end in ("_anomaly.nii.gz", "_mask.nii.gz"):
            os.link(made / "results" / f"{FIRST}{end}", results / f"{name}{end}")
        p_value = (1 + int((healthy >= score).sum())) / (1 + len(healthy))
        changed = {"case": name, "score": float(score), "p_value": p_value}
        (results / f"{name}.json").write_text(json.dumps(record | changed))
