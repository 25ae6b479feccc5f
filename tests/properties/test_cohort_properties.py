"""Any tree of files is read or refused, and no file is two things."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmccd.data.cohort import read_cohort
from mmccd.data.layouts import words
from mmccd.data.layouts.registry import LAYOUTS
from mmccd.errors import MmccdError

OTHERS = [
    "P1",
    "P2",
    "sub-1",
    "sub-2",
    "ses-1",
    "run-1",
    "acq-x",
    "T1w",
    "FLAIR",
    "anat",
    "pre",
    "orig",
    "Train",
    "Test",
    "0000",
]
WORDS = st.sampled_from(sorted(words.KNOWN) + OTHERS * 5)
NAMES = st.lists(WORDS, min_size=1, max_size=3).map("_".join)
FILES = st.tuples(
    st.lists(st.sampled_from(["P1", "P2", "sub-1", "anat", "pre", "T1", "mask", "Train"]), max_size=4), NAMES
)


def write(root: Path, files) -> None:
    for place, (folders, name) in enumerate(files):
        path = root.joinpath(*folders, f"{name}.nii.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        if place % 7 == 6 and not path.exists():
            path.symlink_to("gone")
        elif not path.is_symlink():
            path.touch()


@pytest.mark.parametrize("layout", ["auto", *(name for name in LAYOUTS if name != "csv")])
@settings(max_examples=40, deadline=None)
@given(st.lists(FILES, min_size=1, max_size=10))
def test_each_file_of_any_tree_is_one_thing_at_most(layout, files):
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), files)
        try:
            cohort = read_cohort(folder, layout)
        except MmccdError:
            return
    images = [[*subject.images.values(), subject.brain, subject.lesion] for subject in cohort.subjects]
    used = [image.path for one in images for image in one if image]
    assert len(set(used)) == len(used)
    assert len(set(cohort.unused)) == len(cohort.unused)
    assert not set(used) & set(cohort.unused)
    assert all(subject.images and not set(subject.images) & set(subject.unusable) for subject in cohort.subjects)
    assert all(problem.hint for subject in cohort.subjects for problem in subject.unusable.values())
