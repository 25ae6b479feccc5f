"""Commands at work, and what they leave.

The commands run in forks of a process that has imported everything, so that a kill costs the time of the work and not
that of the imports.
"""

import csv
import gzip
import hashlib
import json
import multiprocessing
import re
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from mmccd.system.files import PARTIAL

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "mmccd.comparison.benchmark",
        "mmccd.prediction.detector",
        "mmccd.prediction.predict",
        "mmccd.data.prepare",
        "mmccd.training.train",
    ]
)
COMMAND = """
import codecs, multiprocessing, os, sys
from mmccd.cli.app import main
multiprocessing.set_start_method("fork", force=True)  # of data workers, as outside of a fork server
codecs.lookup("utf-8-sig")  # Python itself may lie where nobody may read
log = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
os.dup2(log, 1), os.dup2(log, 2)
if {as_nobody} and os.geteuid() == 0:  # permissions do not bind root
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
sys.exit(main({arguments!r}))
"""
PATIENCE_S = 150
STEPS, VALIDATE_EVERY = 6, 4  # of a training


@dataclass
class Running:
    """A command at work."""

    process: object
    log: Path

    def said(self):
        return self.log.read_text() if self.log.exists() else ""

    def has_said(self, text):
        return lambda: text in self.said()

    def wait_until(self, happened):
        """Until it happened, or the command has ended."""
        until = time.monotonic() + PATIENCE_S
        while self.process.is_alive() and not happened():
            assert time.monotonic() < until, self.said()
            time.sleep(0.0005)

    def children(self):
        """Its data workers or worker processes."""
        with suppress(psutil.NoSuchProcess):
            every = psutil.Process(self.process.pid).children()
            return [child for child in every if "resource_tracker" not in " ".join(child.cmdline())]
        return []

    def killed(self):
        """Whether the kill came before the end."""
        self.process.kill()
        return self.ended() == -signal.SIGKILL

    def ended(self):
        """Its exit code."""
        self.process.join(PATIENCE_S)
        assert not self.process.is_alive(), f"hangs: {self.said()}"
        return self.process.exitcode


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def states(folder):
    """What would change if a file were written again, by name."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder): (path.stat().st_mtime_ns, sha256(path)) for path in files}


def rubbish(folder):
    return [path for path in folder.rglob(".*") if path.name.endswith((PARTIAL, ".lock"))]


def check_complaint(said, error):
    """One line of error, with a remedy, and nothing of Python."""
    assert "Traceback" not in said
    assert "this is a bug" not in said
    lines = [line for line in said.splitlines() if line.startswith(("error:", "hint:"))]
    assert len(lines) == 2, said
    assert re.search(error, lines[0]), said
    return lines[1]


def check_whole(output):
    """All files that have a result's name are whole; the names of the cases with a record, which have all files."""
    for path in output.glob("[!.]*.nii.gz"):
        gzip.decompress(path.read_bytes())
    for path in output.glob("[!.]*.png"):
        assert path.read_bytes().endswith(b"IEND\xaeB`\x82")
    cases = {json.loads(path.read_text())["case"] for path in output.glob("[!.]*.json")}
    for case in cases:
        for end in ("_anomaly.nii.gz", "_mask.nii.gz", ".png"):
            assert (output / f"{case}{end}").is_file(), case
    return cases


def summary(output):
    with (output / "summary.csv").open(newline="") as stream:
        return {row["case"]: row for row in csv.DictReader(stream)}
