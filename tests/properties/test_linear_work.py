"""Twice the subjects are twice the work: what is looked up for each subject is found without a look at the others."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmccd.data import pseudonyms as pseudonyms_module
from mmccd.data.cohort import Cohort, Image, Subject
from mmccd.data.layouts import bids, brats, csv_manifest
from mmccd.data.layouts.listing import Entry, Listing
from mmccd.data.layouts.registry import LAYOUTS
from mmccd.data.pseudonyms import Redaction, pseudonyms
from mmccd.raw.studies import names_of

FEW, MANY = 50, 400


class Compared(str):
    """A text that counts how often any of its kind is compared; where hashes decide, that is next to never."""

    times = 0
    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other):
        Compared.times += 1
        return str.__eq__(self, other)

    def startswith(self, *what):
        Compared.times += 1
        return super().startswith(*what)


def comparisons(work) -> int:
    before = Compared.times
    work()
    return Compared.times - before


def calls(work) -> int:
    """How many Python functions are called, turns of generators included."""
    counted = [0]

    def count(frame, event, argument):
        counted[0] += event == "call"

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted[0]


def ids(count: int) -> list[str]:
    return [f"P{number:05d}" for number in range(count)]


def test_a_subject_is_found_by_its_id(tmp_path):
    subjects = tuple(Subject(Compared(name), {"flair": Image(tmp_path / name)}) for name in ids(MANY))
    cohort = Cohort(tmp_path, "folders", subjects, {})
    assert comparisons(lambda: [cohort.subject(subject.id) for subject in subjects]) <= 2 * MANY
    assert cohort.subject("P00007") is subjects[7]


def test_a_new_name_is_not_compared_with_all_that_are_taken(tmp_path, monkeypatch):
    known = {name: Compared(f"case-{number:08x}") for number, name in enumerate(ids(MANY))}
    monkeypatch.setattr(pseudonyms_module, "_read", lambda key: known)
    new = [f"new-{number}" for number in range(FEW)]
    made: dict[str, str] = {}
    assert comparisons(lambda: made.update(pseudonyms(tmp_path / "key.json", new, outside=tmp_path / "out"))) <= FEW
    assert len({*made.values(), *known.values()}) == FEW + MANY


def test_rows_of_a_manifest_are_not_compared_with_each_other(tmp_path, monkeypatch):
    rows = [{"subject": Compared(name), "flair": f"{name}.nii.gz"} for name in ids(MANY)]
    monkeypatch.setattr(csv_manifest, "read_table", lambda path, required: rows)
    assert comparisons(lambda: LAYOUTS["csv"].read(tmp_path / "cohort.csv")) <= 4 * MANY


def test_a_mask_without_a_session_is_not_compared_with_every_subject(tmp_path):
    found = [Entry(Compared(f"sub-{name}_ses-1"), "flair", tmp_path / f"sub-{name}_FLAIR.nii") for name in ids(MANY)]
    masks = [tmp_path / f"sub-{name}_label-lesion_mask.nii.gz" for name in ids(MANY)]
    made: list[Entry] = []
    assert comparisons(lambda: made.extend(bids._masks(masks, Listing(found), {}))) <= 4 * MANY
    assert [entry.subject for entry in made] == [entry.subject for entry in found]


def test_names_are_gathered_once_for_all_messages(monkeypatch):
    without = Redaction({name: "a case" for name in ids(MANY)}, {})
    monkeypatch.setattr(pseudonyms_module, "any_of", None)
    assert [without(f"{name}: too dark") for name in ids(MANY)] == ["a case: too dark"] * MANY


def flat_brats(root: Path, count: int):
    names = [f"{name}_T1_{role}.nii.gz" for name in ids(count) for role in ("T2", "FLAIR", "notes")]
    paths = [root / name for name in names]
    owners = {root: {f"{name}_T1" for name in ids(count)}}
    return lambda: (brats._entries(paths), [brats._is_of_known(path, owners) for path in paths])


def studies(root: Path, count: int):
    made = [
        [SimpleNamespace(files=[root / name / "1" / "a.dcm"], trouble="", first=SimpleNamespace(person=name))]
        for name in ids(count)
    ]
    return lambda: names_of(root, made)


@pytest.mark.parametrize("work", [flat_brats, studies])
def test_work_grows_as_the_cohort_does(tmp_path, work):
    few, many = (calls(work(tmp_path / str(count), count)) for count in (FEW, MANY))
    assert many <= 1.5 * few * MANY / FEW
