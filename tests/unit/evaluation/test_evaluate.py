"""Evaluation of predictions whose right numbers are known by construction."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from mmccd.data.cohort import read_cohort
from mmccd.data.volumes import new_volume, write_volume
from mmccd.errors import DataError, MmccdWarning
from mmccd.evaluation.case import INTENSITY, SMOOTHED_INTENSITY, load_scored_case
from mmccd.evaluation.evaluate import _Pool, evaluate
from mmccd.method.intensity import normalise
from mmccd.scoring.maps import smoothed
from mmccd.scoring.thresholds import LEVEL, own_level
from mmccd.system.files import write_json

SHAPE = (24, 24, 4)
AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])
LPS = np.diag([-1.0, -2.0, 3.0, 1.0])


def as_on_windows(path, encoding="cp1252"):
    return path.read_bytes().decode(encoding)


def brain_of(shape=SHAPE):
    brain = np.zeros(shape, bool)
    brain[1:-1, 1:-1] = True
    return brain


def lesion_of(shape=SHAPE):
    lesion = np.zeros(shape, bool)
    lesion[8:13, 8:12, 1:3] = True
    lesion[8:13, 12, 2] = True  # slice 2 has the most
    return lesion


def add_subject(root, name, *, affine=AFFINE, lesion=None, with_mask=True):
    """A bright lesion on a flat brain: a plain intensity threshold is perfect."""
    lesion = lesion_of() if lesion is None else lesion
    scan = np.where(brain_of(), 100.0 + np.arange(SHAPE[0])[:, None, None], 0).astype(np.float32)
    scan[lesion & brain_of()] = 400
    volume = new_volume(scan, affine)
    write_volume(root / name / f"{name}_flair.nii.gz", scan, new_volume(scan, affine))
    if with_mask:
        write_volume(root / name / f"{name}_seg.nii.gz", lesion.astype(np.uint8), volume)


def intensity_of(**changed):
    return {"polarity": "bright", "threshold": 4.0, "smooth_mm": 0.0, "smoothed_threshold": 4.0} | changed


def add_prediction(root, name, score, *, threshold=0.5, affine=AFFINE, **record):
    volume = new_volume(np.ones(score.shape, np.float32), affine)
    write_volume(root / f"{name}_anomaly.nii.gz", score.astype(np.float32), volume)
    write_volume(root / f"{name}_mask.nii.gz", (score > threshold).astype(np.uint8), volume)
    values = {
        "case": name,
        "source": "flair",
        "score": 1.0,
        "p_value": 0.5,
        "threshold": threshold,
        "threshold_origin": {"value": threshold, "criterion": "by hand", "guarantee": "none"},
        "lesion_volume_ml": 1.0,
        "brain_volume_ml": 1000.0,
        "seconds": 1.0,
        "intensity": intensity_of(),
        "model": {"method": "cyclic_unet"},
        "origin": {},
    } | record
    write_json(root / f"{name}.json", values)


@pytest.fixture
def folders(tmp_path):
    data, predictions = tmp_path / "data", tmp_path / "predictions"
    data.mkdir()
    predictions.mkdir()
    return data, predictions, tmp_path / "out"


def row_of(evaluation, case, method="cyclic_unet"):
    (row,) = [row for row in evaluation.rows if (row["case"], row["method"]) == (case, method)]
    return row


def test_perfect_prediction_and_baseline(folders):
    data, predictions, output = folders
    add_subject(data, "a")
    add_prediction(predictions, "a", lesion_of() * 1.0)

    evaluation = evaluate(predictions, data, output)

    assert [row["method"] for row in evaluation.rows] == ["cyclic_unet", "intensity threshold"]
    for row in evaluation.rows:
        for name in ("dice", "iou", "sensitivity", "precision", "auroc", "auprc", "oracle_dice"):
            assert row[name] == 1.0, name
        assert row["assd_mm"] == row["hd95_mm"] == 0.0
        assert row["lesion_ml"] == row["predicted_ml"] == pytest.approx(45 * 6 / 1000)
    assert list(evaluation.differences) == ["intensity threshold"]
    assert evaluation.differences["intensity threshold"]["dice"].mean == 0.0
    assert evaluation.failures == {}


def test_known_numbers_of_an_imperfect_prediction(folders):
    data, predictions, output = folders
    add_subject(data, "a")
    shifted = np.roll(lesion_of(), 1, axis=1)  # 2 mm to the front
    add_prediction(predictions, "a", shifted * 0.4, threshold=0.1)

    evaluation = evaluate(predictions, data, output)

    row = row_of(evaluation, "a")
    assert row["dice"] == pytest.approx(2 * 35 / 90)
    assert row["oracle_dice"] == pytest.approx(row["dice"])
    assert row["threshold"] == 0.1
    assert 0 < row["assd_mm"] < 2
    assert row["hd95_mm"] == 2.0
    assert evaluation.differences["intensity threshold"]["dice"].mean == pytest.approx(70 / 90 - 1)


def test_orientation_of_the_files_changes_nothing(folders):
    data, predictions, output = folders
    for name, affine in (("a", AFFINE), ("b", LPS)):
        add_subject(data, name, affine=affine)
        add_prediction(predictions, name, np.roll(lesion_of(), 1, axis=1) * 1.0, affine=affine)

    evaluation = evaluate(predictions, data, output)

    a, b = row_of(evaluation, "a"), row_of(evaluation, "b")
    numbers = [name for name, value in a.items() if isinstance(value, float)]
    assert [a[name] for name in numbers] == pytest.approx([b[name] for name in numbers])


def test_dark_polarity_and_threshold_of_the_baseline(folders):
    data, predictions, output = folders
    add_subject(data, "a")
    add_prediction(predictions, "a", lesion_of() * 1.0, intensity=intensity_of(polarity="dark", threshold=50.0))

    row = row_of(evaluate(predictions, data, output), "a", "intensity threshold")

    assert row["auroc"] == 0.0  # the bright lesion comes last
    assert row["dice"] == 0.0
    assert math.isnan(row["precision"])
    assert row["assd_mm"] == math.inf


def test_baseline_as_the_model_is_listed_once(folders):
    data, predictions, output = folders
    add_subject(data, "a")
    add_prediction(predictions, "a", lesion_of() * 1.0, model={"method": "intensity threshold"})

    evaluation = evaluate(predictions, data, output)

    assert [row["method"] for row in evaluation.rows] == ["intensity threshold"]
    assert evaluation.differences == {}
    assert [line[0] for line in evaluation.table()] == ["method", "intensity threshold"]


# --- beside a smoothed map ---


def test_intensity_smoothed_alike_stands_beside_a_smoothed_map(folders):
    data, predictions, output = folders
    add_subject(data, "a")
    intensity = intensity_of(smooth_mm=2.0, smoothed_threshold=6.0)
    add_prediction(predictions, "a", lesion_of() * 1.0, intensity=intensity)

    evaluation = evaluate(predictions, data, output)

    methods = ["cyclic_unet", "intensity threshold", "smoothed intensity"]
    assert [row["method"] for row in evaluation.rows] == methods
    assert [row["method"] for row in evaluation.paper] == methods
    case = load_scored_case(predictions, read_cohort(data).subject("a"))
    brain = case.expert.brain
    expected = smoothed(normalise(case.scan.data, brain), brain, smooth_mm=2.0, spacing_mm=(1.0, 2.0, 3.0))
    np.testing.assert_allclose(case.scored[2].score, expected, rtol=1e-5, atol=1e-6)  # by slices, axes turned
    np.testing.assert_array_equal(case.scored[2].marked, brain & (expected > 6))
    row = row_of(evaluation, "a", "smoothed intensity")
    assert row["threshold"] == 6
    assert 0.3 < row["dice"] < 1 == row_of(evaluation, "a", "intensity threshold")["dice"]  # blurred

    assert [line[0] for line in evaluation.table()] == ["method", *methods, *(f"model - {m}" for m in methods[1:])]
    assert evaluation.differences["smoothed intensity"]["dice"].mean == pytest.approx(1 - row["dice"])
    assert set(evaluation.differences["smoothed intensity"]) == {"dice", "auprc"}
    record = json.loads((output / "evaluation.json").read_text())
    assert record["differences"]["smoothed intensity"]["dice"]["mean"] == pytest.approx(1 - row["dice"])
    assert "| model - smoothed intensity |" in (output / "table.md").read_text()


def test_dark_lesions_are_smoothed_after_they_are_turned(folders):
    data, predictions, output = folders
    add_subject(data, "a")
    dark = intensity_of(polarity="dark", smooth_mm=2.0)
    add_prediction(predictions, "a", lesion_of() * 1.0, intensity=dark)

    assert row_of(evaluate(predictions, data, output), "a", "smoothed intensity")["auroc"] < 0.05


def test_a_difference_is_over_the_cases_that_have_the_baseline(folders):
    data, predictions, output = folders
    for name, smooth_mm in (("a", 2.0), ("b", 0.0)):
        add_subject(data, name)
        add_prediction(predictions, name, lesion_of() * 1.0, intensity=intensity_of(smooth_mm=smooth_mm))

    differences = evaluate(predictions, data, output).differences

    assert {name: values["dice"].n for name, values in differences.items()} == {
        "intensity threshold": 2, "smoothed intensity": 1
    }  # fmt: skip


# --- thresholds that are relative to each scan ---


@pytest.mark.parametrize("polarity", ["bright", "dark"])
def test_intensities_are_cut_above_the_level_of_each_scan_where_the_model_is(folders, polarity):
    data, predictions, _ = folders
    add_subject(data, "a")
    intensity = intensity_of(polarity=polarity, threshold=1.5, smooth_mm=2.0, smoothed_threshold=0.5, added_to=LEVEL)
    add_prediction(predictions, "a", lesion_of() * 1.0, intensity=intensity)

    case = load_scored_case(predictions, read_cohort(data).subject("a"))

    brain = case.expert.brain
    plain = normalise(case.scan.data, brain) * (1 if polarity == "bright" else -1)
    mean = smoothed(plain, brain, smooth_mm=2.0, spacing_mm=(1.0, 2.0, 3.0))
    for scored, score, value in zip(case.scored[1:], (plain, mean), (1.5, 0.5), strict=True):
        assert scored.threshold == pytest.approx(value + own_level(score[brain]), rel=1e-5)
        assert scored.threshold > score[brain].min()
        np.testing.assert_array_equal(scored.marked, brain & (scored.score > scored.threshold))
    assert case.scored[0].threshold == 0.5  # the model's, as it was cut


@pytest.mark.parametrize("polarity", ["bright", "dark"])
def test_the_least_intensity_of_a_scan_is_never_marked(folders, polarity):
    """As of the model's map: a relative threshold is never below the least score of the scan, which may be negative."""
    data, predictions, _ = folders
    add_subject(data, "a")
    intensity = intensity_of(
        polarity=polarity, threshold=-100.0, smooth_mm=2.0, smoothed_threshold=-100.0, added_to=LEVEL
    )
    add_prediction(predictions, "a", lesion_of() * 1.0, intensity=intensity)

    case = load_scored_case(predictions, read_cohort(data).subject("a"))

    brain = case.expert.brain
    assert [scored.method for scored in case.scored[1:]] == [INTENSITY, SMOOTHED_INTENSITY]
    for scored in case.scored[1:]:
        least = scored.score[brain].min()
        assert scored.threshold == least
        np.testing.assert_array_equal(scored.marked, brain & (scored.score > least))
        assert scored.marked[brain].any()
        assert not scored.marked[brain].all()


@pytest.mark.parametrize("anonymous", [False, True])
def test_sessions_of_one_patient_count_once(folders, tmp_path, anonymous):
    """One patient is missed in three sessions, the other is found in its only one."""
    data, predictions, output = folders
    key = tmp_path / "key.json"
    subjects = ("BraTS-GLI-00001-000", "BraTS-GLI-00001-001", "BraTS-GLI-00001-002", "BraTS-GLI-00002-000")
    names = {subject: f"case-0000000{i}" for i, subject in enumerate(subjects)}
    key.write_text(json.dumps(names))
    for subject in subjects:
        add_subject(data, subject)
        name = names[subject] if anonymous else subject
        add_prediction(predictions, name, lesion_of() * 1.0 if "00002" in subject else np.zeros(SHAPE))

    evaluation = evaluate(predictions, data, output, anonymize=key if anonymous else None)

    assert len(evaluation.rows) == 8
    for found in (evaluation.aggregates["cyclic_unet"], evaluation.paper_aggregates["cyclic_unet"]):
        assert (found["dice"].mean, found["dice"].n) == (0.5, 2)
    difference = evaluation.differences["intensity threshold"]["dice"]
    assert (difference.mean, difference.n) == (-0.5, 2)


# --- what is undefined or unusable ---


def test_undefined_values_are_counted_and_never_zero(folders):
    data, predictions, output = folders
    add_subject(data, "ill")
    add_subject(data, "missed")
    add_subject(data, "healthy", lesion=np.zeros(SHAPE, bool))
    add_prediction(predictions, "ill", lesion_of() * 1.0)
    add_prediction(predictions, "missed", np.zeros(SHAPE))
    add_prediction(predictions, "healthy", np.zeros(SHAPE))

    evaluation = evaluate(predictions, data, output)

    assert math.isnan(row_of(evaluation, "healthy")["dice"])
    assert row_of(evaluation, "missed")["dice"] == 0.0
    assert row_of(evaluation, "missed")["assd_mm"] == math.inf
    model = evaluation.aggregates["cyclic_unet"]
    assert (model["dice"].mean, model["dice"].n, model["dice"].undefined) == (0.5, 2, 1)
    assert (model["assd_mm"].mean, model["assd_mm"].n, model["assd_mm"].undefined) == (0.0, 1, 2)
    assert [row["case"] for row in evaluation.paper] == ["ill", "ill", "missed", "missed"]


def test_lesion_outside_the_brain_counts_as_missed(folders):
    data, predictions, output = folders
    lesion = lesion_of()
    lesion[0, :5, 1] = True  # outside the brain
    add_subject(data, "a", lesion=lesion)
    add_prediction(predictions, "a", lesion_of() * 1.0)

    row = row_of(evaluate(predictions, data, output), "a")

    assert row["sensitivity"] == pytest.approx(45 / 50)
    assert row["oracle_dice"] == row["dice"] == pytest.approx(90 / 95)
    assert row["auroc"] == 1.0


def test_cases_that_the_model_was_trained_on_are_not_passed_over(folders):
    data, predictions, output = folders
    for name, known in (("a", True), ("b", False), ("c", None)):
        add_subject(data, name)
        add_prediction(predictions, name, lesion_of().astype(float), **({} if known is None else {"trained_on": known}))
    with pytest.warns(MmccdWarning, match="trained or calibrated on 1 of these 3 scans.*--split STORE"):
        found = evaluate(predictions, data, output)
    assert found.trained_on == ("a",)
    assert json.loads((output / "evaluation.json").read_text())["trained_on"] == ["a"]
    assert "**Beware:** the model was trained or calibrated on 1 of these 3 scans" in (output / "table.md").read_text()


def test_unusable_cases_are_listed_and_the_others_go_on(folders):
    data, predictions, output = folders
    for name in ("good", "other_grid", "no_record", "bad_record", "old_record", "bad_polarity", "no_source", "corrupt"):
        add_subject(data, name)
        add_prediction(predictions, name, lesion_of() * 1.0)
    add_subject(data, "no_mask", with_mask=False)
    add_subject(data, "not_predicted")
    add_prediction(predictions, "no_mask", lesion_of() * 1.0)
    add_prediction(predictions, "stranger", lesion_of() * 1.0)
    add_prediction(predictions, "other_grid", np.ones((5, 5, 5)))
    add_prediction(predictions, "bad_polarity", lesion_of() * 1.0, intensity=intensity_of(polarity="grey"))
    add_prediction(predictions, "no_source", lesion_of() * 1.0, source="t9")
    add_prediction(predictions, "old_record", lesion_of() * 1.0, intensity={"polarity": "bright", "threshold": 4.0})
    (predictions / "no_record.json").unlink()
    (predictions / "bad_record.json").write_text('{"source": "flair"}')
    (predictions / "corrupt_mask.nii.gz").write_bytes(b"no gzip")

    evaluation = evaluate(predictions, data, output)

    assert {row["case"] for row in evaluation.rows} == {"good"}
    reasons = evaluation.failures
    assert "no lesion mask" in reasons["no_mask"]
    assert "has no subject stranger" in reasons["stranger"]
    assert "not co-registered" in reasons["other_grid"]
    assert "cannot read no_record.json" in reasons["no_record"]
    assert reasons["bad_record"].startswith("bad_record.json lacks brain_volume_ml, case, ")
    assert "old_record.json is damaged: intensity.smooth_mm: Field required" in reasons["old_record"]
    assert (
        "bad_polarity.json is damaged: intensity.polarity: Input should be 'bright' or 'dark'"
        in reasons["bad_polarity"]
    )
    assert "t9" in reasons["no_source"]
    assert "corrupt_mask.nii.gz" in reasons["corrupt"]
    assert evaluation.not_predicted == 1
    page = (output / "table.md").read_text()
    assert all(f"| {case} |" in page for case in reasons)
    assert json.loads((output / "evaluation.json").read_text())["failures"] == reasons


def test_records_are_read_as_utf8_whatever_the_locale(folders, monkeypatch):
    """As Windows reads by default, an ü is two letters, and an Á has a byte that is none."""
    data, predictions, output = folders
    add_subject(data, "Müller")
    more = {"warnings": ["Müller und Álvarez bewegten sich"], "model": {"method": "Müllers Modell"}}
    add_prediction(predictions, "Müller", lesion_of() * 1.0, **more)
    monkeypatch.setattr(Path, "read_text", as_on_windows)

    evaluation = evaluate(predictions, data, output)

    assert evaluation.failures == {}
    assert row_of(evaluation, "Müller", "Müllers Modell")["dice"] == 1
    assert (output / "montage.png").is_file()


def test_nothing_that_matches_is_an_error_with_the_reasons(folders):
    data, predictions, output = folders
    add_subject(data, "a")
    for number in range(5):
        add_prediction(predictions, f"stranger{number}", lesion_of() * 1.0)

    with pytest.raises(DataError, match=r"none of the 5 predicted cases.*stranger0.*and 2 more") as caught:
        evaluate(predictions, data, output)
    assert "subject ids" in caught.value.hint
    assert list(output.iterdir()) == []


def test_folder_without_predictions_is_an_error(folders):
    data, predictions, output = folders

    with pytest.raises(DataError, match="holds no prediction") as caught:
        evaluate(predictions, data, output)
    assert "mmccd predict" in caught.value.hint


def test_output_that_cannot_be_a_folder_is_an_error(folders):
    data, predictions, output = folders
    add_subject(data, "a")
    add_prediction(predictions, "a", lesion_of() * 1.0)
    output.write_text("a file")

    with pytest.raises(DataError, match="cannot write to"):
        evaluate(predictions, data, output)


def test_files_and_progress(folders):
    data, predictions, output = folders
    for name in ("a", "b"):
        add_subject(data, name)
        add_prediction(predictions, name, np.zeros(SHAPE) if name == "b" else lesion_of() * 1.0)
    told = []

    evaluation = evaluate(predictions, data, output, progress=lambda *step: told.append(step), resamples=50, seed=3)

    assert told == [("a", 0, 2), ("b", 1, 2), ("done", 2, 2)]
    assert sorted(path.name for path in output.iterdir()) == [
        "evaluation.json", "metrics.csv", "montage.png", "table.md"
    ]  # fmt: skip
    with (output / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["case"], row["method"]) for row in rows] == [(row["case"], row["method"]) for row in evaluation.rows]
    assert [row["hd95_mm"] for row in rows] == ["0.0", "0.0", "inf", "0.0"]
    record = json.loads((output / "evaluation.json").read_text())
    assert record["aggregates"]["cyclic_unet"]["dice"]["mean"] == 0.5
    assert record["paper_protocol"]["name"] == "paper's protocol (oracle)"
    assert (record["provenance"]["seed"], record["provenance"]["resamples"]) == (3, 50)
    page = (output / "table.md").read_text()
    assert "| cyclic_unet | 0.500 [0.000, 1.000] |" in page
    assert "Paper's protocol (oracle)" in page
    assert "Not comparable with the paper's numbers" in page
    widths = {len(line) for line in evaluation.table()}
    assert widths == {11}


def test_evaluation_is_reproducible(folders):
    data, predictions, output = folders
    rng = np.random.default_rng(0)
    for name in "abc":
        add_subject(data, name)
        add_prediction(predictions, name, brain_of() * rng.random(SHAPE) + lesion_of())

    first = evaluate(predictions, data, output)
    again = evaluate(predictions, data, output.with_name("again"))

    assert first == again
    assert (output / "table.md").read_bytes() == output.with_name("again").joinpath("table.md").read_bytes()


def test_disk_that_is_full_is_an_error_and_no_failed_case(tmp_path):
    pool = _Pool(tmp_path / "pool")
    (tmp_path / "pool" / "scores").mkdir()  # stands for any reason why writing fails

    with pytest.raises(DataError, match="cannot write to"):
        pool.add(np.zeros(3, np.float32), np.zeros(3, bool))


def test_the_fake_scan_has_a_lesion_above_the_baseline_threshold():
    scan = np.where(brain_of(), 100, 0).astype(np.float32)
    scan[lesion_of()] = 400
    normalised = normalise(scan, brain_of())

    assert (normalised > 4.0).sum() == lesion_of().sum()
