import csv
from pathlib import Path

from mmccd.prediction.summary import SUMMED_UP, write_summary
from mmccd.system.files import write_json


def as_on_windows(path, encoding="cp1252"):
    return path.read_bytes().decode(encoding)


def test_records_are_read_as_utf8_whatever_the_locale(tmp_path, monkeypatch):
    write_json(tmp_path / "Müller.json", dict.fromkeys(SUMMED_UP, 1.0) | {"case": "Müller", "warnings": ["größer"]})
    monkeypatch.setattr(Path, "read_text", as_on_windows)
    write_summary(tmp_path, [])
    with (tmp_path / "summary.csv").open(newline="", encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["case"], row["warnings"]) == ("Müller", "größer")
