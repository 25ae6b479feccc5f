import csv
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mmccd.data.volumes import check_same_grid, read_volume
from mmccd.errors import ConfigError
from mmccd.simulation.anatomy import Grid, make_anatomy, smooth_field
from mmccd.simulation.phantom import phantom, plan_cohort, simulate
from mmccd.simulation.signal import TISSUES, inversion_recovery, nulling_ti_ms, spin_echo

MODALITIES = ("flair", "t1", "t2")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two healthy subjects, a glioma, MS, a glioma, an artefact."""
    output = tmp_path_factory.mktemp("phantom") / "out"
    phantom(output, subjects=2, lesions=4, seed=7, spacing_mm=4.0, workers=1)
    return output


def contents(output: Path) -> dict[str, bytes]:
    return {str(p.relative_to(output)): p.read_bytes() for p in sorted(output.rglob("*")) if p.is_file()}


def make_one(number: int, seed: int = 1, spacing_mm: float = 2.0) -> tuple[dict[str, NDArray], NDArray]:
    """Subject ``number`` of a cohort of one healthy subject and twelve others."""
    return simulate(plan_cohort(1, 12)[number - 1], seed, Grid(spacing_mm))


def medians(scans: dict[str, NDArray], where: NDArray) -> dict[str, float]:
    return {name: float(np.median(scan[where])) for name, scan in scans.items()}


def test_layout_is_that_of_brats(cohort: Path) -> None:
    for number in range(1, 7):
        name = f"Phantom_{number:04d}"
        files = sorted(path.name for path in (cohort / name).iterdir())
        assert files == [f"{name}_{m}.nii.gz" for m in ("flair", "seg", "t1", "t2")]
        scans = [read_volume(cohort / name / f"{name}_{m}.nii.gz") for m in MODALITIES]
        for other in scans[1:]:
            check_same_grid(scans[0], other)
            np.testing.assert_array_equal(other.data > 0, scans[0].data > 0)
        assert scans[0].data.shape == (60, 60, 45)
        assert scans[0].spacing_mm == (4.0, 4.0, 4.0)
        assert scans[0].header.get_data_dtype() == np.int16
    assert "Nobody was scanned" in (cohort / "README.txt").read_text()
    assert json.loads((cohort / "phantom.json").read_text())["seed"] == 7


def test_anterior_commissure_is_the_origin(cohort: Path) -> None:
    scan = read_volume(cohort / "Phantom_0001" / "Phantom_0001_t1.nii.gz")
    inside = np.argwhere(scan.data > 0)
    low, high = ((scan.affine @ [*corner, 1])[:3] for corner in (inside.min(axis=0), inside.max(axis=0)))
    # Mid-brain lies on x = 0, further behind than before the commissure, more above than below it.
    assert abs(low[0] + high[0]) < 15
    assert -115 < low[1] < -80
    assert 45 < high[1] < 80
    assert -80 < low[2] < -45
    assert 60 < high[2] < 95


def test_split_lists_everybody(cohort: Path) -> None:
    with (cohort / "split.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["subject", "kind", "split", "lesion_ml"]
    assert [row["subject"] for row in rows] == [f"Phantom_{n:04d}" for n in range(1, 7)]
    assert [row["kind"] for row in rows] == ["healthy", "healthy", "glioma", "ms", "glioma", "artefact"]
    assert [row["split"] for row in rows] == ["train", "validation"] + ["test"] * 4
    assert [row["lesion_ml"] for row in rows[:2]] == ["0.000", "0.000"]
    for row in rows[2:]:
        mask = read_volume(cohort / row["subject"] / f"{row['subject']}_seg.nii.gz")
        assert float(row["lesion_ml"]) == pytest.approx((mask.data > 0).sum() * 0.064, abs=1e-3)


@pytest.mark.parametrize(("subjects", "validation"), [(1, []), (2, [2]), (5, [5]), (6, [6]), (20, [6, 12, 18])])
def test_every_sixth_healthy_subject_validates(subjects: int, validation: list[int]) -> None:
    planned = plan_cohort(subjects, 0)
    assert [subject.number for subject in planned if subject.split == "validation"] == validation
    assert {subject.kind for subject in planned} == {"healthy"}


def test_same_seed_same_bytes_whatever_the_workers(cohort: Path, tmp_path: Path) -> None:
    phantom(tmp_path, subjects=2, lesions=4, seed=7, spacing_mm=4.0, workers=2)
    assert contents(tmp_path) == contents(cohort)


def test_other_seed_other_brain(cohort: Path) -> None:
    scans, _ = simulate(plan_cohort(2, 0)[0], 8, Grid(4.0))
    before = read_volume(cohort / "Phantom_0001" / "Phantom_0001_t1.nii.gz").data
    assert (before > 0).sum() != (scans["t1"] > 0).sum()


def test_subjects_differ() -> None:
    brains = [make_anatomy(np.random.default_rng(n), Grid(4.0)).brain for n in range(4)]
    volumes_ml = [brain.sum() * 0.064 for brain in brains]
    assert len(set(volumes_ml)) == 4
    assert all(1200 < volume < 1750 for volume in volumes_ml)


def test_tissues_sum_to_one() -> None:
    fractions = make_anatomy(np.random.default_rng(0), Grid(4.0)).fractions
    np.testing.assert_allclose(sum(fractions.values()), 1, atol=1e-5)
    assert all(share.min() >= 0 for share in fractions.values())


def test_healthy_contrasts() -> None:
    subject = plan_cohort(1, 0)[0]
    shape_stream = np.random.SeedSequence([1, subject.number]).spawn(3)[0]
    anatomy = make_anatomy(np.random.default_rng(shape_stream), Grid(2.0))
    scans, labels = simulate(subject, 1, Grid(2.0))
    assert not labels.any()
    grey, white, csf = (
        medians({m: scan[anatomy.brain] for m, scan in scans.items()}, anatomy.fractions[name] > 0.95)
        for name in ("grey", "white", "csf")
    )
    assert csf["flair"] < 0.4 * white["flair"]
    assert 1.0 < grey["flair"] / white["flair"] < 1.4
    assert csf["t2"] > 1.3 * grey["t2"]
    assert grey["t2"] > 1.15 * white["t2"]
    assert white["t1"] > 1.1 * grey["t1"]
    assert csf["t1"] < 0.6 * grey["t1"]


@pytest.mark.parametrize("seed", range(3))
def test_glioma_breaks_the_ties_as_oedema_does(seed: int) -> None:
    scans, labels = make_one(2, seed)
    healthy = (labels == 0) & (scans["t1"] > 0)
    # White matter by its brightness in T1: the lesion is judged without the simulation's own fractions.
    white = healthy & (scans["t1"] > np.percentile(scans["t1"][healthy], 70))
    normal, oedema, core = medians(scans, white), medians(scans, labels == 2), medians(scans, labels == 1)
    assert oedema["flair"] > 1.25 * normal["flair"]
    assert oedema["t2"] > 1.4 * normal["t2"]
    assert oedema["t1"] < 0.95 * normal["t1"]
    assert core["t1"] < oedema["t1"]
    assert core["t2"] > oedema["t2"]
    assert core["flair"] < oedema["flair"]


@pytest.mark.parametrize("seed", range(4))
def test_lesion_volumes(seed: int) -> None:
    for spacing_mm in (2.0, 4.0):
        _, glioma = make_one(2, seed, spacing_mm)
        _, ms = make_one(3, seed, spacing_mm)
        assert set(np.unique(glioma)) == {0, 1, 2, 4}
        assert 10 <= (glioma > 0).sum() * spacing_mm**3 / 1000 <= 150
        assert set(np.unique(ms)) == {0, 5}
        assert 0.1 <= (ms > 0).sum() * spacing_mm**3 / 1000 <= 3


def test_ms_lesions_are_bright_in_flair() -> None:
    scans, labels = make_one(3)
    brain = scans["flair"] > 0
    assert np.median(scans["flair"][labels == 5]) > np.percentile(scans["flair"][brain], 90)


def test_signal_drop_is_local_and_dark() -> None:
    scans, labels = make_one(5, seed=2)
    spoilt, brain = labels == 6, scans["t1"] > 0
    assert 4 < spoilt.sum() * 0.008 < 40
    for scan in scans.values():
        assert np.median(scan[spoilt]) < 0.6 * np.median(scan[brain & ~spoilt])


@pytest.mark.parametrize("number", [9, 13])
def test_slab_artefacts_mark_whole_slices(number: int) -> None:
    scans, labels = make_one(number, spacing_mm=4.0)
    slab = np.flatnonzero((labels == 6).any(axis=(0, 1)))
    np.testing.assert_array_equal(slab, np.arange(slab[0], slab[-1] + 1))
    for z in slab:
        np.testing.assert_array_equal(labels[:, :, z] > 0, scans["t1"][:, :, z] > 0)


def test_smooth_field_has_unit_variance() -> None:
    fields = np.stack([smooth_field(np.random.default_rng(n), Grid(4.0), 12.0) for n in range(3)])
    assert fields.mean() == pytest.approx(0, abs=0.05)
    assert fields.std() == pytest.approx(1, abs=0.05)


def test_signal_equations() -> None:
    one = np.ones(1, dtype=np.float32)
    # After one T1 and one T2: (1 - 1/e) / e.
    assert spin_echo(500 * one, 80 * one, one, 500.0, 80.0)[0] == pytest.approx((1 - np.exp(-1)) * np.exp(-1))
    csf = TISSUES["csf"]
    ti_ms = nulling_ti_ms(csf.t1_ms, 9000.0)
    assert inversion_recovery(csf.t1_ms * one, csf.t2_ms * one, one, 9000.0, 115.0, ti_ms)[0] < 1e-6
    assert inversion_recovery(850 * one, 1e9 * one, one, 1e9, 0.0, 1e9)[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"subjects": 0, "lesions": 0}, "both 0, must be at least 1 together"),
        ({"subjects": -1}, "subjects is -1, must be 0 or more"),
        ({"lesions": -2}, "lesions is -2, must be 0 or more"),
        ({"seed": -3}, "seed is -3, must be 0 or more"),
        ({"spacing_mm": 0.5}, "spacing_mm is 0.5, must be 1 to 4"),
        ({"spacing_mm": float("nan")}, "spacing_mm is nan, must be 1 to 4"),
        ({"workers": 0}, "workers is 0, must be 1 or more"),
    ],
)
def test_bad_arguments_are_refused(tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        phantom(tmp_path / "out", **arguments)
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    phantom(tmp_path, subjects=1, lesions=1, spacing_mm=4.0, workers=1, progress=lambda *call: calls.append(call))
    assert calls == [("making phantoms", 1, 2), ("making phantoms", 2, 2)]


def test_resume_leaves_finished_subjects_untouched(tmp_path: Path) -> None:
    arguments = {"subjects": 1, "lesions": 1, "spacing_mm": 4.0, "workers": 1}
    phantom(tmp_path, **arguments)
    before = contents(tmp_path)
    finished = tmp_path / "Phantom_0002" / "Phantom_0002_seg.nii.gz"
    finished_ns = finished.stat().st_mtime_ns
    (tmp_path / "Phantom_0001" / "Phantom_0001_t2.nii.gz").unlink()
    phantom(tmp_path, **arguments)
    assert finished.stat().st_mtime_ns == finished_ns
    assert contents(tmp_path) == before


def test_other_parameters_are_refused(cohort: Path) -> None:
    with pytest.raises(ConfigError, match="made with other parameters: lesions 4 there, 5 asked for; seed 7") as caught:
        phantom(cohort, subjects=2, lesions=5, seed=8, spacing_mm=4.0, workers=1)
    assert "another output folder" in caught.value.hint


@pytest.mark.parametrize("text", ["{", "[]"])
def test_unreadable_parameters_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "phantom.json").write_text(text)
    with pytest.raises(ConfigError, match=r"cannot be read|made with other parameters"):
        phantom(tmp_path, subjects=1, lesions=0, workers=1)


def test_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(ConfigError, match="holds files that are not a phantom's"):
        phantom(tmp_path, subjects=1, lesions=0, workers=1)
    with pytest.raises(ConfigError, match="is a file, must be a folder"):
        phantom(tmp_path / "thesis.txt", subjects=1, lesions=0, workers=1)
