"""Evaluation of predictions whose right numbers are known by construction."""

import csv
import json
import math

import numpy as np
import pytest
from known_predictions import AFFINE, SHAPE, add_prediction, add_subject, brain_of, intensity_of, lesion_of, row_of

from mmccd.data.cohort import read_cohort
from mmccd.data.volumes import read_volume
from mmccd.evaluation.case import INTENSITY, SMOOTHED_INTENSITY, load_scored_case
from mmccd.evaluation.evaluate import evaluate
from mmccd.method.intensity import normalise
from mmccd.scoring.maps import smoothed
from mmccd.scoring.thresholds import LEVEL, own_level

LPS = np.diag([-1.0, -2.0, 3.0, 1.0])


def normalised(data, case):
    """The scan of "a" where the arrays of its case lie."""
    scan = next(path for path in data.rglob("a*flair*"))
    return normalise(read_volume(scan).data, brain_of())[case.box]


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


def test_files_and_progress(folders):
    data, predictions, output = folders
    for name in ("a", "b"):
        add_subject(data, name)
        add_prediction(predictions, name, np.zeros(SHAPE) if name == "b" else lesion_of() * 1.0)
    told = []

    evaluation = evaluate(predictions, data, output, progress=lambda *step: told.append(step), resamples=50, seed=3)

    assert told == [("a", 1, 2), ("b", 2, 2), ("done", 2, 2)]
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


def test_several_processes_find_the_same(folders):
    data, predictions, output = folders
    rng = np.random.default_rng(0)
    for name in "abcd":
        add_subject(data, name)
        add_prediction(predictions, name, brain_of() * rng.random(SHAPE) + lesion_of())
    add_prediction(predictions, "stranger", lesion_of() * 1.0)

    one = evaluate(predictions, data, output, workers=1)
    two = evaluate(predictions, data, output.with_name("two"), workers=2)

    assert one == two
    for name in ("metrics.csv", "table.md", "montage.png"):
        assert (output / name).read_bytes() == output.with_name("two").joinpath(name).read_bytes(), name


def test_only_the_first_cases_are_drawn(folders, monkeypatch):
    monkeypatch.setattr("mmccd.evaluation.evaluate._DRAWN_CASES", 2)
    drawn = []
    monkeypatch.setattr("mmccd.evaluation.evaluate.write_montage", lambda _, rows, title: drawn.extend(rows))
    data, predictions, output = folders
    for name in "cab":
        add_subject(data, name)
        add_prediction(predictions, name, lesion_of() * 1.0)

    evaluate(predictions, data, output)

    assert [row.name.partition("\n")[0] for row in drawn] == ["a", "b"]


def test_the_box_of_a_case_loses_nothing(folders):
    """The slice of the paper's protocol is that of the whole scan: its background counts there."""
    data, predictions, _ = folders
    add_subject(data, "a")
    add_prediction(predictions, "a", lesion_of() * 0.7)

    case = load_scored_case(predictions, read_cohort(data).subject("a"))
    piece = case.largest_lesion_slice(case.scored[0].score)

    assert case.expert.brain.sum() == brain_of().sum()
    assert case.expert.brain.size < brain_of().size
    assert piece.brain.shape == SHAPE[:2]
    np.testing.assert_array_equal(piece.brain, brain_of()[:, :, piece.z])
    np.testing.assert_array_equal(piece.lesion, lesion_of()[:, :, piece.z])
    np.testing.assert_array_equal(piece.score, (lesion_of() * np.float32(0.7))[:, :, piece.z])
    assert case.shown_z == piece.z


def test_the_fake_scan_has_a_lesion_above_the_baseline_threshold():
    scan = np.where(brain_of(), 100, 0).astype(np.float32)
    scan[lesion_of()] = 400
    normalised = normalise(scan, brain_of())

    assert (normalised > 4.0).sum() == lesion_of().sum()


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
    expected = smoothed(normalised(data, case), brain, smooth_mm=2.0, spacing_mm=(1.0, 2.0, 3.0))
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
    plain = normalised(data, case) * (1 if polarity == "bright" else -1)
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
