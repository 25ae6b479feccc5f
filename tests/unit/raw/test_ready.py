"""A subject as it came, made ready for a model."""

import numpy as np
import pytest
from heads import MOVED, brain_finder, write_raw

from mmccd.data.cohort import Image, read_cohort
from mmccd.data.volumes import check_same_grid, read_volume
from mmccd.raw.ready import ready, ready_subject


@pytest.fixture(scope="module")
def raw(healthy_scan, tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "P"
    write_raw(healthy_scan.parent, folder)
    return {name: Image(folder / f"P_{name}.nii.gz") for name in ("flair", "t2")}


def test_what_is_stripped_and_on_one_grid_stays_as_it_is(healthy_scan):
    images = {name: Image(healthy_scan.parent / healthy_scan.name.replace("flair", name)) for name in ("flair", "t1")}
    made = ready(images, None, "auto")
    assert (made.images, made.brain, made.moved, made.warnings) == (images, None, (), ())


def test_a_raw_subject_is_registered_and_stripped_once(raw, healthy_scan, monkeypatch):
    monkeypatch.setattr("mmccd.raw.brain.extract", brain_finder(healthy_scan))
    made = ready(raw, None, "auto")
    assert made.images["flair"] == raw["flair"]  # results lie on the grid that the user gave
    assert made.moved == ("t2",)
    assert "HD-BET" in made.brain_from
    flair, other = (read_volume(made.images[name].path) for name in ("flair", "t2"))
    check_same_grid(flair, other)
    brain = read_volume(made.brain.path).data > 0
    np.testing.assert_array_equal(brain, read_volume(healthy_scan).data > 0)
    truth = read_volume(healthy_scan.parent / healthy_scan.name.replace("flair", "t2")).data
    assert np.corrcoef(other.data[brain], truth[brain])[0, 1] > 0.9
    inside = flair.affine @ np.c_[np.argwhere(brain)[::200], np.ones(len(np.argwhere(brain)[::200]))].T
    apart = (np.array(made.matrices["t2"]) - MOVED) @ inside
    assert np.linalg.norm(apart[:3], axis=0).max() < 2  # of voxels of 4 mm
    monkeypatch.setattr("mmccd.raw.brain.extract", None)
    monkeypatch.setattr("mmccd.raw.ready.rigid", None)
    assert ready(raw, None, "auto") == made


def test_a_given_brain_mask_counts_unless_a_new_one_is_asked_for(raw, healthy_scan, monkeypatch):
    monkeypatch.setattr("mmccd.raw.brain.extract", brain_finder(healthy_scan))
    flair = {"flair": raw["flair"]}
    assert ready(flair, Image(healthy_scan), "auto").brain == Image(healthy_scan)
    assert ready(flair, Image(healthy_scan), "always").brain != Image(healthy_scan)


def test_never_leaves_everything_as_it_is(raw):
    made = ready(raw, None, "never")
    assert (made.images, made.brain) == (raw, None)


def test_of_a_subject_only_what_is_asked_for_is_touched(raw, healthy_scan, monkeypatch):
    monkeypatch.setattr("mmccd.raw.brain.extract", brain_finder(healthy_scan))
    monkeypatch.setattr("mmccd.raw.ready.rigid", None)
    (subject,) = read_cohort(raw["flair"].path.parent.parent).subjects
    made = ready_subject(subject, strip="auto", modalities=("flair",))
    assert made.images == subject.images
    assert made.brain is not None


def test_what_was_read_on_the_way_is_not_read_again(raw, healthy_scan, monkeypatch):
    monkeypatch.setattr("mmccd.raw.brain.extract", brain_finder(healthy_scan))
    made = ready(raw, None, "auto")
    with_mask = ready({"flair": raw["flair"]}, Image(healthy_scan), "auto")
    assert with_mask.at_hand == {}  # nothing had to be looked at
    monkeypatch.setattr("mmccd.raw.ready.read_volume", lambda path, _=None: path)
    assert made.volume("flair").path == raw["flair"].path
    assert made.volume("t2") == made.images["t2"].path  # it was moved, so it is read
