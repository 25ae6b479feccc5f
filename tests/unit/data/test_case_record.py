"""Records of `predict`: read and checked as one type, and told from files of other tools that have such names."""

import json
from pathlib import Path

import pytest

from mmccd.data.case_record import is_case_record, is_result, kept_case_record, read_case_record
from mmccd.errors import DataError
from mmccd.system.files import write_json


def as_on_windows(path, encoding="cp1252"):
    return path.read_bytes().decode(encoding)


@pytest.fixture
def written(predictions_folder):
    """A record as `predict` wrote it."""
    return json.loads((predictions_folder / "Phantom_0007.json").read_text())


@pytest.fixture
def record_of(written, tmp_path):
    """A function that writes this record with some values changed, or without those that are None."""

    def write(**changed):
        values = {key: value for key, value in (written | changed).items() if value is not None}
        (tmp_path / "Phantom_0007.json").write_text(json.dumps(values))
        return tmp_path / "Phantom_0007.json"

    return write


# --- what it says ---


def test_a_record_is_read_as_it_was_written_and_written_as_it_was_read(written, record_of, tmp_path):
    record = read_case_record(record_of())

    assert (record.case, record.source) == ("Phantom_0007", "flair")
    assert record.threshold == record.threshold_origin.value == written["threshold"]
    assert record.p_value_of.healthy_scores == tuple(written["p_value_of"]["healthy_scores"])
    assert record.p_value_of.chosen_on == written["p_value_of"]["from"] == "healthy validation slices"
    assert record.intensity.added_to is None
    assert (record.model.method, record.model.targets) == ("cyclic-unet", ("t2",))
    assert [one.number for one in record.findings] == list(range(1, len(written["findings"]) + 1)) != []
    write_json(tmp_path / "again.json", record.as_json())
    assert json.loads((tmp_path / "again.json").read_text()) == written


def test_values_of_a_later_version_are_kept(record_of):
    assert read_case_record(record_of(mood="good")).as_json()["mood"] == "good"


def test_what_an_earlier_version_did_not_write_has_a_default(record_of):
    lacking = ("p_value_of", "trained_on", "score_definition", "warnings", "findings", "min_lesion_ml")
    record = read_case_record(record_of(**dict.fromkeys(lacking)))

    assert (record.p_value_of.healthy_subjects, record.p_value_of.healthy_scores) == (0, ())
    assert record.trained_on is False
    assert record.warnings == ()
    assert record.min_lesion_ml == 0
    assert record.findings is None  # which is not the same as none


# --- what it refuses ---


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"score": None}, "Phantom_0007.json lacks score"),
        ({"score": None, "threshold": None, "origin": None}, "lacks origin, score, threshold"),
        ({"threshold": "high"}, "is damaged: threshold: "),
        ({"intensity": {"polarity": "bright", "threshold": 4.0}}, "is damaged: intensity.smooth_mm: Field required"),
        ({"findings": [{"number": 1}]}, "is damaged: findings.0.volume_ml: Field required"),
        ({"case": "Phantom_0008"}, "Phantom_0007.json is the record of another case"),
    ],
)
def test_a_record_that_is_not_right_is_refused_by_name(record_of, changed, message):
    with pytest.raises(DataError) as caught:
        read_case_record(record_of(**changed))
    assert message in caught.value.message
    assert "predict --overwrite" in caught.value.hint
    assert kept_case_record(record_of(**changed)) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read a.json: No such file"),
        (b"", "a.json is torn"),
        (b'{"case": "a", "ori', "a.json is torn"),
        (b"\xff\x00", "a.json is torn"),
        (b"[" * 100_000, "a.json is torn"),
        (b"[1]", "a.json is damaged: it holds a list"),
        (b"{}", "a.json lacks brain_volume_ml, case"),
    ],
    ids=str,
)
def test_a_file_that_is_no_record_is_refused_by_name(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_case_record(tmp_path / "a.json")
    assert message in caught.value.message
    assert "predict --overwrite" in caught.value.hint
    assert kept_case_record(tmp_path / "a.json") is None


def test_records_are_read_as_utf8_whatever_the_locale(written, tmp_path, monkeypatch):
    write_json(tmp_path / "Müller.json", written | {"case": "Müller", "warnings": ["größer"]})
    monkeypatch.setattr(Path, "read_text", as_on_windows)

    record = read_case_record(tmp_path / "Müller.json")

    assert (record.case, record.warnings) == ("Müller", ("größer",))
    assert is_case_record(tmp_path / "Müller.json")


# --- files of other tools ---


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        (json.dumps({"case": "a", "origin": {}}), True),
        (json.dumps({"case": "b", "origin": {}}), False),
        (json.dumps({"Modality": "MR", "EchoTime": 0.1}), False),
        (json.dumps(["a"]), False),
        ('{"case": "a", "ori', False),
        ("[" * 100_000, False),
        (None, False),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_map_is_a_result_where_its_record_says_so(tmp_path, text, ours):
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    assert is_case_record(tmp_path / "a.json") is ours
    for name in ("a_anomaly.nii.gz", "a_mask.nii.gz"):
        assert is_result(tmp_path / name) is ours
    assert not is_result(tmp_path / "a.nii.gz")
    assert not is_result(tmp_path / "a_b_mask.nii.gz")
