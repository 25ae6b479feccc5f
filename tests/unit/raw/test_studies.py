"""Studies of an export, and what they are called."""

from dicom_files import FLAIR, T1, write_series

from mmccd.raw.export import dicom_files
from mmccd.raw.series import series_in
from mmccd.raw.studies import names_of, studies_of


def named(root):
    found, _ = series_in(dicom_files(root)[0])
    return names_of(root, studies_of(found))


def test_series_of_one_person_and_study_are_a_study(tmp_path):
    write_series(tmp_path, name="a", study="1.1", number=1, **FLAIR)
    write_series(tmp_path, name="b", study="1.1", number=2, **T1)
    write_series(tmp_path, name="c", study="1.1", number=3, person="Roe^Richard", **T1)
    found, _ = series_in(dicom_files(tmp_path)[0])
    assert [[one.first.number for one in study] for study in studies_of(found)] == [[1, 2], [3]]


def test_a_single_study_is_called_after_the_folder_given(tmp_path):
    write_series(tmp_path / "a patient" / "deep" / "below", **FLAIR)
    assert named(tmp_path / "a patient") == ["a_patient"]


def test_a_study_in_several_folders_of_its_own_is_mixed(tmp_path):
    write_series(tmp_path / "all" / "a", study="1.1", number=1, **FLAIR)
    write_series(tmp_path / "all" / "b", study="1.1", number=2, **T1)
    write_series(tmp_path / "all" / "c", study="1.2", number=3, **FLAIR)
    problem, name = named(tmp_path / "all")
    assert (problem.subject, problem.what) == ("all_1", "2 studies, of 1 persons, lie in it mixed")
    assert name == "c"
