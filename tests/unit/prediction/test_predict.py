"""Many scans: files, folders and cohorts in; one bad scan never stops the others."""

import csv
import gzip
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from mmccd.data.cohort import Image, read_cohort
from mmccd.data.validate import validate
from mmccd.data.volumes import new_volume, read_volume, write_volume
from mmccd.errors import DataError, MmccdWarning
from mmccd.model.folder import load_model, save_model
from mmccd.prediction import predict as prediction
from mmccd.prediction import record as record_module
from mmccd.prediction.detector import Detector
from mmccd.prediction.inputs import Input, find_inputs
from mmccd.prediction.predict import predict
from mmccd.reporting.case import view_of
from mmccd.reporting.scans import Scans, load_shown, read_predictions


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def no_pictures(monkeypatch):
    """Previews take longer than the toy model."""
    monkeypatch.setattr(prediction, "write_preview", lambda *_: None)


def table(output):
    with (output / "summary.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def times(output):
    return {path.name: path.stat().st_mtime_ns for path in output.iterdir() if path.name != "summary.csv"}


# --- what is written ---


def test_files_of_a_case(detector, scans, output):
    told = []
    outcomes = predict(detector, [scans], output, progress=lambda *step: told.append(step))

    assert [(outcome.case, outcome.status) for outcome in outcomes] == [("a", "done"), ("b", "done")]
    assert told == [("a", 0, 2), ("b", 1, 2), ("done", 2, 2)]
    names = [f"{case}{end}" for case in "ab" for end in (".json", ".png", "_anomaly.nii.gz", "_mask.nii.gz")]
    assert sorted(path.name for path in output.iterdir()) == sorted([*names, "summary.csv"])
    found = detector.detect(scans / "b.nii.gz")
    anomaly, mask = nib.load(output / "b_anomaly.nii.gz"), nib.load(output / "b_mask.nii.gz")
    source = nib.load(scans / "b.nii.gz")
    assert (anomaly.get_data_dtype(), mask.get_data_dtype()) == (np.float32, np.uint8)
    for image in (anomaly, mask):
        assert image.shape == source.shape
        assert np.array_equal(image.affine, source.affine)
    np.testing.assert_array_equal(read_volume(output / "b_anomaly.nii.gz").data, found.anomaly)
    assert set(np.unique(mask.get_fdata())) == {0, 1}
    assert np.isfinite(anomaly.get_fdata()).all()
    assert (anomaly.get_fdata()[source.get_fdata() == 0] == 0).all()
    assert (output / "b.png").read_bytes().startswith(b"\x89PNG")


def test_record_and_summary_of_a_case(detector, scans, output, no_pictures):
    predict(detector, [scans / "b.nii.gz"], output)
    record = json.loads((output / "b.json").read_text())
    assert set(record) == {
        "case", "source", "score", "score_definition", "threshold", "threshold_origin", "lesion_volume_ml",
        "brain_volume_ml", "warnings", "trained_on", "seconds", "intensity", "model", "origin", "provenance", "p_value",
        "p_value_of",
    }  # fmt: skip
    assert record["threshold_origin"]["chosen_on"] == "healthy validation slices"
    assert record["model"] == {"method": "cyclic-unet", "targets": ["t2"]}
    assert {"model", "scan"} <= set(record["origin"])
    assert record["p_value_of"] == {
        "healthy_subjects": 1,
        "healthy_scores": list(detector.model.card.healthy_scores),
        "from": "healthy validation slices",
    }
    (row,) = table(output)
    assert row["case"] == "b"
    assert float(row["p_value"]) == record["p_value"]
    assert float(row["lesion_volume_ml"]) == record["lesion_volume_ml"] > 0
    assert "coarse" in row["warnings"]
    assert (row["error"], row["hint"]) == ("", "")


def test_what_is_odd_about_a_scan_is_said_alike_wherever_it_is_shown(
    detector, healthy_scan, tmp_path, output, no_pictures
):
    """By `validate`, in the record and the summary of `predict`, and on the page of `report`."""
    scan = read_volume(healthy_scan)
    top = float(np.quantile(scan.data[scan.data > 0], 0.9))
    folder = tmp_path / "cohort"
    write_volume(folder / "P1" / "P1_flair.nii.gz", np.minimum(scan.data, top), scan)

    (report,) = validate(read_cohort(folder))
    (outcome,) = predict(detector, [folder], output)
    record = json.loads((output / "P1.json").read_text())
    (row,) = table(output)
    predictions = read_predictions(output)
    shown = load_shown(predictions, "P1", Scans.found_in([folder], "flair"))
    view = view_of("P1", "case-1", predictions.records["P1"], shown, budget=None)
    earlier = predictions.records["P1"].model_copy(update={"warnings": ()})  # of a version that knew fewer checks
    anew = view_of("P1", "case-1", earlier, shown, budget=None)

    assert shown.problem is None
    (text,) = (text for text in report.warnings if text.startswith("clipped intensities: "))
    assert len(report.warnings) == 2  # that pixels and slices are coarse, too
    for warnings in (record["warnings"], row["warnings"].split("; "), view.warnings, anew.warnings):
        assert tuple(warnings) == report.warnings
    assert outcome.warnings == "; ".join(report.warnings)
    assert text in row["warnings"]


def test_a_doubt_about_a_header_is_said_once_and_under_a_random_name_alone(
    detector, healthy_scan, tmp_path, output, no_pictures
):
    """The scan that a page shows beside hidden cases still has its own name."""
    image = nib.load(healthy_scan)
    image.header["qform_code"] = image.header["sform_code"] = 0
    (tmp_path / "scans").mkdir()
    nib.save(nib.Nifti1Image(image.dataobj, None, image.header), tmp_path / "scans" / "JaneDoe.nii.gz")

    (outcome,) = predict(detector, [tmp_path / "scans"], output, anonymize=tmp_path / "key.json")
    predictions = read_predictions(output)
    shown = load_shown(predictions, outcome.case, Scans.found_in([tmp_path / "scans"], "flair"))
    view = view_of(outcome.case, "case-1", predictions.records[outcome.case], shown, budget=None)

    assert shown.volume is not None
    assert outcome.warnings == "; ".join(view.warnings)
    assert sum("its orientation is a guess" in text for text in view.warnings) == 1
    assert not any("JaneDoe" in text for text in view.warnings)


def test_names_in_headers_do_not_reach_the_results(detector, healthy_scan, tmp_path, output):
    image = nib.load(healthy_scan)
    image.header["descrip"] = image.header["db_name"] = b"JANEDOE"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"JANEDOE born 1970"))
    nib.save(image, tmp_path / "a.nii.gz")
    predict(detector, [tmp_path / "a.nii.gz"], output)
    for path in output.iterdir():
        content = path.read_bytes()
        content = gzip.decompress(content) if path.name.endswith(".gz") else content
        assert b"JANEDOE" not in content, path.name
        if not path.name.endswith(".gz"):
            assert str(tmp_path).encode() not in content, path.name


# --- what is read ---


def test_a_cohort_gives_the_source_modality_of_its_subjects(detector, phantom_folder, output, no_pictures):
    outcomes = predict(detector, [phantom_folder], output, subjects=["Phantom_0007", "Phantom_0008"])
    assert [(outcome.case, outcome.status) for outcome in outcomes] == [
        ("Phantom_0007", "done"), ("Phantom_0008", "done")
    ]  # fmt: skip
    with pytest.raises(DataError, match="none of the 1 subjects asked for"):
        predict(detector, [phantom_folder], output, subjects=["Phantom_9999"])


def test_manifest_with_brain_masks(detector, healthy_scan, tmp_path, output, no_pictures):
    scan = read_volume(healthy_scan)
    for name in ("head", "other"):
        write_volume(tmp_path / f"{name}.nii.gz", scan.data + 50, scan)
    write_volume(tmp_path / "mask.nii.gz", (scan.data > 0).astype(np.uint8), scan)
    shutil.copy(healthy_scan, tmp_path / "t2.nii.gz")
    (tmp_path / "m.csv").write_text(
        "subject,flair,t2,brain\nS1,head.nii.gz,,mask.nii.gz\nS2,other.nii.gz,,\nS3,,t2.nii.gz,\n"
    )
    s1, s2, s3 = predict(detector, [tmp_path / "m.csv"], output)
    assert (s1.status, s2.status, s3.status) == ("done", "failed", "failed")
    assert "not skull-stripped" in s2.error
    assert s3.error == "has no flair, only t2"
    assert s1.brain_volume_ml == pytest.approx((scan.data > 0).sum() * scan.voxel_ml)


def test_one_volume_of_a_4d_file(detector, healthy_scan, tmp_path, output, no_pictures):
    scan = nib.load(healthy_scan)
    both = np.stack([np.zeros(scan.shape), scan.get_fdata()], axis=3).astype(np.float32)
    nib.save(nib.Nifti1Image(both, scan.affine), tmp_path / "x.nii.gz")
    item = Input("x", Image(tmp_path / "x.nii.gz", 1))
    outcome = prediction._predict_one(detector, item, output, False)
    assert outcome.status == "done"
    assert json.loads((output / "x.json").read_text())["origin"]["scan"].endswith("#1")


def test_scans_of_one_name_fail_and_the_others_are_done(detector, scans, tmp_path, output, no_pictures):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(scans / "a.nii.gz", other / "A.nii.gz")  # one name on a disk that ignores capitals
    outcomes = predict(detector, [scans, other], output)
    assert [(outcome.case, outcome.status) for outcome in outcomes] == [("A", "failed"), ("a", "failed"), ("b", "done")]
    assert "several scans would be written as a" in outcomes[1].error
    assert not list(output.glob("a*"))


def test_a_folder_with_the_name_of_a_scan_stops_no_other(scans, tmp_path, detector):
    odd = tmp_path / "odd.nii.gz"
    odd.mkdir()
    outcomes = predict(detector, [odd, scans / "a.nii.gz"], tmp_path / "out")
    assert [(outcome.case, outcome.status) for outcome in outcomes] == [("a", "done"), ("odd", "failed")]
    assert outcomes[1].error == "odd.nii.gz is not a NIfTI file"


# --- again ---


def test_a_second_run_keeps_what_is_done(detector, scans, output, no_pictures, monkeypatch):
    first = predict(detector, [scans], output)
    before = times(output)

    again = predict(detector, [scans], output)
    assert [outcome.status for outcome in again] == ["kept", "kept"]
    assert [vars(o) | {"status": ""} for o in again] == [vars(o) | {"status": ""} for o in first]
    assert times(output) == before

    predict(detector, [scans], output, overwrite=True)
    assert all(later > before[name] for name, later in times(output).items())


def test_what_is_incomplete_or_of_another_scan_is_done_again(
    detector, scans, output, no_pictures, lesioned_scan, healthy_scan
):
    predict(detector, [scans], output)
    for spoil in (
        lambda: (output / "a_mask.nii.gz").unlink(),
        lambda: shutil.copy(lesioned_scan, scans / "a.nii.gz"),
    ):
        spoil()
        assert [outcome.status for outcome in predict(detector, [scans], output)] == ["done", "kept"]


@pytest.fixture
def other_model(model_folder, tmp_path):
    """The same weights with another threshold and rim."""
    model = load_model(model_folder)
    config = model.config.model_copy(update={"scoring": model.config.scoring.model_copy(update={"edge_mm": 0.0})})
    lower = replace(model.card.threshold, value=0.5 * model.card.threshold.value)
    card = model.card.model_copy(update={"threshold": lower})
    save_model(tmp_path / "other", model.method, model.error, config, card)
    return tmp_path / "other"


def test_another_threshold_is_another_model(detector, scans, output, no_pictures, other_model):
    predict(detector, [scans / "b.nii.gz"], output)
    (outcome,) = predict(Detector.load(other_model, device="cpu"), [scans / "b.nii.gz"], output)
    assert outcome.status == "done"


@pytest.mark.openvino
def test_another_runtime_is_another_result(detector, scans, output, no_pictures, model_folder):
    predict(detector, [scans / "b.nii.gz"], output)
    for status in ("done", "kept"):
        (outcome,) = predict(
            Detector.load(model_folder, device="cpu", runtime="openvino"), [scans / "b.nii.gz"], output
        )
        assert outcome.status == status
    assert json.loads((output / "b.json").read_text())["origin"]["runtime"] == "openvino"


def test_another_brain_mask_is_another_case(detector, scans, output, no_pictures, tmp_path):
    scan = read_volume(scans / "a.nii.gz")
    predict(detector, [scans / "a.nii.gz"], output)
    half = (scan.data > 0) & (np.arange(scan.data.shape[2]) > 20)
    write_volume(tmp_path / "half.nii.gz", half.astype(np.uint8), scan)
    (outcome,) = predict(detector, [scans / "a.nii.gz"], output, brain=tmp_path / "half.nii.gz")
    assert outcome.status == "done"


def test_a_killed_run_with_another_model_is_not_taken_for_the_first(
    detector, scans, output, model_folder, tmp_path, monkeypatch
):
    scan = scans / "b.nii.gz"
    monkeypatch.setattr(prediction, "write_preview", lambda *_: None)
    predict(detector, [scan], output)
    expected = (output / "b_anomaly.nii.gz").read_bytes()
    model = load_model(model_folder)
    for weight in model.method.parameters():
        weight.mul_(1.1)
    save_model(tmp_path / "m", model.method, model.error, model.config, model.card)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(prediction, "write_preview", killed)
    with pytest.raises(KeyboardInterrupt):
        predict(Detector.load(tmp_path / "m", device="cpu"), [scan], output)
    monkeypatch.setattr(prediction, "write_preview", lambda *_: None)
    predict(detector, [scan], output)
    assert (output / "b_anomaly.nii.gz").read_bytes() == expected


def test_the_summary_is_of_the_folder(detector, scans, output, no_pictures, healthy_scan):
    (scans / "empty.nii.gz").write_bytes(b"")
    predict(detector, [scans / "a.nii.gz", scans / "empty.nii.gz"], output)
    (output / "summary.csv").rename(output / "earlier.csv")
    predict(detector, [scans / "b.nii.gz"], output)
    assert [(row["case"], row["status"]) for row in table(output)] == [("a", "done"), ("b", "done")]

    (output / "earlier.csv").rename(output / "summary.csv")
    (output / "notes.json").write_text("[1]")
    (outcome,) = predict(detector, [scans / "b.nii.gz"], output)
    assert (outcome.case, outcome.status) == ("b", "kept")
    rows = {row["case"]: row for row in table(output)}
    assert {case: row["status"] for case, row in rows.items()} == {"a": "done", "b": "kept", "empty": "failed"}
    assert rows["empty"]["error"]

    shutil.copy(healthy_scan, scans / "empty.nii.gz")
    predict(detector, [scans / "empty.nii.gz"], output)
    assert [row["status"] for row in table(output)] == ["done", "done", "done"]


# --- files of others ---


def test_a_summary_of_another_tool_is_refused_before_any_scan(detector, scans, output):
    output.mkdir()
    own = "subject,age\ns1,40\n"
    (output / "summary.csv").write_text(own)
    with pytest.raises(DataError, match="no summary of `mmccd predict`: its columns are subject, age") as error:
        predict(detector, [scans], output)
    assert "another output folder" in error.value.hint
    assert {path.name: path.read_text() for path in output.iterdir()} == {"summary.csv": own}


@pytest.mark.parametrize("text", ["", "case,status,of_another_version\na,done,1\n"])
def test_an_empty_summary_and_one_of_another_version_are_replaced(detector, scans, output, no_pictures, text):
    output.mkdir()
    (output / "summary.csv").write_text(text)
    predict(detector, [scans / "a.nii.gz"], output)
    assert [(row["case"], row["status"]) for row in table(output)] == [("a", "done")]


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "summary.csv"}


def test_a_sidecar_of_a_scan_is_never_replaced_or_removed(detector, scans, no_pictures):
    """dcm2niix writes `a.json` beside `a.nii.gz`."""
    (scans / "a.json").write_text('{"Modality": "MR", "ProtocolName": "t2_tirm"}')
    (scans / "c.nii.gz").write_bytes(b"")
    (scans / "c.json").write_text('{"Modality": "MR"}')
    before = content(scans)
    for overwrite in (False, True):
        a, b, c = predict(detector, [scans], scans, overwrite=overwrite)
        assert (a.status, b.status, c.status) == ("failed", "done", "failed")
        for outcome in (a, c):
            assert f"{outcome.case}.json: already there, and no record of `mmccd predict` says" in outcome.error
            assert "another output folder" in outcome.hint
    assert content(scans).items() >= before.items()
    assert not (scans / "a_mask.nii.gz").exists()


def test_masks_of_others_are_never_replaced(detector, healthy_scan, tmp_path, no_pictures):
    """FSL BET writes `head_brain_mask.nii.gz` beside `head_brain.nii.gz`; experts call theirs `p1_mask.nii.gz`."""
    scan = read_volume(healthy_scan)
    for name in ("head_brain", "p1"):
        shutil.copy(healthy_scan, tmp_path / f"{name}.nii.gz")
        write_volume(tmp_path / f"{name}_mask.nii.gz", (scan.data > 0).astype(np.uint8), scan)
    before = content(tmp_path)
    (outcome,) = predict(
        detector, [tmp_path / "head_brain.nii.gz"], tmp_path, brain=tmp_path / "head_brain_mask.nii.gz"
    )
    assert outcome.status == "failed"
    assert "head_brain_mask.nii.gz: read for this case" in outcome.error
    (outcome,) = predict(detector, [tmp_path / "p1.nii.gz"], tmp_path)
    assert outcome.status == "failed"
    assert "p1_mask.nii.gz: already there" in outcome.error
    assert content(tmp_path) == before


def test_a_result_that_is_given_as_brain_mask_is_not_written_over(detector, scans, output, no_pictures):
    predict(detector, [scans / "b.nii.gz"], output)
    before = content(output)
    (outcome,) = predict(detector, [scans / "b.nii.gz"], output, brain=output / "b_mask.nii.gz")
    assert outcome.status == "failed"
    assert content(output) == before


def test_results_beside_their_scans_are_no_scans(detector, scans, no_pictures):
    first = predict(detector, [scans], scans)
    again = predict(detector, [scans], scans)
    assert [(outcome.case, outcome.status) for outcome in first] == [("a", "done"), ("b", "done")]
    assert [(outcome.case, outcome.status) for outcome in again] == [("a", "kept"), ("b", "kept")]
    found, problems = find_inputs(sorted(scans.glob("*.nii.gz")), "flair")  # as a shell gives them
    assert [item.case for item in found] == ["a", "b"]
    assert sorted(problems) == ["a_anomaly", "a_mask", "b_anomaly", "b_mask"]
    assert "is a result of `mmccd predict`" in problems["a_anomaly"].what
    (scans / "a.json").unlink()
    assert "a_anomaly" in [item.case for item in find_inputs([scans], "flair")[0]]


def test_a_flat_cohort_that_is_scored_into_itself_stays_one(detector, healthy_scan, tmp_path, no_pictures):
    folder = tmp_path / "flat"
    folder.mkdir()
    for name in ("p1_flair", "p1_t2", "p2_flair"):
        shutil.copy(healthy_scan, folder / f"{name}.nii.gz")
    for _ in range(2):
        assert [outcome.case for outcome in predict(detector, [folder], folder)] == ["p1", "p2"]


def test_results_without_a_record_of_a_killed_or_failed_run_are_replaced(
    detector, scans, output, monkeypatch, healthy_scan
):
    monkeypatch.setattr(prediction, "write_preview", lambda *_: None)
    move = Path.replace

    def killed(path, target):
        if path.name == "a.json":
            raise KeyboardInterrupt
        return move(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(prediction, "write_json", lambda path, _: path.write_text("{}"))
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            predict(detector, [scans / "a.nii.gz"], output)
    assert (output / "a_mask.nii.gz").exists()
    assert not (output / "a.json").exists()
    for _ in range(2):
        (scans / "a.nii.gz").write_bytes(b"")
        assert predict(detector, [scans / "a.nii.gz"], output)[0].status == "failed"
        assert not (output / "a.json").exists()
        shutil.copy(healthy_scan, scans / "a.nii.gz")
        assert predict(detector, [scans / "a.nii.gz"], output)[0].status == "done"
        assert list(output.glob(".*")) == []


# --- bad input ---


def test_every_bad_scan_is_named_and_the_good_ones_are_done(detector, bad_scans, scans, output, no_pictures, tmp_path):
    reasons = bad_scans(scans)
    outcomes = {o.case: o for o in predict(detector, [scans, tmp_path / "missing.nii.gz"], output)}

    assert {case for case, outcome in outcomes.items() if outcome.status == "done"} == {"a", "b"}
    rows = {row["case"]: row for row in table(output)}
    for case, reason in (reasons | {"missing": "does not exist"}).items():
        assert outcomes[case].status == "failed", case
        assert re.search(reason, rows[case]["error"]), (case, rows[case]["error"])
        assert f"{case}.nii.gz" in rows[case]["error"]
        assert rows[case]["hint"], case
        assert not (output / f"{case}.json").exists()
    assert list(rows) == sorted(rows)


def test_a_mask_on_another_grid_is_named(detector, scans, output, tmp_path, healthy_scan):
    scan = read_volume(healthy_scan)
    other = new_volume((scan.data[1:] > 0).astype(np.uint8), scan.affine)
    write_volume(tmp_path / "mask.nii.gz", other.data.astype(np.uint8), other)
    (outcome,) = predict(detector, [scans / "a.nii.gz"], output, brain=tmp_path / "mask.nii.gz")
    assert outcome.status == "failed"
    assert "a.nii.gz and mask.nii.gz are not co-registered" in outcome.error
    assert "register them to one grid" in outcome.hint


def test_an_output_that_cannot_be_written_is_an_error(detector, scans, tmp_path, no_pictures):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot write"):
        predict(detector, [scans / "a.nii.gz"], tmp_path / "file" / "out")


def test_a_scan_that_may_not_be_read_is_named(detector, scans, output, no_pictures, monkeypatch):
    real = record_module.sha256_of_file

    def denied(path):
        if path.name == "a.nii.gz":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(record_module, "sha256_of_file", denied)
    a, b = predict(detector, [scans], output)
    assert (a.status, b.status) == ("failed", "done")


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")],
)
def test_a_scan_for_which_the_memory_does_not_do_stops_no_other(
    detector, scans, output, no_pictures, monkeypatch, error
):
    kind, tried = type(detector.model.method), []
    restorations = kind.restorations

    def full(method, source):
        if tried[-1:] != [1]:  # until all of the first scan was tried
            tried.append(len(source))
            raise error
        return restorations(method, source)

    monkeypatch.setattr(kind, "restorations", full)
    with pytest.warns(MmccdWarning, match="out of memory"):
        a, b = predict(detector, [scans], output)
    assert tried == [16, 8, 4, 2, 1]
    assert (a.status, b.status) == ("failed", "done")
    assert "cpu is out of memory with one slice at a time" in a.error
    assert "--device" in a.hint


def test_a_scan_that_went_bad_leaves_no_old_result(detector, scans, output, no_pictures):
    predict(detector, [scans], output)
    (scans / "a.nii.gz").write_bytes(b"")
    a, _ = predict(detector, [scans], output)
    assert a.status == "failed"
    assert not (output / "a.json").exists()  # else `evaluate` would score the old map
