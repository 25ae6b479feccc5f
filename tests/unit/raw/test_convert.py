"""From DICOM to a cohort."""

import shutil
import subprocess

import nibabel as nib
import numpy as np
import pytest
from dicom_files import FLAIR, PERSON, T1, T2, write_series

from mmccd.data.volumes import read_volume
from mmccd.errors import ConfigError, DataError, MmccdWarning
from mmccd.raw.convert import any_cohort, chosen_series, dicom_cohort


def test_a_mixed_export_is_one_subject_with_its_modalities(tmp_path):
    for number, timing in enumerate((FLAIR, T1, T2), start=1):
        write_series(tmp_path / "export", number=number, name=f"{number}_", **timing)
    cohort, lines = dicom_cohort(tmp_path / "export")
    (subject,) = cohort.subjects
    assert (subject.id, list(subject.images), cohort.problems) == ("export", ["flair", "t1", "t2"], {})
    assert lines[0] == (
        "export: series 1 (6 slices of 16 x 20) is flair, by its timing (TR 9000 ms, TE 120 ms, TI 2500 ms)"
    )


def test_voxels_lie_where_the_header_says(tmp_path):
    values = np.arange(16 * 20 * 6).reshape(16, 20, 6) + 1
    write_series(tmp_path / "p", values=values, **FLAIR)
    cohort, _ = dicom_cohort(tmp_path / "p")
    volume = read_volume(cohort.subjects[0].images["flair"].path)
    # Columns run to the patient's left and rows to the back, from the origin; RAS counts the other way.
    np.testing.assert_array_equal(volume.data, values[::-1, ::-1])
    np.testing.assert_allclose(volume.affine @ [15, 19, 0, 1], [0, 0, 0, 1], atol=1e-4)
    np.testing.assert_allclose(volume.spacing_mm, (2, 2, 4), atol=1e-5)


def test_no_name_leaves_the_header(tmp_path):
    write_series(tmp_path / "p", SeriesDescription=f"t1 of {PERSON}", **T1)
    cohort, lines = dicom_cohort(tmp_path / "p")
    path = cohort.subjects[0].images["t1"].path
    content = nib.load(path).header.binaryblock
    for secret in ("Doe", "Josephine", "1950"):
        assert secret.encode() not in content
        assert secret not in " ".join(lines)
        assert secret not in path.name


def test_what_was_converted_is_not_converted_again(tmp_path, monkeypatch):
    write_series(tmp_path / "p", **FLAIR)
    first = dicom_cohort(tmp_path / "p")[0].subjects
    monkeypatch.setattr("subprocess.run", None)
    assert dicom_cohort(tmp_path / "p")[0].subjects == first


def test_two_series_of_one_modality_are_asked_about(tmp_path):
    write_series(tmp_path / "p", number=3, name="a", **FLAIR)
    write_series(tmp_path / "p", number=8, name="b", slices=9, **FLAIR)
    cohort, _ = dicom_cohort(tmp_path / "p")
    assert cohort.subjects == ()
    problem = cohort.problems["p"]
    assert problem.what == ("2 series are flair: series 3 (6 slices of 16 x 20) and series 8 (9 slices of 16 x 20)")
    assert "--series NUMBER" in problem.hint
    chosen, _ = dicom_cohort(tmp_path / "p", chosen={8: None})
    assert read_volume(chosen.subjects[0].images["flair"].path).data.shape[2] == 9
    other, _ = dicom_cohort(tmp_path / "p", wanted=["t2"], chosen={3: "t2"})
    assert list(other.subjects[0].images) == ["t2"]


def test_a_reformatting_gives_way_to_what_was_acquired(tmp_path):
    write_series(tmp_path / "p", number=3, name="a", **FLAIR)
    write_series(tmp_path / "p", number=8, name="b", ImageType=["DERIVED", "SECONDARY", "MPR"], **FLAIR)
    cohort, _ = dicom_cohort(tmp_path / "p")
    assert list(cohort.subjects[0].images) == ["flair"]


def test_modalities_that_nobody_asked_for_cost_nothing(tmp_path):
    write_series(tmp_path / "p", number=1, name="a", **FLAIR)
    for number in (2, 3):
        write_series(tmp_path / "p", number=number, name=f"b{number}", **T1)
    cohort, _ = dicom_cohort(tmp_path / "p", wanted=["flair"])
    assert list(cohort.subjects[0].images) == ["flair"]


def test_persons_in_folders_of_their_own_are_subjects_and_mixed_ones_are_refused(tmp_path):
    for name in ("a", "b"):
        write_series(tmp_path / "all" / name, person=name, study=f"1.{ord(name)}", **FLAIR)
    assert [subject.id for subject in dicom_cohort(tmp_path / "all")[0].subjects] == ["a", "b"]
    for name in ("a", "b"):
        write_series(tmp_path / "mixed", name=name, person=name, study=f"1.{ord(name)}", **FLAIR)
    cohort, _ = dicom_cohort(tmp_path / "mixed")
    assert cohort.subjects == ()
    assert {name: problem.what for name, problem in cohort.problems.items()} == dict.fromkeys(
        ("mixed_1", "mixed_2"), "2 studies, of 2 persons, lie in it mixed"
    )


def test_a_study_is_called_after_the_outermost_folder_that_is_its_own(tmp_path):
    for place, study in (("A/first", "1.1"), ("A/second", "1.2"), ("B/DICOM/1", "1.3")):
        write_series(tmp_path / "all" / place, study=study, **FLAIR)
    write_series(tmp_path / "all" / "B" / "DICOM" / "2", study="1.3", **T1)
    write_series(tmp_path / "all" / "B" / "DICOM", study="1.1", slices=1)  # a screenshot of another
    cohort, _ = dicom_cohort(tmp_path / "all")
    assert [subject.id for subject in cohort.subjects] == ["A_first", "A_second", "B"]
    assert cohort.problems == {}


def test_studies_that_would_be_called_alike_are_refused(tmp_path):
    for place, study in (("P (1)", "1.1"), ("p_1", "1.2"), ("Q", "1.3")):
        write_series(tmp_path / "all" / place, study=study, **FLAIR)
    cohort, _ = dicom_cohort(tmp_path / "all")
    assert [subject.id for subject in cohort.subjects] == ["Q"]
    assert len(cohort.problems) == 2


def test_a_series_beside_files_that_cannot_be_read_may_not_be_whole(tmp_path):
    *_, last = write_series(tmp_path / "p", **FLAIR)
    last.unlink()
    last.symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match="files beside its slices cannot be read"):
        dicom_cohort(tmp_path / "p")


def test_a_series_that_is_not_there_cannot_be_chosen(tmp_path):
    write_series(tmp_path / "p", number=4, **FLAIR)
    with pytest.raises(DataError, match="there is no series 99, only 4"):
        dicom_cohort(tmp_path / "p", chosen={4: None, 99: None})


def test_dicom_beside_other_scans_is_read_where_it_is_asked_for(tmp_path, healthy_scan):
    write_series(tmp_path / "all" / "P1", **FLAIR)
    (tmp_path / "all" / "P2").mkdir()
    shutil.copy(healthy_scan, tmp_path / "all" / "P2" / "flair.nii.gz")
    with pytest.warns(MmccdWarning, match="holds DICOM files and scans in other formats"):
        assert [subject.id for subject in any_cohort(tmp_path / "all").subjects] == ["P2"]
    asked = any_cohort(tmp_path / "all", "dicom")
    assert (asked.layout, len(asked.subjects)) == ("dicom", 1)


def test_nothing_that_can_be_used_is_refused_with_every_reason(tmp_path):
    write_series(tmp_path / "p", number=1, name="a", Modality="CT")
    write_series(tmp_path / "p", number=2, name="b", slices=2, **FLAIR)
    with pytest.raises(DataError, match=r"series 1 .*it is CT, not MR; series 2 .*it has 2 slices"):
        dicom_cohort(tmp_path / "p")


def test_contradictions_are_asked_about(tmp_path):
    write_series(tmp_path / "p", number=4, SeriesDescription="FLAIR", **T2)
    with pytest.raises(DataError, match=r"its timing .* says t2, its description flair"):
        dicom_cohort(tmp_path / "p")
    assert list(dicom_cohort(tmp_path / "p", chosen={4: "flair"})[0].subjects[0].images) == ["flair"]


def test_what_is_no_dicom_is_read_as_before(phantom_folder):
    assert any_cohort(phantom_folder).layout == "brats"
    with pytest.raises(DataError, match="holds no DICOM files"):
        any_cohort(phantom_folder, series={1: None})


def test_series_are_chosen_by_number():
    assert chosen_series(["7", "8=T2w"]) == {7: None, 8: "t2"}
    with pytest.raises(ConfigError, match="no number of a series"):
        chosen_series(["flair"])


def test_a_study_without_a_scan_beside_others_is_named_and_a_short_series_is_said(tmp_path):
    write_series(tmp_path / "all" / "a", person="a", study="1.1", ImagesInAcquisition=40, **FLAIR)
    write_series(tmp_path / "all" / "b", person="b", study="1.2", Modality="CT")
    cohort, lines = dicom_cohort(tmp_path / "all")
    assert [subject.id for subject in cohort.subjects] == ["a"]
    assert "it is CT, not MR" in cohort.problems["b"].what
    assert any("cut short: 6 slices are there, its header speaks of 40" in line for line in lines)


def test_a_conversion_that_does_not_end_is_given_up(tmp_path, monkeypatch):
    def endless(*_, **settings):
        raise subprocess.TimeoutExpired("dcm2niix", settings["timeout"])

    write_series(tmp_path / "p", **FLAIR)
    monkeypatch.setattr("subprocess.run", endless)
    assert "was not converted within 600 s" in dicom_cohort(tmp_path / "p")[0].problems["p"].what
