"""Every layout is tried, the most specific first, and each cohort is read by its own."""

import importlib
import pkgutil

import pytest

from mmccd.data import layouts
from mmccd.data.cohort import read_cohort
from mmccd.data.layouts.registry import LAYOUTS

COHORTS = {
    "nnunet": ("imagesTr/P_1_0000.nii.gz", "imagesTr/P_1_0001.nii.gz", "labelsTr/P_1.nii.gz"),
    "msd": ("imagesTr/P_1.nii.gz", "labelsTr/P_1.nii.gz"),
    "bids": ("sub-01/anat/sub-01_FLAIR.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz"),
    "brats": ("P_1/P_1_flair.nii.gz", "P_1/P_1_t1.nii.gz"),
    "modalities": ("IXI-T1/IXI002-HH-1-T1.nii.gz", "IXI-T2/IXI002-HH-1-T2.nii.gz"),
    "folders": ("anna/FLAIR.nii.gz", "ben/FLAIR.nii.gz"),
}


def test_every_file_with_a_layout_is_registered_once():
    modules = [
        importlib.import_module(f"mmccd.data.layouts.{one.name}") for one in pkgutil.iter_modules(layouts.__path__)
    ]
    written = [module.LAYOUT for module in modules if hasattr(module, "LAYOUT")]
    assert len(written) == len(LAYOUTS) == len({id(layout) for layout in LAYOUTS.values()})
    assert all(any(layout is known for known in LAYOUTS.values()) for layout in written)
    assert all(layout.expects for layout in written)


@pytest.mark.parametrize("name", COHORTS)
def test_a_cohort_is_read_by_its_own_layout(tmp_path, tree, name):
    """Also where others would fit: the files of BIDS and nnU-Net would do for BraTS or for folders."""
    tree(tmp_path, *COHORTS[name])
    if name in ("nnunet", "msd"):
        (tmp_path / "dataset.json").write_text('{"channel_names": {"0": "FLAIR", "1": "T1"}}')
    cohort = read_cohort(tmp_path)
    assert (cohort.layout, cohort.problems) == (name, {})
    assert cohort.subjects
    assert set(COHORTS) | {"csv"} == set(LAYOUTS)


def test_a_table_is_read_as_one(tmp_path, tree):
    (tree(tmp_path, "a.nii.gz") / "c.csv").write_text("subject,flair\nS1,a.nii.gz\n")
    assert read_cohort(tmp_path / "c.csv").layout == "csv"
