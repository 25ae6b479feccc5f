import numpy as np
import pytest
import torch
from torch import nn

from mmccd.data.healthy import HealthyTissue
from mmccd.data.store import Store
from mmccd.errors import MmccdWarning
from mmccd.method.anomaly_map import squared_error
from mmccd.method.cyclic_unet import CyclicUNet
from mmccd.method.diffusion import linear_schedule
from mmccd.method.masked_cycle import MaskedCycle
from mmccd.method.masks import comb_masks
from mmccd.model.config import load_config
from mmccd.model.scorer import ModelScorer
from mmccd.scoring.maps import scored_region, smoothed
from mmccd.scoring.thresholds import own_level
from mmccd.training.calibration import (
    calibration_of,
    count_healthy,
    fit_error,
    healthy_runs,
    healthy_scores,
    intensity_thresholds,
    thresholds_of,
)
from mmccd.training.kept import KeptArrays

CPU = torch.device("cpu")


class Zero(nn.Module):
    def forward(self, image, _=None):
        return torch.zeros_like(image[:, :1])


class Spy(Store):
    """Notes which rows of which arrays are read."""

    def array(self, name):
        found, seen = super().array(name), self.__dict__.setdefault("seen", {})

        class Noted:
            def __getitem__(self, rows):
                seen.setdefault(name, set()).update(np.atleast_1d(rows).tolist())
                return found[rows]

        return Noted()


class WithPatient(Spy):
    """The glioma patient of the phantom is a validation subject, too: some of the slices there are not healthy."""

    @property
    def index(self):
        table = super().index.copy()
        table.loc[table["subject"] == "Phantom_0007", "split"] = "validation"
        return table


def calibrated(method, error, store, config):
    """Thresholds with one error for all patients, or with one for each."""

    tissue = HealthyTissue(store)

    def anomaly_map_of(run, brain, _):
        own = error[run.patient] if isinstance(error, dict) else error
        scorer = ModelScorer(method, own, config, CPU)
        return scorer.anomaly_map({config.source: store.slices(config.source, run.rows)}, brain, run.spacing_mm)

    return thresholds_of(healthy_scores(tissue, anomaly_map_of), tissue, config.scoring)


@pytest.fixture
def squares():
    """The map is x squared."""
    return CyclicUNet(Zero(), Zero())


@pytest.fixture
def with_patient(phantom_store):
    store = WithPatient(phantom_store.path, phantom_store.manifest)
    healthy = store.index.loc[store.index["subject"] == "Phantom_0007", "healthy"]
    assert 0 < healthy.sum() < len(healthy)
    return store


@pytest.mark.parametrize(("source", "rate"), [("t1", 0.07), ("t2", 0.03)])
def test_a_typical_rate_is_that_of_the_source_for_the_model_and_for_intensities(phantom_store, squares, source, rate):
    class WithT1(Store):
        def array(self, name):
            return super().array({"t1": "flair"}.get(name, name))

    store = WithT1(phantom_store.path, phantom_store.manifest)
    settings = {"source": source, "targets": ["flair"], "scoring.edge_mm": 0}
    typical, stated = (
        calibration_of(squares, store, load_config("tiny", settings | scoring), CPU)
        for scoring in ({"scoring.false_positive_rate": "typical"}, {"scoring.false_positive_rate": rate})
    )
    assert typical.thresholds.voxel.criterion.startswith(f"{rate} of the brain")
    assert (typical.thresholds, typical.intensity) == (stated.thresholds, stated.intensity)


def test_sessions_of_a_patient_count_as_one_but_keep_levels_of_their_own(with_patient):
    names = {"Phantom_0006": "sub-01_ses-1", "Phantom_0007": "sub-01_ses-2"}

    class Sessions(Store):
        @property
        def index(self):
            return with_patient.index.replace({"subject": names})

    store = Sessions(with_patient.path, with_patient.manifest)
    expected = [
        sum(
            int(with_patient.array("brain")[run.rows].sum())
            for run in healthy_runs(HealthyTissue(with_patient))
            if run.patient == one
        )
        for one in names
    ]

    def anomaly_map_of(run, brain, _):
        second = run.scan == "sub-01_ses-2"
        return np.linspace(0, 1, brain.size, dtype=np.float32).reshape(brain.shape) + 10 * second

    ((first, second),) = healthy_scores(HealthyTissue(store), anomaly_map_of)
    assert [first.size, second.size] == expected
    found = thresholds_of([[first, second]], HealthyTissue(store), load_config("tiny").scoring)
    assert found.relative.subjects == 1
    assert 0 < found.relative.value < 1
    assert found.voxel.value > 10


def test_healthy_slices_on_both_sides_of_a_lesion_are_two_runs(with_patient):
    runs = [run.rows for run in healthy_runs(HealthyTissue(with_patient)) if run.patient == "Phantom_0007"]
    table = with_patient.index
    assert len(runs) == 2
    assert all(np.all(np.diff(table["slice"][rows]) == 1) for rows in runs)
    between = table.loc[runs[0][-1] + 1 : runs[1][0] - 1]
    assert len(between) > 0
    assert not between["healthy"].any()
    every = np.concatenate([run.rows for run in healthy_runs(HealthyTissue(with_patient))])
    assert every.tolist() == with_patient.rows("validation", healthy=True).tolist()


@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_threshold_lets_the_rate_of_healthy_brain_pixels_through(phantom_store, squares, rate):
    config = load_config("tiny", {"scoring.false_positive_rate": rate})
    found = calibration_of(squares, phantom_store, config, CPU)
    threshold, baseline = found.thresholds.voxel, found.intensity

    rows = phantom_store.rows("validation", healthy=True)
    x, brain = phantom_store.array("flair")[rows].astype(np.float32), phantom_store.array("brain")[rows]
    scored = scored_region(brain, edge_mm=7.5, pixel_mm=5.0)
    share = ((x**2 > threshold.value) & scored).sum() / brain.sum()
    assert rate - 0.001 < share <= rate
    assert (threshold.subjects, threshold.slices) == (1, len(rows))
    assert threshold.chosen_on == "healthy validation slices"
    assert baseline.polarity == "bright"
    assert rate - 0.01 < (x > baseline.threshold.plain)[brain].mean() <= rate
    assert (baseline.smooth_mm, baseline.threshold.smoothed) == (0, baseline.threshold.plain)


def test_the_error_function_decides_the_threshold(phantom_store, squares):
    plain, doubled = (
        calibrated(squares, error, phantom_store, load_config("tiny")).voxel.value
        for error in (squared_error, lambda x, made: 2 * squared_error(x, made))
    )
    assert doubled == pytest.approx(2 * plain)


def test_a_smoothed_map_and_the_intensity_smoothed_alike_let_the_same_rate_through(with_patient, squares):
    config = load_config("tiny", {"scoring.smooth_mm": 6, "scoring.edge_mm": 10})
    found = calibration_of(squares, with_patient, config, CPU)
    thresholds, baseline = found.thresholds, found.intensity

    runs = {}
    for run in healthy_runs(HealthyTissue(with_patient)):
        x, brain = with_patient.array("flair")[run.rows].astype(np.float32), with_patient.array("brain")[run.rows]
        spacing = {"smooth_mm": 6, "spacing_mm": (4.0, 5.0, 5.0)}
        region = scored_region(brain, edge_mm=10, pixel_mm=5.0)
        maps = smoothed(x**2, region, **spacing)[brain], smoothed(x, brain, **spacing)[brain]
        runs.setdefault(run.patient, []).append(maps)
    ours, alike = ([np.concatenate(parts) for parts in kinds] for kinds in zip(
        *(zip(*parts, strict=True) for parts in runs.values()), strict=True
    ))  # fmt: skip

    def marked(scores, threshold):
        return np.mean([(one > threshold).mean() for one in scores])  # subjects count alike

    assert 0.049 < marked(ours, thresholds.voxel.value) <= 0.05
    assert thresholds.scan.value == max(one.max() for one in ours)
    assert 0.049 < marked([one - own_level(one) for one in ours], thresholds.relative.value) <= 0.05
    assert thresholds.healthy_scores == pytest.approx(sorted(np.quantile(one, 0.99) for one in ours))
    assert thresholds.voxel.guarantee.startswith("on average at most 0.367 of the brain in healthy slices")
    assert baseline.smooth_mm == 6
    assert 0.049 < marked(alike, baseline.threshold.smoothed) <= 0.05
    assert baseline.threshold.smoothed < baseline.threshold.plain
    above = [one - own_level(one) for one in alike]
    assert 0.049 < marked(above, baseline.relative_threshold.smoothed) <= 0.05
    slices = len(with_patient.rows("validation", healthy=True))
    assert (thresholds.voxel.subjects, thresholds.voxel.slices) == (2, slices)


def test_dark_modality_has_its_low_values_as_scores(phantom_store):
    scoring = load_config("tiny").scoring
    assert intensity_thresholds(HealthyTissue(phantom_store), "t2", scoring).polarity == "bright"

    class Renamed(Store):
        def array(self, name):
            return super().array({"t1": "flair"}.get(name, name))

    store = Renamed(phantom_store.path, phantom_store.manifest)
    baseline = intensity_thresholds(HealthyTissue(store), "t1", scoring)
    rows = store.rows("validation", healthy=True)
    inside = store.array("t1")[rows].astype(np.float32)[store.array("brain")[rows]]
    assert baseline.polarity == "dark"
    assert 0.03 < (-inside > baseline.threshold.plain).mean() <= 0.05


def test_no_lesion_and_no_test_subject_is_looked_at(with_patient, squares):
    healthy = set(with_patient.rows("validation", healthy=True).tolist())
    for settings in ({}, {"scoring.error": "tail"}):
        calibration_of(squares, with_patient, load_config("tiny", settings), CPU)
        assert with_patient.seen == {"flair": healthy, "brain": healthy}

    # Nor where maps are smoothed: a lesion would shine into its healthy neighbours.
    calibration_of(squares, with_patient, load_config("tiny", {"scoring.smooth_mm": 3}), CPU)
    assert with_patient.seen == {"flair": healthy, "brain": healthy}


def test_a_patient_is_calibrated_with_evidence_that_its_own_pixels_had_no_part_in(with_patient, squares):
    config = load_config("tiny", {"scoring.error": "tail"})
    counts = count_healthy(squares, with_patient, config, CPU)
    error, errors = fit_error(squares, with_patient, config, CPU)
    assert list(errors) == list(counts) == ["Phantom_0006", "Phantom_0007"]
    assert torch.equal(error.counts, sum(counts.values()).double())
    assert torch.equal(errors["Phantom_0006"].counts, counts["Phantom_0007"].double())
    assert torch.equal(errors["Phantom_0007"].counts, counts["Phantom_0006"].double())
    with_own = calibrated(squares, error, with_patient, config)
    without = calibrated(squares, errors, with_patient, config)
    assert without.scan.value > with_own.scan.value
    found = calibration_of(squares, with_patient, config, CPU)
    assert torch.equal(found.error.counts, error.counts)
    assert found.thresholds == without


def test_a_single_patient_has_no_other_to_be_compared_with(phantom_store, squares):
    config = load_config("tiny", {"scoring.error": "tail"})
    error, errors = fit_error(squares, phantom_store, config, CPU)
    assert torch.equal(errors["Phantom_0006"].counts, error.counts)


def test_sessions_of_one_patient_count_once(with_patient, squares, monkeypatch):
    config = load_config("tiny", {"scoring.error": "tail"})
    monkeypatch.setattr("mmccd.training.calibration.patient_of", lambda _: "one")
    assert list(count_healthy(squares, with_patient, config, CPU)) == ["one"]
    found = calibration_of(squares, with_patient, config, CPU).thresholds
    assert found.voxel.subjects == len(found.healthy_scores) == 1


@pytest.mark.parametrize("edge_mm", [0.0, 10.0])
def test_every_healthy_pixel_that_is_scored_is_counted_as_often_as_it_was_restored(with_patient, squares, edge_mm):
    """Not those that the brain merely touches, whose intensities are a mixture with the background."""
    config = load_config("tiny", {"scoring.edge_mm": edge_mm})
    rows = with_patient.rows("validation", healthy=True)
    x = with_patient.array("flair")[rows].astype(np.float32)
    scored = scored_region(np.asarray(with_patient.array("brain")[rows]), edge_mm=edge_mm, pixel_mm=5.0)
    once = sum(count_healthy(squares, with_patient, config, CPU).values())
    assert once.sum() == scored.sum() < (x > -3).sum()
    assert once[20].sum() == once.sum()  # all were restored to 0
    histogram, _ = np.histogram(x[scored].clip(-4, 8), bins=np.arange(-4.1, 8.2, 0.2))
    assert np.abs(once[20].numpy() - histogram).sum() < 0.01 * once.sum()  # but for ties between two bins

    sixes = comb_masks(48, width_px=6, combs=2)
    combs = MaskedCycle(
        Zero(), Zero(), masks=sixes, training_masks=sixes, schedule=linear_schedule(), steps=(999,), masks_at_once=3
    )
    assert torch.equal(sum(count_healthy(combs, with_patient, config, CPU).values()), 2 * once)


# --- long calibrations ---


class KilledError(Exception):
    pass


def test_a_killed_calibration_goes_on_where_it_was(with_patient, squares, tmp_path, monkeypatch):
    config = load_config("tiny", {"scoring.error": "tail", "scoring.smooth_mm": 4})
    expected = calibration_of(squares, with_patient, config, CPU)
    monkeypatch.setattr("mmccd.training.calibration.BATCH", 4)  # slices of a piece
    calls = []

    def killed(words, done, total):
        calls.append((words, done, total))
        if len(calls) == 9:
            raise KilledError

    total = 2 * len(with_patient.rows("validation", healthy=True))
    kept = KeptArrays(tmp_path / "kept", {"what": 1})
    with pytest.raises(KilledError):
        calibration_of(squares, with_patient, config, CPU, kept=kept, progress=killed)
    words, done, all_of_them = calls[0]
    assert words.startswith(f"calibrating: 2 network evaluations for each of {total} slices, about ")
    assert (done, all_of_them) == (0, total)
    made = sorted((tmp_path / "kept").rglob("*.npy"))
    assert len(made) == 8
    stamps = [path.stat().st_mtime_ns for path in made]

    found = calibration_of(squares, with_patient, config, CPU, kept=kept, progress=lambda *call: calls.append(call))
    assert found.thresholds == expected.thresholds
    assert torch.equal(found.error.counts, expected.error.counts)
    assert [path.stat().st_mtime_ns for path in made] == stamps  # nothing was done twice
    assert calls[-1] == ("calibrating", total, total)
    kept.clear()
    assert not (tmp_path / "kept").exists()


def test_a_long_calibration_is_announced_by_a_warning(phantom_store, monkeypatch):
    sixes = comb_masks(48, width_px=6, combs=2)
    method = MaskedCycle(
        Zero(), Zero(), masks=sixes, training_masks=sixes, schedule=linear_schedule(), steps=range(999, -1, -10)
    )
    monkeypatch.setattr("mmccd.training.calibration.LONG_S", 1e-9)
    slices = len(phantom_store.rows("validation", healthy=True))
    with pytest.warns(MmccdWarning, match=f"404 network evaluations for each of {slices} slices, about .*--resume"):
        calibration_of(method, phantom_store, load_config("tiny"), CPU)
