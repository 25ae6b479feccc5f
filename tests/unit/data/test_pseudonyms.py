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
from mmccd.data.problems import Problem
from mmccd.data.pseudonyms import Redaction, names_of_files, pseudonyms, redact, with_pseudonyms
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
        Cohort(Path("/d"), "csv", subjects, {"Bob": Problem("Bob", "Bob.nii is missing", "find Bob.nii")}),
        key,
        outside=results,
    )
    assert names == json.loads(key.read_text())
    assert set(names) == {"Ann", "Bob", "Jane", "Joe"}
    assert hidden.subject(names["Jane"]).images == subjects[1].images
    assert [subject.id for subject in hidden.subjects] == sorted(names[subject.id] for subject in subjects)
    assert list(hidden.problems) == [names["Bob"]]
    assert hidden.problems[names["Bob"]].subject == names["Bob"]
    assert "Bob" not in repr(hidden.problems)


def test_messages_without_names():
    images = {"flair": Image(Path("/data/Doe/Jane_flair.nii.gz")), "brain": None}
    files = names_of_files(images, "case-1")
    text = "Jane: /data/Doe/Jane_flair.nii.gz and Jane_flair.nii.gz, Jane_flair"
    found = redact(text, {"Jane": "case-1"}, files)
    assert found == "case-1: case-1 (flair) and case-1 (flair), case-1 (flair)"
    assert redact("1 of 1", {"1": "case-1"}, {}) == "case-1 of case-1"
    scan = names_of_files({"scan": Image(Path("1.nii"))}, "case-1")
    assert redact("x has 1", {"x": "case-1"}, scan) == "case-1 has case-1 (scan)"


def test_a_message_about_a_file_of_a_link_is_known_by_both_paths(tmp_path):
    (tmp_path / "Jane.nii").touch()
    (tmp_path / "scan.nii").symlink_to(tmp_path / "Jane.nii")

    files = names_of_files({"scan": Image(tmp_path / "scan.nii")}, "case-1")

    assert redact(f"{tmp_path / 'Jane.nii'} or {tmp_path / 'scan.nii'}", {}, files) == "case-1 (scan) or case-1 (scan)"


def test_what_is_put_in_is_left_as_it_is():
    """A random name of one case may hold the name of another."""
    assert redact("1, 2", {"1": "case-00000002", "2": "case-11111111"}, {}) == "case-00000002, case-11111111"
    files = names_of_files({"case": Image(Path("/d/case.nii"))}, "case-1")
    assert redact("case.nii", {"case": "case-2"}, files) == "case-1 (case)"


def test_without_names_of_cases_or_files_a_message_stays_as_it_is():
    text = "case-00000000 (flair) has voxels of up to 1e+25, allowed: 10,000 times"
    assert redact(text, {}, {}) == text


def test_a_message_costs_the_same_with_thousands_of_names():
    """One after the other, 20,000 names took tenths of a second for each message."""
    names = {f"Doe {number} Jane": f"case {number}" for number in range(20_000)}
    redaction = Redaction(names, {})
    text = "the scan of Doe 19999 Jane is odd, and Doe 7 Jane.nii.gz too; " + "words " * 50
    assert redaction(text).startswith("the scan of case 19999 is odd, and a file too; words ")

    started = time.perf_counter()
    for _ in range(200):
        redaction(text)
    assert time.perf_counter() - started < 4
