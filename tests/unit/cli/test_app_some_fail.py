"""Scans and subjects of which some fail or are odd: they are listed, and the exit code says so."""

import shutil
import warnings

import nibabel as nib
import numpy as np

from mmccd.data.problems import Problem


def test_bad_scans_are_listed_and_the_exit_code_says_so(run, bad_scans, healthy_scan, model_folder, tmp_path):
    reasons = bad_scans(tmp_path / "scans")
    bad_only = sorted((tmp_path / "scans").iterdir())
    shutil.copy(healthy_scan, tmp_path / "scans" / "good.nii.gz")

    code, out, error = run("predict", model_folder, tmp_path / "scans", "-o", tmp_path / "some", "-q")
    assert code == 3
    failed = {line.split(": ")[1] for line in error.splitlines() if line.startswith("failed: ")}
    assert failed == set(reasons)
    assert "(" in error  # with their hints
    assert "good" in out
    assert (tmp_path / "some" / "good_mask.nii.gz").is_file()

    code, _, error = run("predict", model_folder, *bad_only, "-o", tmp_path / "all", "-q")
    assert code == 4
    assert "this is a bug" not in error


def test_scans_named_as_another_modality_are_listed_and_the_others_scored(run, healthy_scan, model_folder, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    for name in ("a", "b_T2_n4", "c_T2_FLAIR"):
        shutil.copy(healthy_scan, scans / f"{name}.nii.gz")
    code, out, error = run("predict", model_folder, scans, "-o", tmp_path / "o", "-q")
    assert code == 3
    assert error == (
        "failed: b_T2_n4: its name says another modality than flair, which the model scores; "
        "if it is flair, rename it (mend or rename its files, or leave it out)\n"
    )
    assert "c_T2_FLAIR" in out
    assert sorted(path.name for path in (tmp_path / "o").glob("*.json")) == ["a.json", "c_T2_FLAIR.json"]
    assert run("predict", model_folder, scans / "b_T2_n4.nii.gz", "-o", tmp_path / "p", "-q")[0] == 4


def verdicts_in(table):
    """The last column of a table that `validate` prints, by subject; a cell may have several lines."""
    found, subject = {}, ""
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split("│")[1:-1]]
        if cells:
            subject = cells[0] or subject
            found[subject] = f"{found.get(subject, '')} {cells[-1]}".strip()
    return found


def test_the_verdict_on_each_subject_is_what_is_wrong_with_it_or_fine(run, phantom_folder, monkeypatch):
    from mmccd.data.validate import CaseReport

    def validate(cohort, *, ready, workers, progress):
        spoilt = {"Phantom_0002": Problem("Phantom_0002", "it is torn", "copy it")}
        odd = {"Phantom_0003": ("it is odd", "and thick")}
        return [CaseReport(one.id, spoilt.get(one.id), odd.get(one.id, ())) for one in cohort.subjects]

    monkeypatch.setattr("mmccd.data.validate.validate", validate)
    code, out, error = run("validate", phantom_folder, "-q")
    assert (code, error) == (3, "failed: Phantom_0002: it is torn (copy it)\n")
    verdicts = verdicts_in(out)
    assert (verdicts.pop("Phantom_0002"), verdicts.pop("Phantom_0003")) == ("it is torn", "it is odd; and thick")
    assert [*verdicts.values()] == ["fine"] * 6


def test_validate_and_prepare_list_what_failed(run, phantom_folder, tmp_path, inline):
    data = shutil.copytree(phantom_folder, tmp_path / "data")
    scan = data / "Phantom_0002" / "Phantom_0002_flair.nii.gz"
    scan.write_bytes(scan.read_bytes()[:2000])

    code, out, error = run("validate", data, "-q")
    assert code == 3
    assert error.startswith("failed: Phantom_0002: Phantom_0002_flair.nii.gz cannot be read in full")
    assert len(error.splitlines()) == 1
    verdicts = verdicts_in(out)
    assert list(verdicts) == [f"Phantom_000{number}" for number in range(1, 9)]
    assert verdicts.pop("Phantom_0002").startswith("Phantom_0002_flair.nii.gz cannot be read in full")
    coarse = "axial pixels of 4.0 mm are coarse and slices are 4.0 mm thick: small lesions are lost"
    assert set(verdicts.values()) == {coarse}

    code, _, error = run("prepare", data, tmp_path / "store", "--size", 32, "-q")
    assert code == 3
    assert "Phantom_0002_flair.nii.gz cannot be read in full" in error


def test_validate_and_prepare_say_which_masks_there_are_and_which_files_are_not_used(
    run, inline, phantom_folder, tmp_path
):
    data = tmp_path / "data"
    for name in ("anna", "ben"):
        (data / name).mkdir(parents=True)
        for modality in ("flair", "t2"):
            scan = phantom_folder / "Phantom_0007" / f"Phantom_0007_{modality}.nii.gz"
            shutil.copy(scan, data / name / f"{modality.upper()}.nii.gz")
            shutil.copy(scan, data / name / f"outline {modality[0]}.nii.gz")
    prepare = ("prepare", data, tmp_path / "store", "--size", 32, "--fractions", 0.5, 0.5, 0, "-q")
    unused = (
        "warning: 4 NIfTI files not used: anna/outline f.nii.gz, anna/outline t.nii.gz, "
        "ben/outline f.nii.gz and 1 more; if a scan or a mask is among them, rename it or write a CSV manifest\n"
    )

    code, out, error = run("validate", data, "-q")
    assert (code, error) == (0, unused)
    assert [line.split("│")[3].strip() for line in out.splitlines() if line.startswith("│ anna")] == ["none"]
    assert "\nanna: flair anna/FLAIR.nii.gz, t2 anna/T2.nii.gz\n" in out
    assert out.endswith("\nnot used: ben/outline f.nii.gz\nnot used: ben/outline t.nii.gz\n")
    code, out, error = run(*prepare)
    assert (code, error) == (0, unused)
    assert "no lesion mask found: all slices of all 2 subjects are taken as healthy" in " ".join(out.split())

    for name in ("anna", "ben"):
        shutil.copy(phantom_folder / "Phantom_0007" / "Phantom_0007_seg.nii.gz", data / name / "segmentation.nii.gz")
        for path in (data / name).glob("outline*"):
            path.unlink()
    shutil.rmtree(tmp_path / "store")
    code, out, error = run("validate", data, "-q")
    assert (code, error) == (0, "")
    assert [line.split("│")[3].strip() for line in out.splitlines() if line.startswith("│ anna")] == ["lesion"]
    code, out, error = run(*prepare)
    assert (code, error) == (0, "")
    assert "no lesion mask" not in out


def test_a_subject_with_two_runs_is_chosen_from_and_fails_where_both_are_meant(run, phantom_folder, tmp_path):
    anat = tmp_path / "data" / "sub-1" / "anat"
    anat.mkdir(parents=True)
    for end, modality in (("FLAIR", "flair"), ("run-1_T1w", "t1"), ("run-2_T1w", "t1")):
        scan = phantom_folder / "Phantom_0007" / f"Phantom_0007_{modality}.nii.gz"
        shutil.copy(scan, anat / f"sub-1_{end}.nii.gz")

    code, _, error = run("validate", tmp_path / "data", "-q")
    assert (code, error.splitlines()) == (4, [
        "failed: sub-1: several files for t1: sub-1_run-1_T1w.nii.gz and sub-1_run-2_T1w.nii.gz "
        "(choose with --select run=1, or keep one, or name it in a CSV manifest)"
    ])  # fmt: skip

    code, out, error = run("validate", tmp_path / "data", "--select", "run=2", "-q")
    assert code == 0
    assert "sub-1: flair sub-1/anat/sub-1_FLAIR.nii.gz, t1 sub-1/anat/sub-1_run-2_T1w.nii.gz\n" in out
    assert out.endswith("not used: sub-1/anat/sub-1_run-1_T1w.nii.gz\n")

    code, _, error = run("validate", tmp_path / "data", "--select", "run", "-q")
    assert code == 2
    assert "not of the form ENTITY=VALUE" in error


def test_a_patient_in_two_parts_is_a_warning(run, tmp_path, inline, healthy_scan):
    data = tmp_path / "data"
    for name in ("BraTS-GLI-00001-000", "BraTS-GLI-00001-001"):
        (data / name).mkdir(parents=True)
        for modality in ("t2f", "t2w"):
            shutil.copy(healthy_scan, data / name / f"{name}-{modality}.nii.gz")
    (data / "split.csv").write_text("subject,split\nBraTS-GLI-00001-000,train\nBraTS-GLI-00001-001,validation\n")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, _, error = run("prepare", data, tmp_path / "store", "--size", 32, "-q")
    assert (code, error) == (0, "warning: patient BraTS-GLI-00001 has sessions in two parts of the split\n")


def test_damaged_headers_are_no_second_complaint(run, caplog, healthy_scan, model_folder, tmp_path):
    image = nib.load(healthy_scan)
    content = bytearray(nib.Nifti1Image(np.asarray(image.dataobj), image.affine).to_bytes())
    content[70:72] = (78, 0)  # a data type that does not exist
    (tmp_path / "a.nii").write_bytes(content)
    code, _, error = run("predict", model_folder, tmp_path / "a.nii", "-o", tmp_path / "o", "-q")
    assert code == 4
    assert [line.split(":")[0] for line in error.splitlines()] == ["failed"]
    assert [record for record in caplog.records if record.name.startswith("nibabel")] == []
