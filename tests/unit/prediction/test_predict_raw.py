"""`predict` on scans as they leave the scanner: DICOM, and heads with skull."""

import json
import shutil
import warnings

import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_files import FLAIR, PERSON, T1, T2, write_series
from heads import brain_finder, head_of

from mmccd.cli.app import main
from mmccd.data.case_record import read_case_record
from mmccd.data.volumes import read_volume
from mmccd.errors import ConfigError
from mmccd.evaluation.evaluate import evaluate
from mmccd.prediction.predict import predict
from mmccd.reporting.predictions import Settings, report_predictions
from mmccd.reporting.scans import Scans, load_shown


@pytest.fixture
def head(healthy_scan, tmp_path, monkeypatch):
    """A cohort of one head, whose brain is known."""
    monkeypatch.setattr("mmccd.raw.brain.extract", brain_finder(healthy_scan))
    (tmp_path / "heads" / "P").mkdir(parents=True)
    image, _ = head_of(healthy_scan)
    nib.save(image, tmp_path / "heads" / "P" / "P_flair.nii.gz")
    return tmp_path / "heads"


def test_a_head_is_scored_as_its_brain_is(detector, head, healthy_scan, tmp_path):
    (outcome,) = predict(detector, [head], tmp_path / "out")
    assert outcome.status == "done"
    brain = read_volume(tmp_path / "out" / "P_brain.nii.gz").data > 0
    np.testing.assert_array_equal(brain, read_volume(healthy_scan).data > 0)
    found = read_volume(tmp_path / "out" / "P_anomaly.nii.gz", allow_zero=True).data
    assert not found[~brain].any()
    record = json.loads((tmp_path / "out" / "P.json").read_text())
    assert "HD-BET" in record["brain_from"]
    assert nib.load(tmp_path / "out" / "P_anomaly.nii.gz").shape == nib.load(head / "P" / "P_flair.nii.gz").shape
    (again,) = predict(detector, [head], tmp_path / "out")
    assert again.status == "kept"


def test_never_refuses_a_head_as_before(detector, head, tmp_path):
    (outcome,) = predict(detector, [head], tmp_path / "out", strip="never")
    assert "is not skull-stripped" in outcome.error
    assert not (tmp_path / "out" / "P_brain.nii.gz").exists()


def test_what_was_stripped_is_not_kept_where_nothing_is_to_be(detector, head, tmp_path, no_pictures):
    assert [one.status for one in predict(detector, [head], tmp_path / "out")] == ["done"]
    assert [one.status for one in predict(detector, [head], tmp_path / "out", strip="never")] == ["failed"]


def test_a_brain_that_is_no_longer_needed_goes(detector, head, healthy_scan, tmp_path, no_pictures):
    scan = head / "P" / "P_flair.nii.gz"
    predict(detector, [scan], tmp_path / "out")
    assert (tmp_path / "out" / "P_flair_brain.nii.gz").exists()
    predict(detector, [scan], tmp_path / "out", brain=healthy_scan)
    assert not (tmp_path / "out" / "P_flair_brain.nii.gz").exists()


def test_what_comes_after_uses_the_brain_that_was_found(detector, head, lesioned_scan, tmp_path, monkeypatch):
    monkeypatch.setattr("mmccd.raw.brain.extract", brain_finder(lesioned_scan))
    image, brain = head_of(lesioned_scan)
    (head / "Q").mkdir()
    nib.save(image, head / "Q" / "Q_flair.nii.gz")
    shutil.copy(lesioned_scan.parent / lesioned_scan.name.replace("flair", "seg"), head / "Q" / "Q_seg.nii.gz")
    shutil.rmtree(head / "P")
    predict(detector, [head], tmp_path / "out")
    record = read_case_record(tmp_path / "out" / "Q.json")
    shown = load_shown(tmp_path / "out", record, Scans.found_in([head], "flair").of("Q", record.origin))
    assert shown.problem is None
    np.testing.assert_array_equal(shown.brain, brain[::1] if shown.brain.shape == brain.shape else shown.brain)
    assert shown.brain.sum() == brain.sum()
    page = tmp_path / "report.html"
    report_predictions(tmp_path / "out", page, Settings(scans=(head,), viewer=False))
    assert 'img class="head" src="data:image/png;base64,' in page.read_text()
    evaluated = evaluate(tmp_path / "out", head, tmp_path / "eval", resamples=100)
    assert evaluated.failures == {}


def write_export(folder, *timings):
    """A stripped brain, a series for each timing, in one folder."""
    rng = np.random.default_rng(0)
    place = (np.indices((60, 60, 30)).T - (30, 30, 15)) / (22, 26, 13)
    values = np.where((place**2).sum(-1).T < 1, rng.integers(300, 500, (60, 60, 30)), 0)
    for number, timing in enumerate(timings, start=1):
        write_series(
            folder, values=values, slices=30, pixel_mm=3.5, apart_mm=5.0, number=number, name=f"{number}_", **timing,
        )  # fmt: skip


def test_a_mixed_export_is_scored_and_no_name_comes_out(detector, tmp_path, capsys, model_folder):
    write_export(tmp_path / "export", FLAIR, T1, T2)
    code = main(["predict", str(model_folder), str(tmp_path / "export"), "-o", str(tmp_path / "out"), "-q"])
    said = capsys.readouterr()
    assert (code, said.err) == (0, "")
    assert "export: series 1 (30 slices of 60 x 60) is flair, by its timing (TR 9000 ms" in said.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "export.json", "export.png", "export_anomaly.nii.gz", "export_mask.nii.gz", "findings.csv", "summary.csv",
    ]  # fmt: skip
    texts = said.out + (tmp_path / "out" / "export.json").read_text() + (tmp_path / "out" / "summary.csv").read_text()
    assert PERSON.partition("^")[0] not in texts
    bad = ["predict", str(model_folder), str(tmp_path / "export"), "-o", str(tmp_path / "o"), "--series", "x", "-q"]
    assert main(bad) == 2
    none = [*bad[:-3], "--series", "2", "-q"]
    assert main(none) == 4
    assert "series 2 (30 slices of 60 x 60): it is t1, and flair is asked for" in capsys.readouterr().err


def test_a_dicom_segmentation_is_written_where_it_is_asked_for(detector, tmp_path, no_pictures):
    write_export(tmp_path / "export", FLAIR)
    out = tmp_path / "out"
    assert [one.status for one in predict(detector, tmp_path / "export", out)] == ["done"]
    segmentation = out / "export_seg.dcm"
    assert not segmentation.exists()
    assert [one.status for one in predict(detector, tmp_path / "export", out, dicom_seg=True)] == ["done"]
    found = pydicom.dcmread(segmentation)
    marked = read_volume(out / "export_mask.nii.gz", allow_zero=True).data > 0
    assert marked.any()
    assert found.pixel_array.sum() == marked.sum()
    for asked in (True, False):  # it stays where it is not asked for again
        assert [one.status for one in predict(detector, tmp_path / "export", out, dicom_seg=asked)] == ["kept"]
        assert segmentation.exists()
    assert PERSON.partition("^")[0] not in (out / "export.json").read_text()
    segmentation.unlink()
    assert [one.status for one in predict(detector, tmp_path / "export", out, dicom_seg=True)] == ["done"]
    assert segmentation.exists()
    predict(detector, tmp_path / "export", out, overwrite=True)
    assert not segmentation.exists()


def test_results_within_the_export_are_no_scans(detector, tmp_path, no_pictures):
    write_export(tmp_path / "export", FLAIR)
    for status in ("done", "kept"):
        outcomes = predict(detector, tmp_path / "export", tmp_path / "export" / "results")
        assert [(one.case, one.status) for one in outcomes] == [("export", status)]


def test_a_dicom_segmentation_that_cannot_be_is_a_warning_without_what_the_header_says(detector, tmp_path, no_pictures):
    with warnings.catch_warnings(action="ignore"):
        write_export(tmp_path / "export", FLAIR | {"PatientBirthDate": "secret"})
    (outcome,) = predict(detector, tmp_path / "export", tmp_path / "out", dicom_seg=True)
    assert [one.status for one in predict(detector, tmp_path / "export", tmp_path / "out", dicom_seg=True)] == ["kept"]
    record = (tmp_path / "out" / "export.json").read_text()
    assert outcome.status == "done"
    assert "no DICOM segmentation was written" in record
    assert "secret" not in record
    assert (tmp_path / "out" / "export_mask.nii.gz").exists()


def test_a_dicom_segmentation_of_nothing_in_dicom_or_without_names_is_refused(detector, head, tmp_path, capsys):
    with pytest.raises(ConfigError, match="no scan came as DICOM"):
        predict(detector, head, tmp_path / "out", dicom_seg=True)
    with pytest.raises(ConfigError, match="names the patient"):
        predict(detector, head, tmp_path / "out", dicom_seg=True, anonymize=tmp_path / "key.json")
    assert main(["predict", "builtin:flair", str(head), "-o", str(tmp_path / "o"), "--bids", "--dicom-seg", "-q"]) == 2
    assert "--dicom-seg needs DICOM input" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
