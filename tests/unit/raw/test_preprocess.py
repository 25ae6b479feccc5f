"""`mmccd preprocess`."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from heads import brain_finder, write_raw

from mmccd.cli.app import main
from mmccd.data.cohort import read_cohort
from mmccd.data.volumes import read_volume
from mmccd.errors import ConfigError
from mmccd.raw.preprocess import preprocess


@pytest.fixture
def raw(healthy_scan, tmp_path, monkeypatch):
    monkeypatch.setattr("mmccd.raw.brain.extract", brain_finder(healthy_scan))
    write_raw(healthy_scan.parent, tmp_path / "raw" / "P")
    return tmp_path / "raw"


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_a_raw_cohort_becomes_one_that_every_command_reads(raw, healthy_scan, tmp_path, monkeypatch):
    lesion = np.zeros(nib.load(raw / "P" / "P_flair.nii.gz").shape, np.uint8)
    lesion[10:14, 10:14, 10:14] = 1
    nib.save(nib.Nifti1Image(lesion, nib.load(healthy_scan).affine), raw / "P" / "P_seg.nii.gz")
    out = tmp_path / "out"
    assert preprocess(read_cohort(raw), out) == {}
    (subject,) = read_cohort(out).subjects
    assert (list(subject.images), bool(subject.brain), bool(subject.lesion)) == (["flair", "t2"], True, True)
    brain = read_volume(subject.brain.path).data > 0
    for image in subject.images.values():
        assert not read_volume(image.path).data[~brain].any()
    np.testing.assert_array_equal(nib.load(subject.lesion.path).get_fdata(), lesion)
    record = json.loads((out / "P" / "preprocess.json").read_text())
    assert "HD-BET" in record["brain_from"]
    assert np.shape(record["registered"]["t2"]) == (4, 4)
    monkeypatch.setattr("mmccd.raw.preprocess.ready", None)
    assert preprocess(read_cohort(raw), out) == {}  # nothing is made twice


def test_a_killed_run_goes_on(raw, tmp_path, monkeypatch):
    def killed(path, target):
        if path.name == "preprocess.json":
            raise KeyboardInterrupt
        return rename(path, target)

    rename, out = Path.replace, tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            preprocess(read_cohort(raw), out)
    assert not (out / "P" / "preprocess.json").exists()
    (out / ".P.0badcafe.partial").mkdir()  # which a process that is killed for good leaves
    (out / ".P.lock").write_text('{"token": "0badcafe", "pid": 1, "host": "gone", "expires_s": 0.1}')
    assert preprocess(read_cohort(raw), out) == {}
    assert (out / "P" / "preprocess.json").exists()
    assert [path.name for path in out.iterdir()] == ["P"]


def test_what_a_subject_no_longer_has_goes(raw, tmp_path):
    nib.save(nib.load(raw / "P" / "P_flair.nii.gz"), raw / "P" / "P_seg.nii.gz")
    out = tmp_path / "out"
    preprocess(read_cohort(raw), out)
    for name in ("P_t2.nii.gz", "P_seg.nii.gz"):
        (raw / "P" / name).unlink()
    (out / "P" / "notes.txt").touch()
    preprocess(read_cohort(raw), out)
    assert sorted(path.name for path in (out / "P").iterdir()) == [
        "P_brain.nii.gz", "P_flair.nii.gz", "notes.txt", "preprocess.json",
    ]  # fmt: skip


def test_a_brain_mask_goes_with_its_scan_to_the_grid_that_is_asked_for(raw, healthy_scan, tmp_path):
    brain = read_volume(healthy_scan).data > 0
    flair = nib.load(raw / "P" / "P_flair.nii.gz")
    nib.save(nib.Nifti1Image(brain.astype(np.uint8), flair.affine), raw / "P" / "P_brain.nii.gz")
    assert preprocess(read_cohort(raw), tmp_path / "out", reference="t2") == {}
    made = nib.load(tmp_path / "out" / "P" / "P_brain.nii.gz")
    assert made.shape == nib.load(raw / "P" / "P_t2.nii.gz").shape
    assert np.asarray(made.dataobj).sum() == pytest.approx(brain.sum(), rel=0.1)
    record = json.loads((tmp_path / "out" / "P" / "preprocess.json").read_text())
    assert record["brain_from"] == "a brain mask"


def test_a_mask_drawn_on_another_modality_goes_with_it(raw, tmp_path):
    other = nib.load(raw / "P" / "P_t2.nii.gz")
    lesion = np.zeros(other.shape, np.uint8)
    lesion[20:26, 22:30, 16:22] = 1
    nib.save(nib.Nifti1Image(lesion, other.affine), raw / "P" / "P_seg.nii.gz")
    preprocess(read_cohort(raw), tmp_path / "out")
    made = read_volume(tmp_path / "out" / "P" / "P_seg.nii.gz")
    size_ml = float((made.data > 0).sum()) * made.voxel_ml
    assert size_ml == pytest.approx(lesion.sum() * 0.064, rel=0.15)
    preprocess(read_cohort(raw), tmp_path / "by_t2", reference="t2")
    np.testing.assert_array_equal(nib.load(tmp_path / "by_t2" / "P" / "P_seg.nii.gz").get_fdata(), lesion)


def test_one_bad_subject_does_not_stop_the_others(raw, tmp_path):
    shutil.copytree(raw / "P", raw / "Q")
    for path in (raw / "Q").iterdir():
        path.rename(path.with_name(path.name.replace("P_", "Q_")))
    (raw / "Q" / "Q_t2.nii.gz").write_bytes(b"no scan")
    problems = preprocess(read_cohort(raw), tmp_path / "out")
    assert list(problems) == ["Q"]
    assert (tmp_path / "out" / "P" / "preprocess.json").exists()
    assert not (tmp_path / "out" / "Q").exists()


def test_wrong_requests_are_refused(raw, tmp_path):
    with pytest.raises(ConfigError, match="no subject has t1; there are flair, t2"):
        preprocess(read_cohort(raw), tmp_path / "out", reference="t1")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is not a folder"):
        preprocess(read_cohort(raw), tmp_path / "file")


def test_a_folder_of_something_else_is_left_alone(raw, tmp_path):
    (tmp_path / "out" / "P").mkdir(parents=True)
    (tmp_path / "out" / "P" / "mine.txt").touch()
    problems = preprocess(read_cohort(raw), tmp_path / "out")
    assert "none of `mmccd preprocess`" in problems["P"].what
    assert [path.name for path in (tmp_path / "out" / "P").iterdir()] == ["mine.txt"]


def test_on_the_command_line(raw, tmp_path, capsys, inline):
    assert run("preprocess", raw, tmp_path / "out", "--n4", "-q") == 0
    assert "1 subjects in" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "P" / "preprocess.json").read_text())["bias_field"] == "N4"
    assert run("validate", raw, "-q") == 0
    assert run("validate", raw, "--strip", "never", "-q") == 4
    (tmp_path / "split.csv").write_text("subject,split\nP,test\n")
    sliced = ("prepare", raw, tmp_path / "store", "--modalities", "flair,t2", "--size", "64", "-q")
    assert run(*sliced, "--split", tmp_path / "split.csv") == 0
    assert run("preprocess", raw, tmp_path / "out", "--strip", "sometimes", "-q") == 2
