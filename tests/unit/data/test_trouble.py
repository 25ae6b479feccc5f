"""What is wrong with the files of a subject, role by role."""

from pathlib import Path

import pytest

from mmccd.data.layouts.listing import Entry
from mmccd.data.trouble import ambiguous_id, hint_of_absent, unusable_roles


def entry(path: Path, role: str) -> Entry:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return Entry("A", role, path)


def test_each_role_has_its_own_trouble(tmp_path):
    (tmp_path / "t1.nii").symlink_to("away/gone")
    (tmp_path / "t2.nii").mkdir()
    entries = [
        entry(tmp_path / "flair.nii", "flair"), Entry("A", "t1", tmp_path / "t1.nii"),
        Entry("A", "t2", tmp_path / "t2.nii"), Entry("A", "brain", tmp_path / "none.nii"),
    ]  # fmt: skip
    found = {role: what for role, (what, _) in unusable_roles(entries, {"lesion": "none fits"}, None).items()}
    assert found == {
        "t1": "t1.nii is a dangling link to away/gone: fetch its content",
        "t2": f"{tmp_path.name}/t2.nii is not a file",
        "brain": f"{tmp_path.name}/none.nii does not exist",
        "lesion": "none fits",
    }


@pytest.mark.parametrize(("remedy", "start"), [(None, "keep one"), (lambda _: "do this", "do this, or keep one")])
def test_several_files_come_with_what_to_do(tmp_path, remedy, start):
    entries = [entry(tmp_path / name, "flair") for name in ("b.nii", "a.nii")]
    what, hint = unusable_roles(entries, {}, remedy)["flair"]
    assert what == "several files for flair: a.nii and b.nii"
    assert hint.startswith(start)


def test_one_modality_in_two_folders_may_be_of_two_subjects(tmp_path):
    entries = [entry(tmp_path / place / "A_flair.nii", "flair") for place in ("x", "y")]
    assert "it has a flair image in" in ambiguous_id(entries)
    assert ambiguous_id([entry(tmp_path / place / "A_brain.nii", "brain") for place in ("x", "y")]) is None


def test_what_a_shell_has_not_done_is_named():
    assert "not expanded" in hint_of_absent(Path("~/data"))
    assert "matches nothing" in hint_of_absent(Path("data/*/x.nii"))
    assert hint_of_absent(Path("data/x.nii")) == ""
