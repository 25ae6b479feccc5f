"""Each odd input is refused by name with a remedy, or read right; and no rule is dead or refuses everything."""

import ast
import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from odd_cohorts import COHORTS, SUBJECTS
from odd_inputs import AFFINE, BRAIN, NAMES, SCANS, VOXELS, good

import mmccd
from mmccd.data import layouts
from mmccd.data.cohort import Image, Subject, read_cohort, unsafe_id
from mmccd.data.nifti import read_nifti
from mmccd.data.splits import read_split_csv
from mmccd.data.subject import load_case
from mmccd.data.volumes import new_volume, read_volume, write_volume
from mmccd.errors import DataError

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "input.md"
LISTS = {"scans": SCANS, "names": NAMES, "subjects": SUBJECTS, "cohorts": COHORTS}
LAYOUTS = sorted(path.stem for path in Path(layouts.__file__).parent.glob("[a-z]*.py"))
MODULES = (
    "data/nifti",
    "data/volumes",
    "data/subject",
    *(f"data/layouts/{name}" for name in LAYOUTS),
    "data/cohort",
    "data/trouble",
    "data/tables",
)


def ids(odds):
    return [odd.name for odd in odds]


def loaded(odd, folder):
    path = odd.path(folder)
    odd.make(path)
    return load_case(Subject("S", {"flair": Image(path)}), ["flair"])


def loaded_subject(odd, folder):
    odd.make(folder / odd.name)
    return load_case(read_cohort(folder).subject(odd.name), ["flair", "t1"])


def listed(odd, folder):
    """The cohort, or an error made of its problems."""
    root = folder / odd.name
    root.mkdir()
    odd.make(root)
    cohort = read_cohort(root / odd.suffix)
    troubles = [*cohort.problems.values(), *(one for subject in cohort.subjects for one in subject.unusable.values())]
    if troubles:
        raise DataError("; ".join(problem.what for problem in troubles), "as `mmccd validate` gives it")
    return cohort


def complaint(make, odd, folder):
    with pytest.raises(DataError) as caught:
        make(odd, folder)
    assert caught.value.hint
    assert odd.refused in caught.value.message, caught.value.message
    return caught.value.message


# --- one by one ---


@pytest.mark.parametrize("odd", SCANS, ids=ids(SCANS))
def test_a_scan_is_refused_by_name_or_read_right(odd, tmp_path):
    if odd.refused:
        assert odd.path(tmp_path).name in complaint(loaded, odd, tmp_path)
        return
    case = loaded(odd, tmp_path)
    volume = case.images["flair"]
    np.testing.assert_array_equal(volume.data, np.float32(VOXELS if odd.voxels is None else odd.voxels))
    assert case.warnings == ()
    assert bool(volume.doubts) == bool(odd.warned)
    assert odd.warned in "".join(volume.doubts)
    if odd.voxels is None and odd.name != "thick":
        np.testing.assert_allclose(volume.affine, AFFINE, rtol=1e-5)
    write_volume(tmp_path / "out.nii.gz", volume.data, volume)
    (source, _), (written, stored) = read_nifti(odd.path(tmp_path)), read_nifti(tmp_path / "out.nii.gz")
    assert np.array_equal(written.get_best_affine(), source.get_best_affine())
    assert stored.shape == source.get_data_shape()[:3]
    np.testing.assert_array_equal(read_volume(tmp_path / "out.nii.gz").data, volume.data)


@pytest.mark.parametrize("odd", NAMES, ids=ids(NAMES))
def test_a_name_is_safe_or_refused(odd):
    reason = unsafe_id(odd.stem or odd.name)
    assert (reason is None) == (not odd.refused)
    assert odd.refused in (reason or "")


@pytest.mark.parametrize("odd", SUBJECTS, ids=ids(SUBJECTS))
def test_a_subject_is_refused_by_file_or_read_right(odd, tmp_path):
    if odd.refused:
        complaint(loaded_subject, odd, tmp_path)
        return
    case = loaded_subject(odd, tmp_path)
    said = [*case.warnings, *(text for volume in case.images.values() for text in volume.doubts)]
    assert bool(said) == bool(odd.warned)
    assert odd.warned in "".join(said)
    np.testing.assert_array_equal(case.brain, BRAIN)


@pytest.mark.parametrize("odd", COHORTS, ids=ids(COHORTS))
def test_a_cohort_is_refused_with_a_reason_or_read_right(odd, tmp_path):
    if odd.refused:
        complaint(listed, odd, tmp_path)
        return
    cohort = listed(odd, tmp_path)
    assert cohort.subjects
    for subject in cohort.subjects:
        assert load_case(subject, list(subject.images)[:1]).brain.any()


# --- all at once, by the command ---


def mmccd_command(*arguments):
    command = [sys.executable, "-m", "mmccd", *map(str, arguments), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", timeout=200)
    assert "Traceback" not in done.stdout + done.stderr
    return done


def failed_lines(done):
    lines = [line.removeprefix("failed: ") for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert len(lines) == len(done.stderr.splitlines()), done.stderr  # nothing else, so one line each
    return dict(line.split(": ", 1) for line in lines)


def case_name(odd):
    name = odd.stem or odd.name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def test_predict_of_all_at_once_does_the_good_ones_and_names_the_others(tmp_path, model_folder):
    odds = SCANS + NAMES[1:]
    scans, extra = tmp_path / "scans", tmp_path / "extra"
    scans.mkdir()
    extra.mkdir()
    for odd in odds:
        odd.make(odd.path(extra if odd.suffix == ".hdr" else scans))

    done = mmccd_command(
        "predict", model_folder, scans, extra / "pair.hdr", tmp_path / "missing.nii.gz", "-o", tmp_path / "out",
        "--strip", "never", "--device", "cpu",
    )  # fmt: skip

    assert done.returncode == 3, done.stderr
    failed = failed_lines(done)
    assert set(failed) == {case_name(odd) for odd in odds if odd.refused} | {"missing"}
    with (tmp_path / "out" / "summary.csv").open(newline="", encoding="utf-8") as stream:
        rows = {row["case"].removeprefix("'"): row for row in csv.DictReader(stream)}
    assert len(rows) == len(odds) + 1
    for odd in odds:
        row = rows[case_name(odd)]
        if odd.refused:
            assert odd.refused in failed[case_name(odd)], failed[case_name(odd)]
            assert (row["status"], bool(row["hint"])) == ("failed", True)
        else:
            assert row["status"] == "done"
            assert odd.warned in row["warnings"]
            assert np.isfinite(float(row["score"]))
            if odd.voxels is None and odd.name != "thick":
                assert float(row["score"]) == pytest.approx(float(rows["plain"]["score"]), rel=1e-4), odd.name


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Each scan as a subject of its own."""
    root = tmp_path_factory.mktemp("everything")
    for odd in [*SCANS, *NAMES[1:]]:
        if odd.suffix != ".hdr":
            (root / (odd.stem or odd.name)).mkdir()
            odd.make(root / (odd.stem or odd.name) / f"flair{odd.suffix}")
    return root


@pytest.mark.parametrize("command", ["validate", "prepare"])
def test_cohort_commands_do_the_good_ones_and_name_the_others(everything, tmp_path, command):
    more = [tmp_path / "store", "--size", "48", "--workers", "1"] if command == "prepare" else []
    done = mmccd_command(command, everything, "--strip", "never", *more)

    assert done.returncode == 3, done.stderr
    failed = failed_lines(done)
    assert set(failed) == {case_name(odd) for odd in SCANS + NAMES if odd.refused} - {"pair"}
    listing = {"folder", "pipe", "nowhere", "loop"}  # found before they are opened
    for odd in SCANS + NAMES:
        if odd.refused and odd.name not in listing | {"pair"}:
            assert odd.refused in failed[case_name(odd)]


def test_validate_names_each_bad_subject(tmp_path):
    for odd in SUBJECTS:
        odd.make(tmp_path / odd.name)
    done = mmccd_command("validate", tmp_path, "--strip", "never")
    assert done.returncode == 3
    assert set(failed_lines(done)) == {odd.name for odd in SUBJECTS if odd.refused} - {"image_missing"}


def test_predict_of_a_manifest_does_the_good_rows(tmp_path, model_folder):
    (tmp_path / "a.nii.gz").write_bytes(good())
    (tmp_path / "cut.nii.gz").write_bytes(good()[:99])
    rows = [
        "A;a.nii.gz;",
        "B;cut.nii.gz;",
        "C;gone.nii.gz;",
        "D;;",
        "../E;e.nii.gz;",
        "F;;f.nii.gz",
        "G;g.nii.gz;",
        "g;h.nii.gz;",
    ]
    (tmp_path / "m.csv").write_text("\ufeff" + "\r\n".join(["Subject;FLAIR;t2", *rows]))
    done = mmccd_command("predict", model_folder, tmp_path / "m.csv", "-o", tmp_path / "\udcffout", "--device", "cpu")
    assert done.returncode == 3, done.stderr
    assert set(failed_lines(done)) == {"B", "C", "D", "../E", "F", "G", "g"}
    assert (tmp_path / "\udcffout" / "A_mask.nii.gz").is_file()


# --- no dead rules ---


def patterns(module):
    """A pattern for each message that a module can complain with, by the line where it does."""
    tree = ast.parse((Path(mmccd.__file__).parent / f"{module}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("DataError", "GridError"):
            yield f"{module}.py:{node.lineno}", pattern(node.args[0])
        elif isinstance(node, ast.FunctionDef) and ast.unparse(node.returns or ast.Constant("")) == "str | None":
            for inner in ast.walk(node):
                text = isinstance(inner, ast.Return) and pattern(inner.value)
                if text and len(text) > 10:
                    yield f"{module}.py:{inner.lineno}", text


def pattern(node):
    if isinstance(node, ast.IfExp):
        return f"({pattern(node.body)}|{pattern(node.orelse)})"
    if isinstance(node, ast.BinOp):
        return pattern(node.left) + pattern(node.right)
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(re.escape(p.value) if isinstance(p, ast.Constant) and p.value else ".*" for p in parts)


def other_complaints(tmp_path, monkeypatch):
    """What no file brings about: questions that have no answer, and the limits of the machine."""
    write = tmp_path / "a.nii.gz"
    SCANS[0].make(write)
    tree_ok, tree_bad = tmp_path / "ok", tmp_path / "bad"
    for folder, names in ((tree_ok, ("A",)), (tree_bad, ("A", "B"))):
        for name in names:
            (folder / name).mkdir(parents=True)
            (folder / name / ("flair.nii.gz" if name == "A" else "seg.nii.gz")).write_bytes(good())
    huge = next(odd for odd in SCANS if odd.name == "dim_huge")
    huge.make(tmp_path / "huge.nii.gz")
    volume = new_volume(VOXELS, AFFINE)

    def denied(self):
        raise PermissionError(13, "Permission denied", str(self))

    yield lambda: read_cohort(tmp_path, "dicom")
    yield lambda: read_cohort(tree_ok, "csv")
    yield lambda: read_cohort(tree_ok, "bids")
    yield lambda: read_cohort(tree_ok, select={"run": "1"})
    bids = next(odd for odd in COHORTS if odd.name == "bids")
    bids.make(tmp_path / "bids")
    yield lambda: read_cohort(tmp_path / "bids", select={"run": "1"})
    yield lambda: read_cohort(tree_ok).subject("Z")
    yield lambda: read_cohort(tree_bad).subject("B")
    yield lambda: mmccd.data.volumes.brain_mask(new_volume(VOXELS * 0 - 0, AFFINE))
    yield lambda: new_volume(VOXELS, AFFINE[:3])
    yield lambda: read_split_csv(tmp_path / "gone.csv")
    yield lambda: read_volume(write, channel=4)
    yield lambda: mmccd.data.volumes.check_same_grid(volume, new_volume(VOXELS[1:], AFFINE))
    yield lambda: mmccd.data.volumes.check_range(np.full(1, np.inf), volume)
    monkeypatch.setenv("MMCCD_MOST_VOXELS", str(10**15))
    yield lambda: read_volume(tmp_path / "huge.nii.gz")
    monkeypatch.setattr(Path, "iterdir", denied)
    yield lambda: read_cohort(tree_ok)


def test_every_complaint_of_the_readers_is_made_by_some_input(tmp_path, monkeypatch):
    messages = [unsafe_id(odd.stem) for odd in NAMES if odd.refused]
    for make, odds in ((loaded, SCANS), (loaded_subject, SUBJECTS), (listed, COHORTS)):
        for odd in odds:
            if odd.refused:
                folder = tmp_path / make.__name__ / odd.name
                folder.mkdir(parents=True)
                messages.append(complaint(make, odd, folder))
    for ask in other_complaints(tmp_path, monkeypatch):
        with pytest.raises(DataError) as caught:
            ask()
        messages.append(caught.value.message)
    monkeypatch.undo()

    found = dict(line for module in MODULES for line in patterns(module))
    dead = {where: text for where, text in found.items() if not any(re.search(text, m, re.DOTALL) for m in messages)}

    assert len(found) > 40
    assert dead == {}


@pytest.mark.parametrize("odds", LISTS.values(), ids=LISTS)
def test_every_refused_input_has_a_like_one_that_passes(odds):
    by_name = {odd.name: odd for odd in odds}
    assert len(by_name) == len(odds)
    for odd in odds:
        if odd.refused:
            assert not by_name[odd.healthy].refused, odd.name


def test_there_are_enough_kinds():
    assert sum(len(odds) for odds in LISTS.values()) >= 150
    assert sum(bool(odd.refused) for odds in LISTS.values() for odd in odds) >= 90


# --- the page ---


def rows(odds):
    """Neighbours with one outcome share a line."""
    lines = []
    for odd in odds:
        end = f"refused: `{odd.refused}`" if odd.refused else f"read; warning: `{odd.warned}`" if odd.warned else "read"
        if lines and lines[-1][1] == end:
            lines[-1][0].append(odd.what)
        else:
            lines.append(([odd.what], end))
    return ["| input | outcome |", "|---|---|", *(f"| {'; '.join(what)} | {end} |" for what, end in lines)]


def test_the_page_says_what_happens():
    text = PAGE.read_text()
    new = text
    for name, odds in LISTS.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        head, _, rest = new.partition(begin)
        _, _, tail = rest.partition(end)
        new = "\n".join([head + begin, *rows(odds), "", end]) + tail
    if os.environ.get("MMCCD_WRITE_DOCS"):
        PAGE.write_text(new)
        text = new
    assert text == new, "write it anew: MMCCD_WRITE_DOCS=1 pytest tests/robustness -k page, and look at the difference"
