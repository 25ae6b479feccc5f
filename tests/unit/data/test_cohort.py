import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mmccd.data.cohort import all_healthy, modalities_of, read_cohort
from mmccd.data.layouts.registry import LAYOUTS
from mmccd.data.own_folders import CARD, MANIFEST, RESULTS, SUMMARY
from mmccd.errors import DataError

DATA = Path(os.environ.get("MMCCD_DATA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.fixture
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"no real scans: set MMCCD_DATA (looked in {DATA})")
    return DATA


def scan(path: Path, shape: tuple[int, ...] = (8, 8, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ones(shape, np.int16), np.eye(4)), path)
    return path


def tree(root: Path, *names: str) -> Path:
    for name in names:
        scan(root / name)
    return root


def files(cohort, subject: str) -> dict[str, str]:
    found = cohort.subject(subject)
    roles = {**found.images, "brain": found.brain, "lesion": found.lesion}
    return {role: str(image.path.relative_to(cohort.root)) for role, image in roles.items() if image}


def test_same_id_in_two_folders_is_a_problem_naming_both(tmp_path):
    tree(tmp_path, *(f"{name}_flair.nii.gz" for name in ("train/P_1/P_1", "test/P_1/P_1", "test/P_2/P_2")))
    cohort = read_cohort(tmp_path)
    assert [subject.id for subject in cohort.subjects] == ["P_2"]
    assert "a flair image in test/P_1 and train/P_1; ids must be" in cohort.problems["P_1"].what


def test_one_modality_in_two_namings_is_a_problem_naming_both(tmp_path):
    tree(tmp_path, "P_1/P_1_flair.nii.gz", "P_1/P_1-t2f.nii.gz", "P_2/P_2_flair.nii.gz")
    cohort = read_cohort(tmp_path)
    assert [subject.id for subject in cohort.subjects] == ["P_2"]
    assert "several files for flair: P_1-t2f.nii.gz and P_1_flair.nii.gz" in cohort.problems["P_1"].what


def test_dangling_link_is_a_problem_of_its_modality_alone(tmp_path):
    tree(tmp_path, "P_1_flair.nii.gz", "P_2_flair.nii.gz")
    for name in ("P_2_t1", "P_3_t1"):
        (tmp_path / f"{name}.nii.gz").symlink_to("annex/MD5-abc")
    cohort = read_cohort(tmp_path)
    assert [subject.id for subject in cohort.subjects] == ["P_1", "P_2"]
    assert files(cohort, "P_2") == {"flair": "P_2_flair.nii.gz"}
    reasons = (cohort.subject("P_2").unusable["t1"].what, cohort.problems["P_3"].what)
    assert reasons == tuple(f"P_{i}_t1.nii.gz is a dangling link to annex/MD5-abc: fetch its content" for i in (2, 3))
    assert cohort.subject("P_2").modalities == ("flair", "t1")
    assert cohort.subject("P_1").unusable == {}
    with pytest.raises(DataError, match="dangling link"):
        cohort.subject("P_2").check_usable("flair", "t1")
    cohort.subject("P_2").check_usable("flair")


def test_modalities_that_some_subject_cannot_use_are_still_those_of_the_cohort(tmp_path):
    """Else one broken link would take a modality from a whole study, without a word."""
    tree(tmp_path, *(f"P_{i}_{role}.nii.gz" for i in (1, 2) for role in ("flair", "t1")))
    (tmp_path / "P_2_t1.nii.gz").unlink()
    (tmp_path / "P_2_t1.nii.gz").symlink_to("gone")
    assert modalities_of(read_cohort(tmp_path)) == ("flair", "t1")


def test_a_subject_whose_every_image_is_unusable_says_why_of_each(tmp_path):
    tree(tmp_path, "P_1/P_1_flair.nii.gz", "P_1/P_1-t2f.nii.gz", "P_2/P_2_flair.nii.gz")
    (tmp_path / "P_1" / "P_1_t1.nii.gz").symlink_to("gone")
    what = read_cohort(tmp_path).problems["P_1"].what
    assert "several files for flair" in what
    assert "dangling link" in what


def test_one_image_for_two_subjects_spoils_that_modality(tmp_path):
    tree(tmp_path, "A_flair.nii.gz", "A_t1.nii.gz", "B_t1.nii.gz")
    (tmp_path / "B_flair.nii.gz").symlink_to("A_flair.nii.gz")
    cohort = read_cohort(tmp_path)
    assert [list(subject.images) for subject in cohort.subjects] == [["t1"], ["t1"]]
    assert all("is given twice" in subject.unusable["flair"].what for subject in cohort.subjects)


def test_only_names_with_entities_can_be_selected_by(tmp_path):
    with pytest.raises(DataError, match="layout brats has no entities to select by"):
        read_cohort(tree(tmp_path, "P_1_flair.nii.gz"), select={"run": "1"})


def test_healthy_are_cohorts_without_any_mask_even_a_broken_one(tmp_path):
    tree(tmp_path, "P_1_flair.nii.gz", "P_2_flair.nii.gz")
    assert all_healthy(read_cohort(tmp_path).subjects)
    (tmp_path / "P_2_seg.nii.gz").symlink_to("gone")
    assert not all_healthy(read_cohort(tmp_path).subjects)


def test_good_links_are_followed(tmp_path):
    target = scan(tmp_path / "store" / "blob.nii.gz")
    (tmp_path / "cohort").mkdir()
    (tmp_path / "cohort" / "P_1_flair.nii.gz").symlink_to(target)
    assert [subject.id for subject in read_cohort(tmp_path / "cohort").subjects] == ["P_1"]


def test_order_of_creation_does_not_matter(tmp_path):
    names = [f"P_{i}/P_{i}_{m}.nii.gz" for i in range(4) for m in ("flair", "t1", "seg")]
    first, second = tree(tmp_path / "a", *names), tree(tmp_path / "b", *reversed(names))
    one, two = read_cohort(first), read_cohort(second)
    assert [files(one, s.id) for s in one.subjects] == [files(two, s.id) for s in two.subjects]


def test_unknown_layout_lists_the_known_ones(tmp_path):
    with pytest.raises(DataError, match="unknown layout 'dicom'") as caught:
        read_cohort(tmp_path, "dicom")
    assert all(name in caught.value.hint for name in ("auto", *LAYOUTS))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (None, "holds no NIfTI scan"),
        (MANIFEST, "holds a prepared store, which is not a cohort"),
        (CARD, "holds a model, which is not a cohort"),
        (RESULTS, "holds the results of a benchmark, which is not a cohort"),
        (SUMMARY, "holds results of `mmccd predict`, which is not a cohort"),
    ],
)
def test_what_is_no_cohort_is_called_by_its_name(tmp_path, file, message):
    if file:
        (tmp_path / file).write_text("{}")
    with pytest.raises(DataError, match=message):
        read_cohort(tmp_path)


def test_a_folder_that_fits_no_layout_lists_what_was_tried(tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    with pytest.raises(DataError, match=f"fits none of the layouts {', '.join(LAYOUTS)}") as caught:
        read_cohort(tmp_path)
    assert all(f"({name})" in caught.value.hint for name in LAYOUTS)


@pytest.mark.parametrize("layout", ["nnunet", "msd", "bids", "brats", "folders", "csv"])
def test_asked_layout_that_does_not_fit_is_refused(tmp_path, layout):
    with pytest.raises(DataError):
        read_cohort(tmp_path, layout)


def test_a_file_is_not_a_cohort(tmp_path):
    with pytest.raises(DataError, match="a single image, not a cohort") as caught:
        read_cohort(scan(tmp_path / "a_flair.nii.gz"))
    assert "predict" in caught.value.hint
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"notes\.txt is not a cohort"):
        read_cohort(tmp_path / "notes.txt")
    with pytest.raises(DataError, match="does not exist"):
        read_cohort(tmp_path / "gone")


def test_lookup_of_an_absent_subject_says_what_there_is(tmp_path):
    cohort = read_cohort(tree(tmp_path, "P_1_flair.nii.gz", "P_2_seg.nii.gz", "P_3_flair.nii.gz"))
    assert cohort.subject("P_1").id == "P_1"
    with pytest.raises(DataError, match="has no subject p_1; it has 2: P_1, P_3"):
        cohort.subject("p_1")
    with pytest.raises(DataError, match="P_2 was left out: it has no image"):
        cohort.subject("P_2")


def test_folder_that_cannot_be_listed_is_refused(tmp_path, monkeypatch):
    def deny(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", deny)
    with pytest.raises(DataError, match=r"cannot list .*: Permission denied"):
        read_cohort(tmp_path)


def test_cohort_of_problems_only_has_no_modalities(tmp_path):
    cohort = read_cohort(tree(tmp_path, "P_1_seg.nii.gz"))
    assert (cohort.subjects, modalities_of(cohort)) == ((), ())


# --- real scans ---


@pytest.mark.parametrize(("name", "layout", "count"), [("brats128", "brats", 45), ("brats_full", "brats", 4), ("open_ms", "folders", 2)])  # fmt: skip  # noqa: E501
def test_real_cohorts_are_read(data, name, layout, count):
    cohort = read_cohort(data / name)
    assert (cohort.layout, len(cohort.subjects), cohort.problems) == (layout, count, {})
    assert modalities_of(cohort) == ("flair", "t1", "t2")
    assert all(subject.lesion for subject in cohort.subjects)


def test_real_healthy_subject_is_read(data):
    (subject,) = read_cohort(data / "odd" / "healthy_kirby").subjects
    assert (subject.id, list(subject.images), subject.lesion) == ("healthy_kirby", ["flair", "t1"], None)
