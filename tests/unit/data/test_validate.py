import gzip
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mmccd.data import validate as validation
from mmccd.data.cohort import Subject, read_cohort
from mmccd.data.subject import load_case
from mmccd.data.validate import validate_cohort, validate_subject
from mmccd.errors import DataError, GridError

DATA = Path(os.environ.get("MMCCD_DATA", Path(__file__).parents[4] / "shared" / "data"))
BRAIN = np.zeros((8, 8, 6), np.float32)
BRAIN[1:7, 1:7, 1:5] = 100
BRAIN[3, 3, 3] = 90
LESION = np.zeros((8, 8, 6), np.uint8)
LESION[2:4, 2:4, 2:4] = 4


@pytest.fixture
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"no real scans: set MMCCD_DATA (looked in {DATA})")
    return DATA


def scan(path: Path, voxels: np.ndarray = BRAIN, spacing: tuple[float, float, float] = (1, 1, 1)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, np.diag([*spacing, 1.0])), path)
    return path


def subject(folder: Path, **voxels: np.ndarray) -> Subject:
    for role, array in ({"flair": BRAIN, "t1": BRAIN} | voxels).items():
        scan(folder / f"P_1_{role}.nii.gz", array)
    return read_cohort(folder).subject("P_1")


def test_case_has_images_brain_and_lesion_on_one_grid(tmp_path):
    case = load_case(subject(tmp_path, seg=LESION), ["t1", "flair"])
    assert list(case.images) == ["t1", "flair"]
    np.testing.assert_array_equal(case.brain, BRAIN > 0)
    np.testing.assert_array_equal(case.lesion, LESION > 0)
    assert load_case(subject(tmp_path), ["t1"]).subject.id == "P_1"


def test_case_in_another_orientation_is_turned_to_ras(tmp_path):
    for role, voxels in (("flair", BRAIN), ("seg", LESION)):
        affine = np.diag([-1.0, -1, 1, 1])
        nib.save(nib.Nifti1Image(voxels[::-1, ::-1], affine), tmp_path / f"P_1_{role}.nii.gz")
    case = load_case(read_cohort(tmp_path).subjects[0], ["flair"])
    np.testing.assert_array_equal(case.lesion, LESION > 0)


def test_brain_mask_wins_over_the_intensities(tmp_path):
    mask = np.zeros((8, 8, 6), np.uint8)
    mask[2:5, 2:5, 2:4] = 1
    case = load_case(subject(tmp_path, brain=mask), ["flair"])
    np.testing.assert_array_equal(case.brain, mask > 0)


def test_missing_modality_says_what_there_is(tmp_path):
    with pytest.raises(DataError, match="subject P_1 has no t1ce, t2; it has flair, t1") as caught:
        load_case(subject(tmp_path), ["flair", "t1ce", "t2"])
    assert "choose modalities" in caught.value.hint
    with pytest.raises(DataError, match="no modality asked for"):
        load_case(subject(tmp_path), [])


def test_files_on_another_grid_are_refused(tmp_path):
    with pytest.raises(GridError, match=r"P_1_flair.nii.gz and P_1_t1.nii.gz are not co-registered"):
        load_case(subject(tmp_path / "a", t1=np.ones((8, 8, 7), np.float32)), ["flair", "t1"])
    with pytest.raises(GridError, match=r"P_1_flair.nii.gz and P_1_seg.nii.gz"):
        load_case(subject(tmp_path / "b", seg=np.ones((8, 8, 7), np.uint8)), ["flair"])
    with pytest.raises(GridError, match=r"P_1_flair.nii.gz and P_1_brain.nii.gz"):
        load_case(subject(tmp_path / "c", brain=np.ones((8, 8, 7), np.uint8)), ["flair"])


@pytest.mark.parametrize("factor", [0.3, -1.0])
def test_lesion_that_is_no_mask_is_refused(tmp_path, factor):
    with pytest.raises(DataError, match=r"P_1_seg\.nii\.gz is no lesion mask: its values"):
        load_case(subject(tmp_path, seg=(LESION * factor).astype(np.float32)), ["flair"])


def test_healthy_subject_with_an_empty_lesion_file_is_fine(tmp_path):
    report = validate_subject(subject(tmp_path, seg=np.zeros((8, 8, 6), np.uint8)))
    assert (report.ok, report.warnings) == (True, ())


def test_one_bad_subject_does_not_stop_the_others(tmp_path):
    for name in ("A", "B", "C", "D", "F"):
        scan(tmp_path / name / f"{name}_flair.nii.gz")
    scan(tmp_path / "E" / "E_seg.nii.gz")
    holed = BRAIN.copy()
    holed[0, 0, 0] = np.nan
    scan(tmp_path / "B" / "B_flair.nii.gz", holed)
    whole = (tmp_path / "C" / "C_flair.nii.gz").read_bytes()
    (tmp_path / "C" / "C_flair.nii.gz").write_bytes(whole[: len(whole) // 2])
    raw = gzip.decompress(whole)
    (tmp_path / "D" / "D_flair.nii.gz").unlink()
    (tmp_path / "D" / "D_flair.nii").write_bytes(raw[: len(raw) // 2])
    told = []
    seen = validate_cohort(read_cohort(tmp_path), progress=lambda *step: told.append(step))
    reports = {report.subject: report for report in seen}
    assert [report.subject for report in seen] == list("ABCDEF")
    assert told == [(name, done, 6) for done, name in enumerate([*"ABCDEF", "done"])]
    assert {name: report.ok for name, report in reports.items()} == dict(
        A=True, B=False, C=False, D=False, E=False, F=True
    )
    assert "NaN" in reports["B"].error
    assert "cannot be read in full" in reports["C"].error
    assert "D_flair.nii" in reports["D"].error or "cannot be read" in reports["D"].error
    assert reports["E"].error == "it has no image, only masks"
    assert all(report.hint for report in seen if not report.ok)
    assert (reports["A"].shape, reports["A"].spacing_mm, reports["A"].modalities) == ((8, 8, 6), (1, 1, 1), ("flair",))


def test_warnings_name_what_is_odd(tmp_path):
    outside = LESION.copy()
    outside[0, :3, 0] = 1
    for name, voxels in (("flair", BRAIN), ("swi", BRAIN), ("seg", outside)):
        scan(tmp_path / f"{name}.nii.gz", voxels, (1, 1, 5))
    table = tmp_path / "cohort.csv"
    table.write_text("subject,flair,swi,lesion\nS1,flair.nii.gz,swi.nii.gz,seg.nii.gz\n")
    (report,) = validate_cohort(read_cohort(table))
    assert report.ok
    odd, thick, lesion = report.warnings
    assert "swi" in odd
    assert "5.0 mm thick" in thick
    assert "27% of the lesion lies outside the brain" in lesion


def test_a_mask_that_others_have_is_missed(tmp_path):
    """`prepare` cannot call its slices healthy, and leaves it out: better known before."""
    for name in ("P_1", "P_2"):
        scan(tmp_path / name / f"{name}_flair.nii.gz")
    assert [report.warnings for report in validate_cohort(read_cohort(tmp_path))] == [(), ()]
    scan(tmp_path / "P_1" / "P_1_seg.nii.gz", LESION)
    first, second = validate_cohort(read_cohort(tmp_path))
    assert first.ok
    assert second.ok
    assert first.warnings == ()
    assert second.warnings == (validation.NO_MASK,)


def test_skull_in_another_modality_is_a_warning(tmp_path):
    for name, voxels in (("flair", BRAIN), ("t1", BRAIN + 1)):
        scan(tmp_path / f"P_1_{name}.nii.gz", voxels, (20, 20, 20))
    (report,) = validate_cohort(read_cohort(tmp_path))
    assert report.ok
    assert any(warning.startswith("t1: P_1_t1.nii.gz is not skull-stripped") for warning in report.warnings)


@pytest.mark.parametrize(
    ("error", "text"), [(MemoryError("9 GiB"), "too large for the memory"), (OSError("I/O"), "I/O")]
)
def test_machine_errors_are_reported(tmp_path, monkeypatch, error, text):
    def fail(*_):
        raise error

    monkeypatch.setattr(validation, "load_case", fail)
    assert text in validate_subject(subject(tmp_path)).error


def test_given_brain_masks_make_skulls_fine(tmp_path):
    for name, voxels in (("flair", BRAIN + 1), ("t1", BRAIN + 1), ("brain", LESION)):
        scan(tmp_path / f"P_1_{name}.nii.gz", voxels, (20, 20, 20))
    (report,) = validate_cohort(read_cohort(tmp_path))
    assert (report.ok, len(report.warnings)) == (True, 1)  # the thick slices


def test_bugs_are_not_swallowed(tmp_path, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(validation, "load_case", fail)
    with pytest.raises(ZeroDivisionError):
        validate_subject(subject(tmp_path))


# --- real scans ---


@pytest.mark.parametrize("name", ["brats_full", "open_ms", "odd/healthy_kirby"])
def test_real_scans_are_fine(data, name):
    reports = validate_cohort(read_cohort(data / name))
    assert all(report.ok for report in reports)
    assert all(report.warnings == () for report in reports)


@pytest.mark.parametrize("name", ["thick_slices", "unregistered"])
def test_real_scans_that_are_not_registered_are_refused(data, name):
    (report,) = validate_cohort(read_cohort(data / "odd" / name))
    assert not report.ok
    assert "not co-registered" in report.error
    assert "register them to one grid first" in report.hint


def test_real_scans_with_skull_are_refused(data):
    reports = validate_cohort(read_cohort(data / "odd" / "with_skull"))
    assert [report.ok for report in reports] == [False, False]
    assert all("not skull-stripped" in report.error for report in reports)
    assert all("HD-BET" in report.hint for report in reports)
