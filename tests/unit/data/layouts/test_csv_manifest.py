"""A CSV manifest: any modality, relative to its folder; what is malformed is refused whole."""

from pathlib import Path

import pytest

from mmccd.data.cohort import Image, modalities_of, read_cohort
from mmccd.errors import DataError


def manifest(root: Path, text: str, name: str = "cohort.csv") -> Path:
    (root / name).write_text(text)
    return root / name


def test_csv_reads_any_modality_relative_to_its_folder(tmp_path, tree):
    tree(tmp_path, "x/a.nii.gz", "x/b.nii.gz", "x/c.nii.gz", "m.nii.gz")
    path = manifest(
        tmp_path, "\ufeffSubject,SWI,t1,lesion,split\nS2,x/a.nii.gz,,m.nii.gz,val\nS1,x/b.nii.gz,x/c.nii.gz,,\n"
    )
    cohort = read_cohort(path)
    assert (cohort.layout, cohort.problems) == ("csv", {})
    assert [(s.id, list(s.images), s.split) for s in cohort.subjects] == [
        ("S1", ["t1", "swi"], None),
        ("S2", ["swi"], "validation"),
    ]
    assert cohort.subject("S2").lesion == Image(tmp_path / "m.nii.gz")
    assert modalities_of(cohort) == ("swi",)


def test_tsv_and_semicolons_are_read(tmp_path, tree):
    tree(tmp_path, "a.nii.gz")
    assert read_cohort(manifest(tmp_path, "subject\tflair\nS1\ta.nii.gz\n", "c.tsv")).subjects[0].id == "S1"
    assert read_cohort(manifest(tmp_path, "subject\tflair\nS1\ta.nii.gz\n", "C.TSV")).subjects[0].id == "S1"
    assert read_cohort(manifest(tmp_path, "subject;flair\nS1;a.nii.gz\n")).subjects[0].id == "S1"


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\nsubject;flair\r\nS1;a.nii.gz\r\n",
        '"sep=,"\nsubject,flair\nS1,a.nii.gz\n',
        "subject\tflair\nS1\ta.nii.gz\n",
        "subject,flair,,\r\nS1,a.nii.gz,,\r\n,,,\r\n , \r\n",
        "subject,,flair\nS1,,a.nii.gz\n",
        "subject,flair\nS1,a.nii.gz,,\n",
    ],
)
def test_what_spreadsheets_leave_in_a_table_is_put_up_with(tmp_path, tree, text):
    tree(tmp_path, "a.nii.gz")
    (subject,) = read_cohort(manifest(tmp_path, text)).subjects
    assert (subject.id, subject.images) == ("S1", {"flair": Image(tmp_path / "a.nii.gz")})


def test_lines_are_counted_from_the_first_of_the_file(tmp_path):
    with pytest.raises(DataError, match="line 4 has 3 cells, its header has 2"):
        read_cohort(manifest(tmp_path, "sep=;\nsubject;flair\n\nS1;a;b\n"))


def test_csv_missing_file_and_empty_row_are_problems_of_their_subjects(tmp_path, tree):
    tree(tmp_path, "a.nii.gz", "b.nii.gz")
    cohort = read_cohort(manifest(tmp_path, "subject,flair\nS1,a.nii.gz\nS2,gone.nii.gz\nS3,\n../S4,b.nii.gz\n"))
    assert [subject.id for subject in cohort.subjects] == ["S1"]
    assert cohort.problems["S2"].what.endswith("gone.nii.gz does not exist")
    assert cohort.problems["S3"].what == "its row names no file"
    assert "not safe as a file name" in cohort.problems["../S4"].what


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("id,flair\nS1,a.nii.gz\n", "no column subject; its columns are id, flair"),
        ("subject,flair\nS1,a.nii.gz\nS1,a.nii.gz\n", "rows without a subject of their own: S1"),
        ("subject,flair\n,a.nii.gz\n", r"rows without a subject of their own: \(empty\)"),
        ("subject,flair,\nS1,a.nii.gz,b.nii.gz\n", r"columns without a name of their own: \(no name\)"),
        ("subject,flair,flair\nS1,a.nii.gz,a.nii.gz\n", "columns without a name of their own: flair"),
        ("subject,flair\nS1,a.nii.gz,b.nii.gz\n", "line 2 has 3 cells, its header has 2"),
        ("subject,flair,age\nS1,a.nii.gz,33\n", r"column 'age' that names no NIfTI file \(first cell '33'\)"),
        ("subject,T1 post\nS1,a.nii.gz\n", "column 't1 post'"),
        ("subject,lesion\nS1,a.nii.gz\n", "no modality column"),
        ("subject,flair\n", "no modality column or no row"),
        ("subject,flair,split\nS1,a.nii.gz,fold1\n", "subject S1 has the split 'fold1'"),
    ],
)
def test_malformed_csv_is_refused(tmp_path, text, message, tree):
    tree(tmp_path, "a.nii.gz")
    with pytest.raises(DataError, match=message) as caught:
        read_cohort(manifest(tmp_path, text))
    assert caught.value.hint


def test_csv_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "c.csv").write_bytes(b"subject,flair\nM\xfcller,a.nii.gz\n")
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_cohort(tmp_path / "c.csv")


def test_csv_with_an_endless_cell_is_refused(tmp_path):
    with pytest.raises(DataError, match="is not valid CSV"):
        read_cohort(manifest(tmp_path, "subject,flair\nS1," + "a" * 200_000))
