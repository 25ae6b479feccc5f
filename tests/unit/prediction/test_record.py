"""What is written down of a case: from what it was made, how it was cut, and no name that is to be hidden."""

from pathlib import Path

import pytest

import mmccd
from mmccd.data.cohort import Image
from mmccd.errors import DataError
from mmccd.model.card import THRESHOLD_KINDS
from mmccd.prediction.detector import Detector
from mmccd.prediction.inputs import Input
from mmccd.prediction.record import nameless, origin_of, record_of
from mmccd.scoring.thresholds import LEVEL
from mmccd.system.files import sha256_of_file


@pytest.fixture(scope="module")
def item(lesioned_scan):
    return Input("p7", Image(lesioned_scan))


# --- from what it was made ---


def test_the_origin_names_everything_by_its_content(detector, item, lesioned_scan, healthy_scan, model_folder):
    with_mask = Input("p7", Image(lesioned_scan), Image(healthy_scan), {"t2": Image(healthy_scan, 1)})

    assert origin_of(detector, item) == {
        "version": mmccd.__version__,
        "model": detector.model.card.digest,
        "runtime": "torch",
        "threshold": detector.threshold.criterion,
        "scan": sha256_of_file(lesioned_scan),
    }
    found = origin_of(detector, with_mask)
    assert found["brain"] == sha256_of_file(healthy_scan)
    assert found["t2"] == sha256_of_file(healthy_scan) + "#1"
    strict = Detector.load(model_folder, threshold="scan")
    assert origin_of(strict, item) == origin_of(detector, item) | {"threshold": strict.threshold.criterion}


def test_the_smallest_finding_is_part_of_the_origin_where_there_is_one(detector, item, model_folder, lesioned_scan):
    for least_ml in (0.1, 0.25):
        other = Detector.load(model_folder, min_lesion_ml=least_ml)
        assert origin_of(other, item) == origin_of(detector, item) | {"min_lesion_ml": str(least_ml)}
        assert record_of(other, item, other.detect(lesioned_scan), {}, 1.0).min_lesion_ml == least_ml
    assert origin_of(Detector.load(model_folder, min_lesion_ml=0), item) == origin_of(detector, item)


def test_a_scan_that_is_not_there_has_no_origin(detector, tmp_path):
    with pytest.raises(DataError, match=r"gone\.nii does not exist"):
        origin_of(detector, Input("p7", Image(tmp_path / "gone.nii")))


# --- how it was cut ---


@pytest.mark.parametrize("kind", THRESHOLD_KINDS)
def test_the_record_says_how_map_and_intensity_were_cut(model_folder, lesioned_scan, item, kind):
    detector = Detector.load(model_folder, threshold=kind)
    detection = detector.detect(lesioned_scan)

    record = record_of(detector, item, detection, {"model": "x"}, 1.5)

    card = detector.model.card
    chosen = card.threshold_of(kind)
    assert record.threshold_origin == chosen
    assert record.threshold == detection.threshold
    assert (record.threshold == chosen.value) == (chosen.added_to is None)
    values = card.intensity_baseline.of(kind)
    assert (record.intensity.threshold, record.intensity.smoothed_threshold) == (values.plain, values.smoothed)
    assert record.intensity.added_to == (LEVEL if kind == "relative" else None)
    assert ("added_to" in record.as_json()["intensity"]) == (kind == "relative")
    assert record.intensity.polarity == "bright"


def test_the_record_is_of_the_detection_and_of_the_model(detector, lesioned_scan, item):
    detection = detector.detect(lesioned_scan)

    record = record_of(detector, item, detection, {"model": "x"}, 1.5)

    for name in ("score", "p_value", "lesion_volume_ml", "brain_volume_ml", "warnings", "trained_on", "findings"):
        assert getattr(record, name) == getattr(detection, name), name
    assert (record.case, record.source, record.seconds, record.origin) == ("p7", "flair", 1.5, {"model": "x"})
    assert (record.model.method, record.model.targets) == ("cyclic-unet", ("t2",))
    card = detector.model.card
    assert record.score_definition == card.score_definition
    assert record.p_value_of.healthy_scores == card.healthy_scores
    assert record.p_value_of.healthy_subjects == len(card.healthy_scores)
    assert record.p_value_of.chosen_on == card.threshold.chosen_on
    assert record.provenance["device"] == "cpu"


# --- names ---


def test_a_case_with_a_name_of_its_own_keeps_the_names_of_its_files():
    item = Input("Jane", Image(Path("/data/Jane.nii")))
    assert nameless(item, "Jane.nii of Jane") == "Jane.nii of Jane"


def test_a_case_with_a_random_name_is_called_by_it_alone():
    scan, brain = (Image(Path(f"/data/{name}.nii")) for name in ("Jane_flair", "mask_of_Jane"))
    item = Input("case-1", scan, brain, private_id="Jane")
    text = "/data/Jane_flair.nii and mask_of_Jane.nii of Jane"
    assert nameless(item, text) == "case-1 (scan) and case-1 (brain) of case-1"
