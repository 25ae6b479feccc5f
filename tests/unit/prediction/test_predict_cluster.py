"""Scans scored by processes of dask, real ones; what `each_on` does without a scan, tests/unit/system has."""

import json
import os
import signal

import psutil

from mmccd.prediction.predict import predict


def without_seconds(folder):
    """All that a run left, but for how long it took."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".gz"}
    records = {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}
    for record in records.values():
        del record["seconds"], record["provenance"]
    return files | records


def processes_at_work():
    children = psutil.Process().children(recursive=True)
    return [one for one in children if "spawn_main" in " ".join(one.cmdline())]


def test_a_process_killed_amid_work_changes_nothing(detector, phantom_folder, tmp_path, no_pictures):
    """Its scans are scored by another, and all results are those of one process, to the bit."""
    killed, told = [], []

    def kill(case, done, total):
        if not killed:
            for one in processes_at_work():
                killed.append(one.pid)
                os.kill(one.pid, signal.SIGKILL)

    options = {"subjects": [f"Phantom_000{number}" for number in (1, 2, 3, 4)]}
    alone = predict(detector, phantom_folder, tmp_path / "alone", workers=1, **options)
    more = {"cluster": "local:2", "progress": kill, "told": told.append}
    spread = predict(detector, phantom_folder, tmp_path / "spread", **options, **more)

    assert len(killed) >= 2
    # What a process had scored, and not yet told of when it was killed, is kept by the next.
    assert {one.status for one in spread} <= {"done", "kept"}
    assert [(one.case, one.score) for one in spread] == [(one.case, one.score) for one in alone]
    assert without_seconds(tmp_path / "spread") == without_seconds(tmp_path / "alone")
    assert not list((tmp_path / "spread").glob(".*"))
    assert told[-1] == "2 processes of one thread each"


def test_a_scan_that_is_wrong_fails_alone(detector, scans, tmp_path, no_pictures):
    (scans / "a.nii.gz").write_bytes(b"no scan")
    found = predict(detector, [scans], tmp_path / "out", cluster="local:1")
    assert [(one.case, one.status) for one in found] == [("a", "failed"), ("b", "done")]
