"""Stores of scans that change under the hand, or whose subjects have odd names."""

import shutil

import nibabel as nib
import numpy as np
import pytest

from mmccd.data import prepare as preparation
from mmccd.data.cohort import read_cohort
from mmccd.data.prepare import prepare
from mmccd.data.slices import StoreSettings
from mmccd.data.splits import Split, read_split_csv

SETTINGS = StoreSettings("volume", 32, ("flair",))


def add_subject(root, name):
    """A noisy block of 8 mm voxels."""
    voxels = np.zeros((30, 32, 12), np.float32)
    voxels[8:22, 8:24, 2:10] = np.random.default_rng(0).gamma(9, 10, (14, 16, 8)) + 1
    (root / name).mkdir(parents=True)
    nib.save(nib.Nifti1Image(voxels, np.diag([8.0, 8.0, 8.0, 1.0])), root / name / f"{name}_flair.nii.gz")


def test_a_scan_that_is_replaced_while_it_is_read_is_noticed(tmp_path, inline, monkeypatch):
    """Else the store would be called one of other files than it holds."""
    for name in "AB":
        add_subject(tmp_path / "data", name)
    usual = preparation.load_case

    def replaced(subject, modalities):
        found = usual(subject, modalities)
        if subject.id == "A":
            path = subject.images["flair"].path
            shutil.copy(path, path.with_name("new.nii.gz"))
            path.with_name("new.nii.gz").replace(path)
        return found

    monkeypatch.setattr(preparation, "load_case", replaced)
    store, failures = prepare(read_cohort(tmp_path / "data"), Split(train=("A", "B")), tmp_path / "store", SETTINGS)
    assert store.manifest.subjects["train"] == ["B"]
    assert "a file of A changed while the store was made" in failures["A"]


@pytest.mark.parametrize("name", ["=1+1", "'=x", "a;=b", "+a"])
def test_a_subject_that_is_a_formula_is_none_in_the_index(tmp_path, inline, name):
    add_subject(tmp_path / "data", name)
    store, _ = prepare(read_cohort(tmp_path / "data"), Split(train=(name,)), tmp_path / "store", SETTINGS)
    assert set(store.index["subject"]) == {name}
    assert read_split_csv(tmp_path / "store").train == (name,)
    assert not any(line.startswith(name) for line in (tmp_path / "store" / "index.csv").read_text().splitlines())
