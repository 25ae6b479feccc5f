import errno
import json
import pickle
import shutil

import nibabel as nib
import numpy as np
import pytest

from mmccd.data import prepare as preparation
from mmccd.data.cohort import read_cohort
from mmccd.data.prepare import prepare
from mmccd.data.slices import StoreSettings
from mmccd.data.splits import Split, find_split
from mmccd.data.store import open_store
from mmccd.errors import ConfigError, DataError, WriteError
from mmccd.method.intensity import normalise
from mmccd.system.files import sha256_of_json

SETTINGS = StoreSettings("volume", 32, ("flair", "t2"))
SPLIT = Split(train=("A", "B"), validation=("C",), test=("D",))


def ball(shape, radius, centre=None):
    centre = [(n - 1) / 2 for n in shape] if centre is None else centre
    grids = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    return sum((g - c) ** 2 for g, c in zip(grids, centre, strict=True)) <= radius**2


BRAIN = ball((30, 32, 12), 9)


def add_subject(root, name, *, lesion=True, scan=None):
    """A noisy ball of 8 mm voxels; a subject of its own draws."""
    rng = np.random.default_rng(list(name.encode()))
    folder = root / name
    folder.mkdir(parents=True)
    affine = np.diag([8.0, 8.0, 8.0, 1.0])
    for modality in ("flair", "t2"):
        voxels = np.where(BRAIN, rng.gamma(9, 10, BRAIN.shape) + 1, 0).astype(np.float32) if scan is None else scan
        nib.save(nib.Nifti1Image(voxels, affine), folder / f"{name}_{modality}.nii.gz")
    if lesion:
        mask = ball(BRAIN.shape, 3, (15, 16, 4)) if name == "D" else np.zeros(BRAIN.shape)
        nib.save(nib.Nifti1Image(mask.astype(np.uint8), affine), folder / f"{name}_seg.nii.gz")


@pytest.fixture
def cohort_folder(tmp_path):
    for name in "ABCD":
        add_subject(tmp_path / "data", name)
    return tmp_path / "data"


@pytest.fixture
def output(tmp_path):
    return tmp_path / "store"


# --- content ---


def test_manifest_says_what_was_done(cohort_folder, output, inline):
    told = []
    store, failures = prepare(
        read_cohort(cohort_folder), SPLIT, output, SETTINGS, progress=lambda *step: told.append(step)
    )
    assert failures == {}
    manifest = store.manifest
    assert manifest.subjects == {"train": ["A", "B"], "validation": ["C"], "test": ["D"]}
    assert (manifest.size_px, manifest.pixel_mm, manifest.protocol) == (32, 7.5, "volume")
    assert manifest.intensity["percentile"] == 90
    assert sorted(path.name for path in output.iterdir()) == [
        "brain.npy", "flair.npy", "index.csv", "lesion.npy", "manifest.json", "t2.npy"
    ]  # fmt: skip
    store.verify()
    assert told[0] == ("preparing", 0, 4)
    assert told[4] == ("preparing", 4, 4)
    assert told[-1] == ("joining", 4, 4)
    assert str(cohort_folder) not in (output / "manifest.json").read_text()


def test_content_does_not_depend_on_the_workers(cohort_folder, tmp_path):
    """With real processes, which are spawned."""
    cohort = read_cohort(cohort_folder)
    one, two = (prepare(cohort, SPLIT, tmp_path / str(n), SETTINGS, workers=n)[0] for n in (1, 2))
    assert one.digest == two.digest
    for name in ("flair", "t2", "brain", "lesion"):
        assert (one.path / f"{name}.npy").read_bytes() == (two.path / f"{name}.npy").read_bytes()


def test_content_depends_on_the_voxels(cohort_folder, tmp_path, inline):
    first = prepare(read_cohort(cohort_folder), SPLIT, tmp_path / "1", SETTINGS)[0]
    shutil.copy(cohort_folder / "A" / "A_t2.nii.gz", cohort_folder / "B" / "B_t2.nii.gz")
    second = prepare(read_cohort(cohort_folder), SPLIT, tmp_path / "2", SETTINGS)[0]
    assert first.digest != second.digest


def test_slices_are_the_normalised_scan(cohort_folder, output, inline):
    store, _ = prepare(read_cohort(cohort_folder), SPLIT, output, SETTINGS)
    rows = np.flatnonzero(store.index["subject"] == "A")
    assert (store.array("flair")[rows][~store.array("brain")[rows]] < 3.5).all()
    assert (store.array("flair")[rows][:, 0, 0] == -3).all()
    scan = nib.load(cohort_folder / "A" / "A_flair.nii.gz").get_fdata().astype(np.float32)
    expected = normalise(scan, scan > 0)
    inside = store.array("flair")[rows].astype(float)[store.array("brain")[rows]]
    assert inside.mean() == pytest.approx(expected[BRAIN].mean(), abs=0.3)
    assert list(store.index["slice"].iloc[rows]) == sorted(set(np.nonzero(BRAIN)[2]))


# --- interruption ---


def test_a_killed_run_goes_on_and_keeps_what_is_done(cohort_folder, output, inline, monkeypatch):
    cohort = read_cohort(cohort_folder)
    real, done = preparation._prepare_part, []

    def killed(subject, *rest):
        if subject.id == "C":
            raise KeyboardInterrupt
        real(subject, *rest)

    monkeypatch.setattr(preparation, "_prepare_part", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(cohort, SPLIT, output, SETTINGS)
    parts = output / "parts"
    assert sorted(path.name for path in parts.iterdir()) == ["A", "B"]
    before = {file: file.stat().st_mtime_ns for file in parts.rglob("*.npy")}
    assert len(before) == 8
    with pytest.raises(DataError, match="not a prepared store"):
        open_store(output)

    def counted(subject, *rest):
        done.append(subject.id)
        real(subject, *rest)

    assemble = preparation._assemble

    def checked(*arguments):
        assert {file: file.stat().st_mtime_ns for file in before} == before
        assemble(*arguments)

    monkeypatch.setattr(preparation, "_prepare_part", counted)
    monkeypatch.setattr(preparation, "_assemble", checked)
    resumed, _ = prepare(cohort, SPLIT, output, SETTINGS)

    assert done == ["C", "D"]
    monkeypatch.undo()
    monkeypatch.setattr("mmccd.system.workers.ProcessPoolExecutor", inline)
    assert resumed.digest == prepare(cohort, SPLIT, output.with_name("again"), SETTINGS)[0].digest
    assert not (output / "parts").exists()


def test_a_part_that_fails_halfway_leaves_nothing(cohort_folder, output, inline, monkeypatch):
    def full(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(preparation, "write_json", full)
    with pytest.raises(WriteError, match=r"cannot write .*no space left"):  # no reason to leave subjects out
        prepare(read_cohort(cohort_folder), SPLIT, output, SETTINGS)
    assert list((output / "parts").iterdir()) == []


def test_a_changed_scan_is_prepared_again(cohort_folder, output, inline, monkeypatch):
    real, done = preparation._prepare_part, []

    def counted(subject, *rest):
        done.append(subject.id)
        real(subject, *rest)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation, "_prepare_part", counted)
    assemble = preparation._assemble
    monkeypatch.setattr(preparation, "_assemble", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(read_cohort(cohort_folder), SPLIT, output, SETTINGS)
    shutil.copy(cohort_folder / "A" / "A_t2.nii.gz", cohort_folder / "B" / "B_t2.nii.gz")
    monkeypatch.setattr(preparation, "_assemble", assemble)
    store, _ = prepare(read_cohort(cohort_folder), SPLIT, output, SETTINGS)
    assert done == ["A", "B", "C", "D", "B"]
    a, b = (store.array("t2")[np.flatnonzero(store.index["subject"] == name)] for name in "AB")
    np.testing.assert_array_equal(a, b)


def test_the_same_again_reads_nothing_and_anything_else_is_refused(cohort_folder, output, inline, monkeypatch):
    cohort = read_cohort(cohort_folder)
    prepare(cohort, SPLIT, output, SETTINGS)
    before = {file: file.stat().st_mtime_ns for file in output.iterdir()}
    monkeypatch.setattr(preparation, "_prepare_part", None)
    prepare(cohort, SPLIT, output, SETTINGS)
    assert {file: file.stat().st_mtime_ns for file in output.iterdir()} == before

    other_split = Split(train=("A", "C"), validation=("B",), test=("D",))
    for split, settings in (
        (SPLIT, StoreSettings("volume", 48, ("flair", "t2"))),
        (SPLIT, StoreSettings("volume", 32, ("flair",))),
        (other_split, SETTINGS),
    ):
        with pytest.raises(ConfigError, match="made from other scans, another split or other settings"):
            prepare(cohort, split, output, settings)


def test_a_store_of_an_earlier_name_of_the_protocol_is_the_same_again(cohort_folder, output, inline, monkeypatch):
    """The protocol of the paper was once called otherwise; its stores are not made anew for that."""
    cohort, hashed = read_cohort(cohort_folder), []

    def noting(values):
        hashed.append(values)
        return sha256_of_json(values)

    monkeypatch.setattr(preparation, "sha256_of_json", noting)
    with pytest.raises(DataError):  # these little scans do not fill the field of view
        prepare(cohort, SPLIT, output, StoreSettings("paper-slices", 32, ("flair", "t2")))
    settings = [values[1] for values in hashed if isinstance(values, list)]
    assert settings == [{"protocol": "published", "size_px": 32, "modalities": ("flair", "t2")}] * 4


def test_parts_left_beside_a_finished_store_go(cohort_folder, output, inline):
    """A run killed after the manifest and before the end."""
    first, _ = prepare(read_cohort(cohort_folder), SPLIT, output, SETTINGS)
    (output / "parts" / "A").mkdir(parents=True)
    assert prepare(read_cohort(cohort_folder), SPLIT, output, SETTINGS)[0].digest == first.digest
    assert not (output / "parts").exists()


# --- bad subjects ---


def test_bad_subjects_are_listed_and_the_others_go_on(cohort_folder, output, inline):
    content = (cohort_folder / "B" / "B_t2.nii.gz").read_bytes()
    (cohort_folder / "B" / "B_t2.nii.gz").write_bytes(content[: len(content) // 2])
    (cohort_folder / "C" / "C_t2.nii.gz").unlink()
    store, failures = prepare(read_cohort(cohort_folder), SPLIT, output, SETTINGS)
    assert set(failures) == {"B", "C"}
    assert "B_t2.nii.gz cannot be read in full" in failures["B"]
    assert "copy it again" in failures["B"]
    assert "has no t2" in failures["C"]
    assert store.manifest.subjects == {"train": ["A"], "validation": [], "test": ["D"]}
    assert set(store.index["subject"]) == {"A", "D"}
    assert prepare(read_cohort(cohort_folder), SPLIT, output, SETTINGS)[1] == failures


def test_a_subject_is_left_out_only_for_files_that_are_asked_for(cohort_folder, output, inline):
    for end in ("t2", "seg"):
        path = cohort_folder / "A" / f"A_{end}.nii.gz"
        path.unlink()
        path.symlink_to("gone")
    (cohort_folder / "B" / "B_t2.nii.gz").unlink()
    (cohort_folder / "B" / "B_t2.nii.gz").symlink_to("gone")
    store, failures = prepare(read_cohort(cohort_folder), SPLIT, output, StoreSettings("volume", 32, ("flair",)))
    assert store.manifest.subjects["train"] == ["B"]
    assert list(failures) == ["A"]
    assert "A_seg.nii.gz is a dangling link" in failures["A"]


def test_the_hint_survives_a_process_boundary(cohort_folder, output):
    (cohort_folder / "B" / "B_t2.nii.gz").write_bytes(b"")
    _, failures = prepare(read_cohort(cohort_folder), Split(train=("A", "B")), output, SETTINGS, workers=1)
    assert "B_t2.nii.gz" in failures["B"]
    assert failures["B"].endswith(")")


def test_no_usable_subject_is_an_error_with_the_reasons(tmp_path, output, inline):
    add_subject(tmp_path / "data", "A", scan=np.ones((80, 80, 80), np.float32), lesion=False)
    with pytest.raises(DataError, match=r"none of 1 subjects could be prepared \(A: .*not skull-stripped"):
        prepare(read_cohort(tmp_path / "data"), Split(train=("A",)), output, SETTINGS)
    assert not (output / "manifest.json").exists()


def test_healthy_cohort_needs_no_masks_but_a_mixed_one_does(tmp_path, output, inline):
    for name in "AB":
        add_subject(tmp_path / "healthy", name, lesion=False)
    split = Split(train=("A",), validation=("B",))
    store, failures = prepare(read_cohort(tmp_path / "healthy"), split, output, SETTINGS)
    assert failures == {}
    assert store.index["healthy"].all()

    add_subject(tmp_path / "mixed", "A", lesion=False)
    add_subject(tmp_path / "mixed", "B")
    store, failures = prepare(read_cohort(tmp_path / "mixed"), split, output.with_name("store_of_mixed"), SETTINGS)
    assert list(failures) == ["A"]
    assert "has no lesion mask while others have one" in failures["A"]
    assert store.manifest.subjects["train"] == []


def test_a_voxel_that_float16_cannot_hold_is_refused_by_file(tmp_path, output, inline):
    scan = np.where(BRAIN, 100 + np.arange(BRAIN.size).reshape(BRAIN.shape) % 7, 0).astype(np.float32)
    scan[15, 16, 6] = 1e8
    add_subject(tmp_path / "data", "A")
    add_subject(tmp_path / "data", "B", scan=scan)
    store, failures = prepare(read_cohort(tmp_path / "data"), Split(train=("A", "B")), output, SETTINGS)
    assert list(failures) == ["B"]
    assert "B_flair.nii.gz has voxels of up to 1e+08, allowed: 10,000 times the 90th percentile" in failures["B"]
    assert "remove or clip" in failures["B"]
    assert np.isfinite(store.array("flair")).all()


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EIO, "Input/output error"), "read"])
def test_what_may_pass_is_tried_again_and_makes_no_store_without_the_subject(
    cohort_folder, output, inline, monkeypatch, error
):
    real, tried = preparation.load_case, []

    def load(subject, modalities):
        tried.append(subject.id)
        if subject.id == "B" and tried.count("B") == 1:
            if error == "read":  # as `read_nifti` hands it on
                raise DataError("B_t2.nii.gz does not fit into memory", "x") from MemoryError()
            raise error
        return real(subject, modalities)

    monkeypatch.setattr(preparation, "load_case", load)
    with pytest.raises(DataError, match=r"1 of 4 subjects failed by memory or disk, which may pass \(B: \S+") as caught:
        prepare(read_cohort(cohort_folder), SPLIT, output, SETTINGS)
    assert "the same command tries only them again" in caught.value.hint
    assert not (output / "manifest.json").exists()
    _, failures = prepare(read_cohort(cohort_folder), SPLIT, output, SETTINGS)
    assert failures == {}
    assert tried == ["A", "B", "C", "D", "B"]


def test_what_may_pass_is_known_across_a_process_boundary(cohort_folder, output):
    error = preparation._MayPassError("no memory")
    assert isinstance(pickle.loads(pickle.dumps(error)), preparation._MayPassError)


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "Permission denied"), OSError("odd")])
def test_what_does_not_pass_leaves_its_subject_out(cohort_folder, output, inline, monkeypatch, error):
    real = preparation.load_case

    def load(subject, modalities):
        if subject.id == "B":
            raise error
        return real(subject, modalities)

    monkeypatch.setattr(preparation, "load_case", load)
    _, failures = prepare(read_cohort(cohort_folder), SPLIT, output, SETTINGS)
    assert list(failures) == ["B"]


# --- folders of others ---


@pytest.mark.parametrize(
    "names",
    [
        ("notes.txt",),
        ("parts/list.csv",),
        ("manifest.json", "parts/list.csv"),
        ("parts/A/flair.npy",),
    ],
    ids=" ".join,
)
def test_a_folder_of_something_else_is_refused_and_left_as_it_is(cohort_folder, output, inline, names):
    for name in names:
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_text('{"name": "web app"}')
    with pytest.raises(
        ConfigError, match="holds files that are not a store's, must be new, empty or a store"
    ) as caught:
        prepare(read_cohort(cohort_folder), SPLIT, output, SETTINGS)
    assert "choose another folder" in caught.value.hint
    left = sorted(str(path.relative_to(output)) for path in output.rglob("*") if path.is_file())
    assert left == sorted(names)


@pytest.mark.parametrize("names", [(), (".DS_Store",), ("parts/.A.abcdefgh.partial",)], ids=str)
def test_an_empty_folder_and_one_that_was_hardly_begun_are_filled(cohort_folder, output, inline, names):
    output.mkdir()
    for name in names:
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).touch()
    assert prepare(read_cohort(cohort_folder), SPLIT, output, SETTINGS)[1] == {}


# --- ids ---


@pytest.mark.parametrize("name", ["007", "1e5", "NA"])
def test_ids_that_look_like_numbers_or_missing_values_stay_as_they_are(tmp_path, output, inline, name):
    for subject in (name, "B"):
        add_subject(tmp_path / "data", subject)
    store, _ = prepare(read_cohort(tmp_path / "data"), Split(train=(name,), validation=("B",)), output, SETTINGS)
    assert set(store.index["subject"]) == {name, "B"}
    assert len(store.rows("train")) == len(store.rows("validation")) > 0


def test_split_and_store_of_the_phantom_agree(phantom_folder, phantom_store):
    split, _ = find_split(read_cohort(phantom_folder))
    for part in ("train", "validation", "test"):
        assert tuple(phantom_store.manifest.subjects[part]) == getattr(split, part)
    ill = phantom_store.index["lesion_px"] > 0
    assert not phantom_store.index["healthy"][ill].any()
    assert json.loads((phantom_store.path / "manifest.json").read_text())["failures"] == {}
