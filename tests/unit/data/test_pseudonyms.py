import json
import re
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmccd.data import pseudonyms as pseudonyms_module
from mmccd.data.cohort import Cohort, Image, Subject
from mmccd.data.pseudonyms import pseudonyms, with_pseudonyms, without_names
from mmccd.errors import ConfigError


@pytest.fixture
def key(tmp_path):
    return tmp_path / "private" / "names.json"


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def test_names_are_random_and_stay(key, results, tmp_path):
    names = pseudonyms(key, ["Jane", "Joe"], outside=results)
    assert all(re.fullmatch("case-[0-9a-f]{8}", name) for name in names.values())
    assert len(set(names.values())) == 2
    assert json.loads(key.read_text()) == names
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert pseudonyms(key, ["Joe"], outside=results) == {"Joe": names["Joe"]}
    more = pseudonyms(key, ["Ann", "Jane"], outside=results)
    assert more["Jane"] == names["Jane"]
    assert json.loads(key.read_text()) == names | more
    assert pseudonyms(tmp_path / "other.json", ["Jane"], outside=results) != {"Jane": names["Jane"]}


def test_two_runs_at_once_lose_no_name(key, results, monkeypatch):
    """Both read the key before either writes it, unless one waits for the other."""
    read = pseudonyms_module.read_record

    def slowly(path):
        found = read(path)
        time.sleep(0.2)
        return found

    pseudonyms(key, ["Ann"], outside=results)
    monkeypatch.setattr(pseudonyms_module, "read_record", slowly)
    with ThreadPoolExecutor(2) as pool:
        jane, joe = pool.map(lambda case: pseudonyms(key, [case], outside=results), ["Jane", "Joe"])
    known = json.loads(key.read_text())
    assert set(known) == {"Ann", "Jane", "Joe"}
    assert known.items() >= (jane | joe).items()
    assert [path.name for path in key.parent.iterdir()] == ["names.json"]


def test_a_key_that_has_all_names_is_only_read(key, results, monkeypatch):
    names = pseudonyms(key, ["Jane"], outside=results)
    monkeypatch.setattr(pseudonyms_module, "one_at_a_time", None)  # as in a folder where nothing can be written
    assert pseudonyms(key, ["Jane"], outside=results) == names


def test_nobody_else_can_read_the_key_at_any_moment(key, results, monkeypatch):
    modes = []
    replace = Path.replace

    def seen(temporary, target):
        modes.append(stat.S_IMODE(temporary.stat().st_mode))
        return replace(temporary, target)

    monkeypatch.setattr(Path, "replace", seen)
    pseudonyms(key, ["Jane"], outside=results)
    assert modes == [0o600]


def test_a_name_is_never_given_twice(key, results, monkeypatch):
    drawn = iter(["00000000", "00000000", "11111111"])
    monkeypatch.setattr(pseudonyms_module, "secrets", SimpleNamespace(token_hex=lambda _: next(drawn)))
    assert pseudonyms(key, ["a", "b"], outside=results) == {"a": "case-00000000", "b": "case-11111111"}


@pytest.mark.parametrize("place", ["names.json", "deep/names.json", "../results/names.json"])
def test_a_key_among_the_results_is_refused(results, place):
    with pytest.raises(ConfigError, match="lies among the results that it opens"):
        pseudonyms(results / place, ["a"], outside=results)
    assert not results.exists()


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": "Jane"}', '{"a": "../case-00000000"}', "case,name\n"])
def test_what_is_no_key_is_left_alone(key, results, text):
    key.parent.mkdir()
    key.write_text(text)
    with pytest.raises(ConfigError, match="is no table of cases and their names"):
        pseudonyms(key, ["a"], outside=results)
    assert key.read_text() == text


def test_a_key_with_one_name_for_two_is_refused(key, results):
    key.parent.mkdir()
    key.write_text('{"a": "case-00000000", "b": "case-00000000"}')
    with pytest.raises(ConfigError, match="one name to two"):
        pseudonyms(key, ["a"], outside=results)


def test_a_cohort_under_other_names(key, results):
    subjects = tuple(Subject(name, {"flair": Image(Path(f"/d/{name}.nii"))}) for name in ("Ann", "Jane", "Joe"))
    hidden, names = with_pseudonyms(
        Cohort(Path("/d"), "csv", subjects, {"Bob": "Bob.nii is missing"}), key, outside=results
    )
    assert names == json.loads(key.read_text())
    assert set(names) == {"Ann", "Bob", "Jane", "Joe"}
    assert hidden.subject(names["Jane"]).images == subjects[1].images
    assert [subject.id for subject in hidden.subjects] == sorted(names[subject.id] for subject in subjects)
    assert list(hidden.problems) == [names["Bob"]]
    assert "Bob" not in str(hidden.problems)


def test_messages_without_names():
    images = {"flair": Image(Path("/data/Doe/Jane_flair.nii.gz")), "brain": None}
    text = "Jane: /data/Doe/Jane_flair.nii.gz and Jane_flair.nii.gz, Jane_flair"
    found = without_names(text, "Jane", images, "case-1")
    assert found == "case-1: case-1 (flair) and case-1 (flair), case-1 (flair)"
    assert without_names("1 of 1", "1", {}, "case-1") == "case-1 of case-1"
    assert without_names("x has 1", "x", {"scan": Image(Path("1.nii"))}, "case-1") == "case-1 has case-1 (scan)"
