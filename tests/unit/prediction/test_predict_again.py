"""Scans into a folder that has results already, or files of others: what is kept, replaced and refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmccd.data.volumes import read_volume, write_volume
from mmccd.errors import ConfigError, DataError, MmccdWarning
from mmccd.model.folder import load_model, save_model
from mmccd.prediction import case as prediction
from mmccd.prediction import preview
from mmccd.prediction.detector import Detector
from mmccd.prediction.inputs import find_inputs
from mmccd.prediction.predict import predict
from mmccd.prediction.share import Share


def times(output):
    return {path.name: path.stat().st_mtime_ns for path in output.iterdir() if path.suffix != ".csv"}


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


@pytest.mark.parametrize("how", [{}, {"overwrite": True}, {"share": Share(1, 1)}])
def test_no_folder_gets_results_of_two_models(detector, scans, output, no_pictures, other_model, how):
    """What would stay of the first is named; given all scans, the second replaces the first."""
    predict(detector, [scans], output)
    before = times(output)
    second = Detector.load(other_model, device="cpu")

    with pytest.raises(ConfigError, match=r"holds b, made by another recipe \(model \w+, not \w+\)") as caught:
        predict(second, [scans / "a.nii.gz"], output, **how)
    assert "choose another output folder" in caught.value.hint
    assert times(output) == before

    assert [outcome.status for outcome in predict(second, [scans], output, **how)] == ["done", "done"]


@pytest.mark.parametrize("settings", [{"threshold": "scan"}, {"min_lesion_ml": 0.5}])
def test_nor_of_two_thresholds(detector, scans, output, no_pictures, model_folder, settings):
    predict(detector, [scans], output)
    other = Detector.load(model_folder, device="cpu", **settings)
    with pytest.raises(ConfigError, match="holds b, made by another recipe"):
        predict(other, [scans / "a.nii.gz"], output)


def test_nor_of_two_versions_and_shares_of_a_cohort_may_replace_it(detector, scans, output, no_pictures, monkeypatch):
    predict(detector, [scans], output)
    monkeypatch.setattr("mmccd.prediction.record.__version__", "99")
    with pytest.raises(ConfigError, match=r"version of mmccd [\d.]+, not 99"):
        predict(detector, [scans / "a.nii.gz"], output)
    with pytest.warns(MmccdWarning, match="results made in 2 ways lie here"):
        predict(detector, [scans], output, share=Share(1, 5))  # that of b follows
    predict(detector, [scans], output, share=Share(2, 5))
    assert {json.loads((output / f"{case}.json").read_text())["origin"]["version"] for case in "ab"} == {"99"}


# --- replaced amid a run ---


@pytest.mark.parametrize("when", ["once it was hashed", "once it was read"])
def test_a_scan_that_is_replaced_while_it_is_read_is_noticed(
    detector, scans, output, no_pictures, monkeypatch, lesioned_scan, when
):
    """Else the record would name a scan that was not scored."""
    name = "origin_of" if when == "once it was hashed" else "ready"
    usual = getattr(prediction, name)

    def replaced(*arguments):
        found = usual(*arguments)
        shutil.copy(lesioned_scan, scans / "new.nii.gz")
        (scans / "new.nii.gz").replace(scans / "a.nii.gz")
        return found

    monkeypatch.setattr(prediction, name, replaced)
    (outcome,) = predict(detector, [scans / "a.nii.gz"], output)
    assert (outcome.status, outcome.error) == ("failed", "a.nii.gz changed while it was read")
    assert "run the same command again" in outcome.hint
    assert not (output / "a.json").exists()


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
    monkeypatch.setattr(preview, "write_preview", lambda *_, **__: None)
    predict(detector, [scan], output)
    expected = (output / "b_anomaly.nii.gz").read_bytes()
    model = load_model(model_folder)
    for weight in model.method.parameters():
        weight.mul_(1.1)
    save_model(tmp_path / "m", model.method, model.error, model.config, model.card)

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(preview, "write_preview", killed)
    with pytest.raises(KeyboardInterrupt):
        predict(Detector.load(tmp_path / "m", device="cpu"), [scan], output)
    monkeypatch.setattr(preview, "write_preview", lambda *_, **__: None)
    predict(detector, [scan], output)
    assert (output / "b_anomaly.nii.gz").read_bytes() == expected


def test_the_summary_is_of_the_folder(detector, scans, output, table, no_pictures, healthy_scan):
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


def test_findings_are_of_the_folder_and_are_added_to_records_without(detector, scans, output, no_pictures):
    predict(detector, [scans / "a.nii.gz"], output)
    predict(detector, [scans / "b.nii.gz"], output)
    record = json.loads((output / "b.json").read_text())
    table = (output / "findings.csv").read_text()
    assert table.count("\nb,") == len(record["findings"]) > 0

    found = record.pop("findings")
    (output / "b.json").write_text(json.dumps(record))
    (outcome,) = predict(detector, [scans / "b.nii.gz"], output)
    assert outcome.status == "done"
    assert json.loads((output / "b.json").read_text())["findings"] == found
    assert (output / "findings.csv").read_text() == table


def test_another_smallest_finding_is_another_result(detector, scans, output, no_pictures, model_folder):
    stricter = Detector.load(model_folder, device="cpu", min_lesion_ml=1.0)
    statuses = []
    for chosen in (detector, stricter, stricter, detector):
        (outcome,) = predict(chosen, [scans / "b.nii.gz"], output)
        statuses.append(outcome.status)
        record = json.loads((output / "b.json").read_text())
        assert record["min_lesion_ml"] == chosen.min_lesion_ml
        assert all(one["volume_ml"] >= chosen.min_lesion_ml for one in record["findings"])
        mask = read_volume(output / "b_mask.nii.gz", allow_zero=True)
        assert outcome.lesion_volume_ml == pytest.approx(float(mask.data.sum()) * mask.voxel_ml)
        assert (output / "findings.csv").read_text().count("\nb,") == len(record["findings"])
    assert statuses == ["done", "done", "kept", "done"]


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
def test_an_empty_summary_and_one_of_another_version_are_replaced(detector, scans, output, table, no_pictures, text):
    output.mkdir()
    (output / "summary.csv").write_text(text)
    predict(detector, [scans / "a.nii.gz"], output)
    assert [(row["case"], row["status"]) for row in table(output)] == [("a", "done")]


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix != ".csv"}


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
    monkeypatch.setattr(preview, "write_preview", lambda *_, **__: None)
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
