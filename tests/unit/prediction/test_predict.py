"""Many scans: files, folders and cohorts in; one bad scan never stops the others."""

import gzip
import json
import re
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch

from mmccd.data.case_record import read_case_record
from mmccd.data.cohort import Image, read_cohort
from mmccd.data.validate import validate
from mmccd.data.volumes import new_volume, read_volume, write_volume
from mmccd.errors import DataError, MmccdWarning
from mmccd.prediction import record as record_module
from mmccd.prediction.case import CaseScorer
from mmccd.prediction.inputs import Input
from mmccd.prediction.predict import predict
from mmccd.reporting.case import view_of
from mmccd.reporting.scans import Scans, load_shown

# --- what is written ---


def test_files_of_a_case(detector, scans, output):
    told = []
    outcomes = predict(detector, [scans], output, progress=lambda *step: told.append(step))

    assert [(outcome.case, outcome.status) for outcome in outcomes] == [("a", "done"), ("b", "done")]
    assert told == [("a", 0, 2), ("b", 1, 2), ("done", 2, 2)]
    names = [f"{case}{end}" for case in "ab" for end in (".json", ".png", "_anomaly.nii.gz", "_mask.nii.gz")]
    assert sorted(path.name for path in output.iterdir()) == sorted([*names, "findings.csv", "summary.csv"])
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


def test_record_and_summary_of_a_case(detector, scans, output, table, no_pictures):
    predict(detector, [scans / "b.nii.gz"], output)
    record = json.loads((output / "b.json").read_text())
    assert set(record) == {
        "case", "source", "score", "score_definition", "threshold", "threshold_origin", "lesion_volume_ml",
        "brain_volume_ml", "warnings", "trained_on", "seconds", "intensity", "model", "origin", "provenance", "p_value",
        "p_value_of", "brain_from", "findings", "min_lesion_ml",
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
    detector, healthy_scan, tmp_path, output, table, no_pictures
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
    kept = read_case_record(output / "P1.json")
    shown = load_shown(output, kept, Scans.found_in([folder], "flair").of("P1", kept.origin))
    view = view_of("P1", "case-1", kept, shown)
    earlier = kept.model_copy(update={"warnings": ()})  # of a version that knew fewer checks
    anew = view_of("P1", "case-1", earlier, shown)

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
    kept = read_case_record(output / f"{outcome.case}.json")
    shown = load_shown(output, kept, Scans.found_in([tmp_path / "scans"], "flair").of(outcome.case, kept.origin))
    view = view_of(outcome.case, "case-1", kept, shown)

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
    outcome = CaseScorer(detector, output)(item)
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


# --- bad input ---


def test_every_bad_scan_is_named_and_the_good_ones_are_done(
    detector, bad_scans, scans, output, table, no_pictures, tmp_path
):
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
    assert "mmccd preprocess" in outcome.hint


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
