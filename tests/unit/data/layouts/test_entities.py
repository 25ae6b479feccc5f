"""The parts of a BIDS name, and the choice by them."""

from pathlib import Path

import pytest

from mmccd.data.layouts.entities import BidsName, bids_name, choose, entities_of, parse_selection, remedy
from mmccd.errors import ConfigError


def paths(*ends: str) -> list[Path]:
    return [Path(f"sub-1_{end}.nii.gz") for end in ends]


def test_a_name_falls_into_its_parts():
    found = bids_name(Path("sub-01_ses-2_acq-high-res_run-1_FLAIR_roi.nii.gz"))
    parts = ("acq-high-res", "run-1", "FLAIR")
    assert found == BidsName("sub-01_ses-2", {"acq": "high-res", "run": "1"}, parts, "roi")


@pytest.mark.parametrize("name", ["P1_T1w", "sub-_T1w", "sub-1", "T1w"])
def test_other_names_are_none(name):
    assert bids_name(Path(f"{name}.nii.gz")) is None
    assert entities_of(Path(f"{name}.nii.gz")) == {}


@pytest.mark.parametrize(
    ("ends", "selection", "kept"),
    [
        (("run-1_T1w", "run-2_T1w"), {"run": "02"}, ("run-2_T1w",)),
        (("acq-A_T1w", "T1w"), {"acq": "a"}, ("acq-A_T1w",)),
        (("acq-B_T1w", "T1w"), {"acq": "a"}, ("T1w",)),
        (("acq-B_T1w",), {"acq": "a"}, ()),
        (("acq-B_mask",), {"desc": "preproc"}, ("acq-B_mask",)),
    ],
)
def test_files_with_another_value_are_never_taken(ends, selection, kept):
    assert choose(paths(*ends), selection) == paths(*kept)


def test_entities_that_say_nothing_are_left():
    assert choose(paths("desc-brain_mask"), {"desc": "preproc"}, leave=("desc",)) == paths("desc-brain_mask")


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        (("run-1_T1w", "run-2_T1w"), "choose with --select run=1"),
        (("T1w", "acq-x_T1w"), "choose with --select acq=x"),
        (("run-1_acq-a_T1w", "run-1_acq-b_T1w"), "choose with --select acq=a"),
        (("a_T1w", "b_T1w"), ""),
    ],
)
def test_the_remedy_is_an_example_that_works(ends, said):
    assert remedy(paths(*ends)) == said


@pytest.mark.parametrize("texts", [["run"], ["run="], ["=1"], ["run=1", "run=2"], ["ses=1"], ["sub=1"], ["a b=1"]])
def test_selections_of_another_form_are_refused(texts):
    with pytest.raises(ConfigError, match="not of the form ENTITY=VALUE") as caught:
        parse_selection(texts)
    assert "--select run=1" in caught.value.hint
