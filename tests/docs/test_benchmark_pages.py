"""Pages of benchmarks say what the values beside them say, and the benchmark page says what they say."""

import importlib
import json
from pathlib import Path

import pytest

from mmccd.comparison.contenders import BEST

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def cross_validation(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("cross_validation")


@pytest.fixture
def kept():
    return json.loads((BENCHMARKS / "cross_validation.json").read_text())


def rows_of(kept, source):
    subjects = kept["subjects"]
    return {
        name: {subject: {column: of[column][i] for column in of} for i, subject in enumerate(subjects)}
        for name, of in kept[source].items()
    }


@pytest.mark.parametrize("source", ["flair", "t1", "t2"])
def test_the_tables_of_the_folds_are_those_of_their_values(cross_validation, kept, source):
    page = (BENCHMARKS / "cross_validation.md").read_text()
    table, verdict = cross_validation.against_best(rows_of(kept, source))
    assert f"## {source.upper()} as input\n\n{table}\n\n{verdict}" in page
    assert table.count("\n") == 22  # all rows of the benchmark, and a header


def test_a_subject_that_is_tested_twice_or_not_by_all_is_refused(cross_validation, tmp_path):
    header = f"source,contender,subject,{','.join(cross_validation.COLUMNS)}"
    lines = [f"{source},{BEST},a,0.5,0.5,0.5,nan" for source in cross_validation.SOURCES]
    for name, more in (("whole", []), ("twice", lines[:1]), ("lacking", [f"t1,{BEST},b,0.5,0.5,0.5,"])):
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *lines, "t1,DAE,a,0.4,0.4,0.4,0.1", *more]))
    found = cross_validation.pooled([tmp_path / "whole.csv"])
    assert found["t1"]["DAE"]["a"]["auprc"] == 0.4
    with pytest.raises(SystemExit, match="a is tested twice"):
        cross_validation.pooled([tmp_path / "twice.csv"])
    with pytest.raises(SystemExit, match="DAE on t1 lacks"):
        cross_validation.pooled([tmp_path / "lacking.csv"])
