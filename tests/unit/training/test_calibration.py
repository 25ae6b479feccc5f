import numpy as np
import pytest
import torch
from torch import nn

from mmccd.data.store import Store
from mmccd.method.cycle import squared_error
from mmccd.method.cyclic_unet import CyclicUNet
from mmccd.method.diffusion import linear_schedule
from mmccd.method.masked_cycle import MaskedDiffusionCycle
from mmccd.method.masks import comb_masks
from mmccd.model.config import load_config
from mmccd.scoring.maps import scored_region, smoothed
from mmccd.scoring.thresholds import own_level
from mmccd.training.calibration import calibrate, count_healthy, fit_error, healthy_maps, healthy_runs, thresholds_of

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


def for_all(store, error):
    return {patient: error for patient, _, _ in healthy_runs(store)}


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
        calibrate(squares, for_all(store, squared_error), store, load_config("tiny", settings | scoring), CPU)
        for scoring in ({"scoring.false_positive_rate": "typical"}, {"scoring.false_positive_rate": rate})
    )
    assert typical["threshold"]["criterion"].startswith(f"{rate} of the brain")
    assert typical == stated


def test_sessions_of_a_patient_count_as_one_but_keep_levels_of_their_own(with_patient):
    names = {"Phantom_0006": "sub-01_ses-1", "Phantom_0007": "sub-01_ses-2"}

    class Sessions(Store):
        @property
        def index(self):
            return with_patient.index.replace({"subject": names})

    store = Sessions(with_patient.path, with_patient.manifest)
    expected = [
        sum(
            int(with_patient.array("brain")[rows].sum())
            for patient, rows, _ in healthy_runs(with_patient)
            if patient == one
        )
        for one in names
    ]

    def score(_, rows, brain, slice_mm):
        second = store.index["subject"].iloc[rows[0]] == "sub-01_ses-2"
        return np.linspace(0, 1, brain.size, dtype=np.float32).reshape(brain.shape) + 10 * second

    ((first, second),) = healthy_maps(store, score)
    assert [first.size, second.size] == expected
    found = thresholds_of([[first, second]], store, "flair", load_config("tiny").scoring)
    assert found["relative_threshold"]["subjects"] == 1
    assert 0 < found["relative_threshold"]["value"] < 1
    assert found["threshold"]["value"] > 10


def test_healthy_slices_on_both_sides_of_a_lesion_are_two_runs(with_patient):
    runs = [rows for patient, rows, _ in healthy_runs(with_patient) if patient == "Phantom_0007"]
    table = with_patient.index
    assert len(runs) == 2
    assert all(np.all(np.diff(table["slice"][rows]) == 1) for rows in runs)
    between = table.loc[runs[0][-1] + 1 : runs[1][0] - 1]
    assert len(between) > 0
    assert not between["healthy"].any()
    every = np.concatenate([rows for _, rows, _ in healthy_runs(with_patient)])
    assert every.tolist() == with_patient.rows("validation", healthy=True).tolist()


@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_threshold_lets_the_rate_of_healthy_brain_pixels_through(phantom_store, squares, rate):
    config = load_config("tiny", {"scoring.false_positive_rate": rate})
    found = calibrate(squares, for_all(phantom_store, squared_error), phantom_store, config, CPU)

    rows = phantom_store.rows("validation", healthy=True)
    x, brain = phantom_store.array("flair")[rows].astype(np.float32), phantom_store.array("brain")[rows]
    scored = scored_region(brain, edge_mm=7.5, pixel_mm=5.0)
    share = ((x**2 > found["threshold"]["value"]) & scored).sum() / brain.sum()
    assert rate - 0.001 < share <= rate
    assert (found["threshold"]["subjects"], found["threshold"]["slices"]) == (1, len(rows))
    assert found["threshold"]["chosen_on"] == "healthy validation slices"
    baseline = found["intensity_baseline"]
    assert baseline["polarity"] == "bright"
    assert rate - 0.01 < (x > baseline["threshold"]["plain"])[brain].mean() <= rate
    assert (baseline["smooth_mm"], baseline["threshold"]["smoothed"]) == (0, baseline["threshold"]["plain"])


def test_the_error_function_decides_the_threshold(phantom_store, squares):
    plain, doubled = (
        calibrate(squares, for_all(phantom_store, error), phantom_store, load_config("tiny"), CPU)["threshold"]["value"]
        for error in (squared_error, lambda x, x_hat: 2 * squared_error(x, x_hat))
    )
    assert doubled == pytest.approx(2 * plain)


def test_a_smoothed_map_and_the_intensity_smoothed_alike_let_the_same_rate_through(with_patient, squares):
    config = load_config("tiny", {"scoring.smooth_mm": 6, "scoring.edge_mm": 10})
    found = calibrate(squares, for_all(with_patient, squared_error), with_patient, config, CPU)

    runs = {}
    for patient, rows, _ in healthy_runs(with_patient):
        x, brain = with_patient.array("flair")[rows].astype(np.float32), with_patient.array("brain")[rows]
        spacing = {"smooth_mm": 6, "spacing_mm": (4.0, 5.0, 5.0)}
        region = scored_region(brain, edge_mm=10, pixel_mm=5.0)
        maps = smoothed(x**2, region, **spacing)[brain], smoothed(x, brain, **spacing)[brain]
        runs.setdefault(patient, []).append(maps)
    ours, alike = ([np.concatenate(parts) for parts in kinds] for kinds in zip(
        *(zip(*found, strict=True) for found in runs.values()), strict=True
    ))  # fmt: skip

    def marked(scores, threshold):
        return np.mean([(one > threshold).mean() for one in scores])  # subjects count alike

    assert 0.049 < marked(ours, found["threshold"]["value"]) <= 0.05
    assert found["scan_threshold"]["value"] == max(one.max() for one in ours)
    assert 0.049 < marked([one - own_level(one) for one in ours], found["relative_threshold"]["value"]) <= 0.05
    assert found["healthy_scores"] == pytest.approx(sorted(np.quantile(one, 0.99) for one in ours))
    assert found["threshold"]["guarantee"].startswith("on average at most 0.367 of the brain in healthy slices")
    baseline = found["intensity_baseline"]
    assert baseline["smooth_mm"] == 6
    assert 0.049 < marked(alike, baseline["threshold"]["smoothed"]) <= 0.05
    assert baseline["threshold"]["smoothed"] < baseline["threshold"]["plain"]
    above = [one - own_level(one) for one in alike]
    assert 0.049 < marked(above, baseline["relative_threshold"]["smoothed"]) <= 0.05
    assert (found["threshold"]["subjects"], found["threshold"]["slices"]) == (
        2,
        len(with_patient.rows("validation", healthy=True)),
    )


def test_dark_modality_has_its_low_values_as_scores(phantom_store, squares):
    config = load_config("tiny", {"source": "t2", "targets": ["flair"]})
    found = calibrate(squares, for_all(phantom_store, squared_error), phantom_store, config, CPU)
    assert found["intensity_baseline"]["polarity"] == "bright"

    class Renamed(Store):
        def array(self, name):
            return super().array({"t1": "flair"}.get(name, name))

    store = Renamed(phantom_store.path, phantom_store.manifest)
    baseline = calibrate(squares, for_all(store, squared_error), store, load_config("tiny", {"source": "t1"}), CPU)[
        "intensity_baseline"
    ]
    rows = store.rows("validation", healthy=True)
    inside = store.array("t1")[rows].astype(np.float32)[store.array("brain")[rows]]
    assert baseline["polarity"] == "dark"
    assert 0.03 < (-inside > baseline["threshold"]["plain"]).mean() <= 0.05


def test_no_lesion_and_no_test_subject_is_looked_at(with_patient, squares):
    healthy = set(with_patient.rows("validation", healthy=True).tolist())
    calibrate(squares, for_all(with_patient, squared_error), with_patient, load_config("tiny"), CPU)
    count_healthy(squares, with_patient, load_config("tiny"), CPU)
    assert with_patient.seen == {"flair": healthy, "brain": healthy}

    # Nor where maps are smoothed: a lesion would shine into its healthy neighbours.
    smooth = load_config("tiny", {"scoring.smooth_mm": 3})
    calibrate(squares, for_all(with_patient, squared_error), with_patient, smooth, CPU)
    assert with_patient.seen == {"flair": healthy, "brain": healthy}


def test_a_patient_is_calibrated_with_evidence_that_its_own_pixels_had_no_part_in(with_patient, squares):
    config = load_config("tiny", {"scoring.evidence": "tail"})
    counts = count_healthy(squares, with_patient, config, CPU)
    error, errors = fit_error(squares, with_patient, config, CPU)
    assert list(errors) == ["Phantom_0006", "Phantom_0007"]
    assert torch.equal(error.counts, counts.sum(dim=0).double())
    assert torch.equal(errors["Phantom_0006"].counts, counts[1].double())
    assert torch.equal(errors["Phantom_0007"].counts, counts[0].double())
    with_own = calibrate(squares, for_all(with_patient, error), with_patient, config, CPU)
    without = calibrate(squares, errors, with_patient, config, CPU)
    assert without["scan_threshold"]["value"] > with_own["scan_threshold"]["value"]


def test_a_single_patient_has_no_other_to_be_compared_with(phantom_store, squares):
    config = load_config("tiny", {"scoring.evidence": "tail"})
    error, errors = fit_error(squares, phantom_store, config, CPU)
    assert torch.equal(errors["Phantom_0006"].counts, error.counts)


def test_sessions_of_one_patient_count_once(with_patient, squares, monkeypatch):
    config = load_config("tiny", {"scoring.evidence": "tail"})
    monkeypatch.setattr("mmccd.training.calibration.patient_of", lambda _: "one")
    counts = count_healthy(squares, with_patient, config, CPU)
    assert counts.shape[0] == 1
    _, errors = fit_error(squares, with_patient, config, CPU)
    found = calibrate(squares, errors, with_patient, config, CPU)
    assert found["threshold"]["subjects"] == len(found["healthy_scores"]) == 1


def test_every_healthy_pixel_is_counted_as_often_as_it_was_restored(with_patient, squares):
    rows = with_patient.rows("validation", healthy=True)
    x = with_patient.array("flair")[rows].astype(np.float32)
    once = count_healthy(squares, with_patient, load_config("tiny"), CPU).sum(dim=0)
    assert once.sum() == (x > -3).sum()
    assert once[20].sum() == once.sum()  # all were restored to 0
    histogram, _ = np.histogram(x[x > -3].clip(-4, 8), bins=np.arange(-4.1, 8.2, 0.2))
    assert np.abs(once[20].numpy() - histogram).sum() < 0.01 * once.sum()  # but for ties between two bins

    def sixes(size):
        return comb_masks(size, width_px=6, combs=2)

    combs = MaskedDiffusionCycle(
        Zero(), Zero(), masks_for=sixes, training_masks_for=sixes, schedule=linear_schedule(),
        steps=(999,), training_steps=(999,), masks_at_once=3,
    )  # fmt: skip
    assert torch.equal(count_healthy(combs, with_patient, load_config("tiny"), CPU).sum(dim=0), 2 * once)
