"""A case scored by this process, by several, or by another one."""

import shutil

import pytest

from mmccd.data.cohort import Image
from mmccd.errors import ClaimLost, ConfigError, DataError
from mmccd.prediction.case import CaseScorer
from mmccd.prediction.inputs import Input
from mmccd.prediction.predict import predict
from mmccd.system.claims import Claim
from mmccd.system.locks import one_at_a_time
from mmccd.system.workers import each


@pytest.fixture
def many(healthy_scan, lesioned_scan, tmp_path):
    """Four scans and one that is none, each a file of a folder."""
    folder = tmp_path / "many"
    folder.mkdir()
    for name, scan in (("a", healthy_scan), ("b", lesioned_scan), ("c", lesioned_scan), ("d", healthy_scan)):
        shutil.copy(scan, folder / f"{name}.nii.gz")
    (folder / "e.nii.gz").write_text("no scan")
    return folder


def test_several_processes_find_the_same_to_the_bit(detector, many, tmp_path):
    told = []
    alone = predict(detector, many, tmp_path / "alone", preview=False, workers=1)
    shared = predict(detector, many, tmp_path / "shared", preview=False, workers=2, told=told.append)
    assert told == ["2 processes of one thread each"]
    assert [(one.case, one.status, one.score, one.error) for one in shared] == [
        (one.case, one.status, one.score, one.error) for one in alone
    ]
    assert [one.status for one in shared] == ["done"] * 4 + ["failed"]
    files = {path.name for path in (tmp_path / "alone").iterdir()}
    assert files == {path.name for path in (tmp_path / "shared").iterdir()}
    for name in sorted(name for name in files if name.endswith(".nii.gz")):
        assert (tmp_path / "shared" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name


def test_a_case_without_a_picture_and_an_older_picture_goes(detector, many, tmp_path):
    scorer = CaseScorer(detector, tmp_path, preview=False)
    picture = tmp_path / "a.png"
    item = Input("a", Image(many / "a.nii.gz"))
    CaseScorer(detector, tmp_path)(item)
    assert picture.exists()
    assert scorer(item).status == "kept"
    assert picture.exists()
    CaseScorer(detector, tmp_path, overwrite=True, preview=False)(item)
    assert not picture.exists()


def test_a_case_of_another_process_is_left_to_it(detector, many, tmp_path):
    item = Input("a", Image(many / "a.nii.gz"))
    with one_at_a_time(tmp_path, "a", wait=False):
        assert CaseScorer(detector, tmp_path)(item) is None
    assert CaseScorer(detector, tmp_path)(item).status == "done"


@pytest.mark.parametrize("fails", [False, True])
def test_a_case_that_another_process_has_taken_over_is_left_to_it(detector, many, tmp_path, monkeypatch, fails):
    detect, item, lock = detector.detect, Input("a", Image(many / "a.nii.gz")), tmp_path / ".a.lock"

    def slowly(*arguments, **more):
        lock.write_text('{"token": "0badcafe"}')
        (tmp_path / "a.json").write_text("of the other one")
        if fails:
            raise DataError("what it reads is gone")
        return detect(*arguments, **more)

    monkeypatch.setattr(detector, "detect", slowly)
    assert CaseScorer(detector, tmp_path)(item) is None
    assert (tmp_path / "a.json").read_text() == "of the other one"
    assert sorted(path.name for path in tmp_path.glob("[.a]*")) == [".a.lock", "a.json"]


def test_a_case_that_was_taken_over_is_waited_for(detector, many, tmp_path, monkeypatch):
    lost = ["a", "a", "c"]

    def sometimes(self):
        case = self.path.name.split(".")[1]
        if case in lost:
            lost.remove(case)
            raise ClaimLost("another process has it")

    monkeypatch.setattr(Claim, "check", sometimes)
    outcomes = predict(detector, many, tmp_path / "out", preview=False, workers=1)
    assert [outcome.status for outcome in outcomes] == ["done"] * 4 + ["failed"]
    assert lost == []


def test_what_cannot_be_handed_to_processes_is_refused(detector, many, tmp_path, monkeypatch):
    monkeypatch.setattr(detector, "runtime", "openvino")
    for asked in ({"workers": 2}, {"cluster": "local:1"}):
        with pytest.raises(ConfigError, match="several processes cannot share openvino on cpu"):
            predict(detector, many, tmp_path / "out", **asked)
    assert not (tmp_path / "out").exists()


def test_by_itself_it_takes_processes_for_many_scans_alone(detector, many, tmp_path, monkeypatch, no_pictures):
    asked = []

    def noted(scored, items, workers):
        asked.append(workers)
        return each(scored, items, 1)

    monkeypatch.setattr("mmccd.system.cluster.each", noted)
    monkeypatch.setattr("mmccd.system.workers.ITEMS_EACH", 2)
    monkeypatch.setattr("mmccd.system.workers.idle_cores", lambda: 8)
    predict(detector, many, tmp_path / "out", workers=None)
    predict(detector, many / "a.nii.gz", tmp_path / "out", workers=None)
    assert asked == [2, 1]
