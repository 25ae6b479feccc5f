"""Records of a benchmark: of this version and of earlier ones, and what cannot be read."""

import json

import numpy as np
import pytest

from mmccd.comparison.contenders import BEST, PAPER_SAMPLER
from mmccd.comparison.record import BenchmarkRecord, kept_record, read_maps, read_results, record_path
from mmccd.errors import DataError

OLD = {
    "contender": "MMCCD best", "method": "veiled-cycle", "scoring": "evidence", "source": "flair", "size": "small",
    "rows": [{"subject": "a", "lesion_ml": 2.5, "dice": None}], "published": [{"case": "a", "z": 7, "dice": 0.5}],
}  # fmt: skip
"""As the version wrote it that called the preset of the paper `published`."""


def test_a_record_of_an_earlier_version_is_one_of_today():
    record = BenchmarkRecord.read(OLD, "old.json")
    assert (record.contender, record.scoring) == (BEST, "evidence")
    assert record.paper == OLD["published"]
    assert record.rows == OLD["rows"]
    square = BenchmarkRecord.read(OLD | {"contender": "MMCCD published", "scoring": "square"}, "old.json")
    assert (square.contender, square.scoring) == (PAPER_SAMPLER, "squared")


def test_a_record_of_today_is_written_and_read_as_it_is():
    values = {key: value for key, value in OLD.items() if key != "published"}
    today = values | {"contender": BEST, "paper_protocol": [{"case": "a"}], "artefacts": {"spike": 0.5}, "later": 1}
    record = BenchmarkRecord.read(today, "new.json")
    assert record.paper == [{"case": "a"}]
    assert BenchmarkRecord.read(record.as_json(), "new.json") == record
    assert record.as_json() == today
    # Nobody wrote both, but the name of today goes over the old one.
    assert BenchmarkRecord.read(today | {"published": []}, "new.json").paper == [{"case": "a"}]


def test_what_was_not_measured_is_said_to_be_unknown():
    record = BenchmarkRecord.read(OLD, "old.json")
    assert record.volume_ml == {"a": 2.5}
    assert (record.versions, record.device) == ({}, "an unknown device")
    known = OLD | {"provenance": {"versions": {"torch": "2.13"}, "device": "cuda"}}
    record = BenchmarkRecord.read(known, "old.json")
    assert (record.versions, record.device) == ({"torch": "2.13"}, "cuda")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "holds a list"),
        (None, "holds a NoneType"),
        ({}, "lacks scoring|lacks method, source"),
        (OLD | {"rows": 3}, "is damaged: rows"),
        (OLD | {"contender": None}, "is damaged: contender"),
        ({key: value for key, value in OLD.items() if key != "source"}, "lacks source"),
    ],
)
def test_what_is_no_record_is_refused(values, said):
    with pytest.raises(DataError, match=rf"old\.json.*({said})") as caught:
        BenchmarkRecord.read(values, "old.json")
    assert "run `mmccd benchmark` again" in caught.value.hint


def test_a_record_is_kept_with_its_maps_alone(tmp_path):
    path = record_path(tmp_path, "flair", PAPER_SAMPLER)
    assert path == tmp_path / "scores" / "flair" / "MMCCD-papers-sampler.json"
    assert kept_record(path) is None
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(OLD))
    assert kept_record(path) is None
    maps = np.arange(8, dtype=np.float16).reshape(2, 2, 2)
    np.save(path.with_suffix(".npy"), maps)
    assert kept_record(path) == BenchmarkRecord.read(OLD, path.name)
    np.testing.assert_array_equal(read_maps(path), maps)
    assert read_maps(path).dtype == np.float32
    content = path.with_suffix(".npy").read_bytes()
    for torn in (b"", content[:5], content[:-1], b"PK" + content):
        path.with_suffix(".npy").write_bytes(torn)
        assert kept_record(path) is None
    path.with_suffix(".npy").write_bytes(content)
    for text in ('{"contender": ', "[]", "{}", "[" * 100_000, json.dumps(OLD | {"source": 3})):
        path.write_text(text)
        assert kept_record(path) is None
    path.write_bytes(b"\xff\xfe")
    assert kept_record(path) is None


def test_results_are_all_records_or_none(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps([OLD, OLD | {"rows": []}]))
    assert [len(record.rows) for record in read_results(path)] == [1, 0]
    path.write_text(json.dumps([OLD, {"rows": []}]))
    with pytest.raises(DataError, match=r"a record of .*results\.json lacks method, source"):
        read_results(path)
