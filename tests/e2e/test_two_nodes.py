"""Two nodes that share a folder on a disk without locks of the system: nothing is lost, done twice or done otherwise.

A node is a process in namespaces of its own, with its own name, network and process numbers, which sees of the other
only what lies in the folder.
"""

import csv
import json
import subprocess
import sys
import time

import psutil
import pytest
from forked_commands import PATIENCE_S, rubbish, sha256

UNSHARE = ("unshare", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
EXPIRES_S = 8.0  # longer than a node takes for the other cases, which then waits
NODE = """
import sys, time
from pathlib import Path
import mmccd.prediction.detector, mmccd.prediction.predict
from mmccd.cli.app import main
from mmccd.system import claims, lives, locks
def refused(*_, **__): raise OSError(95, "Operation not supported")
lives.lock_descriptor, claims.EXPIRES_S, locks.SAID_AFTER_S = refused, {expires_s}, 0.5
Path({meeting!r}, {name!r}).touch()
while len(list(Path({meeting!r}).iterdir())) < 2: time.sleep(0.001)
sys.exit(main({arguments!r}))
"""
CASES = 4


@pytest.fixture(scope="module")
def namespaces():
    try:
        made = subprocess.run([*UNSHARE, "hostname", "a-node"], check=False, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("NOT TESTED: two nodes on one disk; there is no `unshare` of util-linux here")
    if made.returncode:
        pytest.skip(f"NOT TESTED: two nodes on one disk; no namespaces may be made here: {made.stderr.strip()}")


@pytest.fixture
def node(namespaces, tmp_path):
    """A function that starts a command on one of two nodes, which begin together; what still runs is killed."""
    begun, meeting = [], tmp_path / "meeting"
    meeting.mkdir()

    def start(name, *arguments):
        given = [str(argument) for argument in arguments]
        code = NODE.format(expires_s=EXPIRES_S, arguments=given, meeting=str(meeting), name=name)
        command = [*UNSHARE, "sh", "-c", 'hostname "$0" && exec "$@"', name, sys.executable, "-c", code]
        begun.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def at_work(folder):
    """The hosts that work on cases, by case."""
    found = {}
    for path in folder.glob(".case??.lock"):
        try:
            found[path.name[1:7]] = json.loads(path.read_text())["host"]
        except (OSError, ValueError):  # gone, or half-written
            continue
    return found


def made_of(folder):
    """All that a run says of its cases, but for how long it took."""
    maps = {path.name: sha256(path) for path in folder.glob("*.nii.gz")}
    records = {path.name: json.loads(path.read_text()) | {"seconds": None} for path in folder.glob("*.json")}
    with (folder / "summary.csv").open(newline="") as stream:
        rows = [row | {"seconds": None, "status": None} for row in csv.DictReader(stream)]
    return maps, records, rows, (folder / "findings.csv").read_text()


def killed_amid_work(process, name, folder):
    """Kill a node that has a case in work, while others have some, too; which case it was."""
    until, seen = time.monotonic() + PATIENCE_S, set()
    while True:
        assert time.monotonic() < until
        assert process.poll() is None, process.communicate()
        seen |= set(at_work(folder).values())
        if len(seen) > 1 and name in at_work(folder).values():
            (inside,) = psutil.Process(process.pid).children()
            inside.suspend()
            for case, host in at_work(folder).items():
                if host == name and not (folder / f"{case}.json").exists():
                    process.kill()  # and with it all that runs on the node
                    process.wait()
                    return case
            inside.resume()
        time.sleep(0.001)


def test_two_nodes_one_of_them_killed_amid_work_end_as_a_single_run(node, finish, model_folder, scans_of, tmp_path):
    scans, shared = scans_of(CASES), tmp_path / "shared"
    arguments = ("predict", model_folder, scans, "--device", "cpu", "--workers", "1", "--no-preview")
    first = node("node-a", *arguments, "-o", shared)
    second = node("node-b", *arguments, "-o", shared)
    case = killed_amid_work(first, "node-a", shared)
    _, said = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 0, said
    assert f"waits for {case}, which pid 1 on node-a works on since 2" in said
    assert len(list(shared.glob("case??.json"))) == CASES
    assert rubbish(shared) == []

    assert finish(*arguments, "-o", tmp_path / "single")[0] == 0
    assert made_of(shared) == made_of(tmp_path / "single")
