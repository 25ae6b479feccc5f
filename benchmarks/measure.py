"""Run commands, and keep of each its wall time and the peak memory of its largest process."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import mmccd

_SMALL = """
import os, sys
number = os.posix_spawn("/bin/bash", ["bash", "-c", "exec " + sys.argv[1]], os.environ)
_, status, usage = os.wait4(number, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss, usage.ru_utime + usage.ru_stime, file=sys.stderr)
"""


@dataclass(frozen=True)
class Measured:
    """One command: as a reader would type it, seconds, and peak resident memory of any one process in GB.

    ``cpu_seconds`` are those that it and its processes computed: what else the machine does hardly counts there.
    """

    command: str
    seconds: float
    peak_gb: float
    output: str
    cpu_seconds: float = 0.0


def run(command: str, *, log: Path) -> Measured:
    """Run a shell command line; its variables are expanded by the shell, not in the record.

    A command that has its record beside ``log`` already is not run again.
    """
    record = log.with_suffix(".json")
    if record.exists():
        kept = Measured(**json.loads(record.read_text()))
        if kept.command != command:
            raise SystemExit(f"{record} is of another command, {kept.command}: use another folder, or delete it")
        return kept
    started = time.perf_counter()
    with log.open("w") as stream:
        # By a process that is small itself: memory of the one that starts another counts as that one's, too.
        small = [sys.executable, "-S", "-c", _SMALL, command]
        said = subprocess.run(small, stdout=stream, stderr=subprocess.PIPE, text=True, check=True).stderr
    *lines, last = said.splitlines(keepends=True)
    sys.stderr.writelines(lines)
    code, peak_kb, cpu = map(float, last.split())
    if code not in (0, 3):
        raise SystemExit(f"{command}\nended with {code:.0f}: see {log}")
    seconds = round(time.perf_counter() - started, 1)
    measured = Measured(command, seconds, round(peak_kb / 1e6, 2), log.read_text(), round(cpu, 1))
    record.write_text(json.dumps(asdict(measured)))
    return measured


def machine() -> str:
    """Processor, cores and memory."""
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.processor())  # fmt: skip
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory_gb:.0f} GiB, {platform.system()} {platform.machine()}"


def commands_table(rows: list[Measured]) -> str:
    """Markdown table of what was run."""
    lines = ["| command | wall time | peak memory |", "| --- | --- | --- |"]
    lines += [f"| `{row.command}` | {row.seconds:.0f} s | {row.peak_gb:.2f} GB |" for row in rows]
    return "\n".join(lines)


def write_page(path: Path, title: str, what: str, tables: Sequence[str], found: object) -> None:
    """Write ``path``.md, and what it was made of to ``path``.json.

    Args:
        path: Without a suffix.
        title: Of the page.
        what: By which command it was written, of what, how it is averaged, and the seeds.
        tables: Tables and headings.
        found: The values behind them.
    """
    path.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    parts = [f"# {title}", f"{what}; mmccd {mmccd.__version__}, {machine()}.", *tables]
    path.with_suffix(".md").write_text("\n\n".join(parts) + "\n")


def keep(path: Path, rows: list[Measured], **facts: object) -> None:
    """Write the record beside the page."""
    plain = [{key: value for key, value in asdict(row).items() if key != "output"} for row in rows]
    path.write_text(json.dumps({"machine": machine(), "commands": plain, **facts}, indent=2) + "\n")
