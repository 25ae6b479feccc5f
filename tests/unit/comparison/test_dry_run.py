"""The minutes of a benchmark, before anything is trained."""

import shutil
from dataclasses import replace

import pytest

from mmccd.comparison import dry_run as module
from mmccd.comparison.artefacts import ARTEFACTS
from mmccd.comparison.benchmark import paper_sampled
from mmccd.comparison.dry_run import benchmark_cost, cost_table
from mmccd.comparison.plan import training_config
from mmccd.comparison.scores import ARTEFACT_SLICES
from mmccd.errors import ConfigError
from mmccd.model.build import build_method
from mmccd.training.dry_run import Cost, Scoring

COST = Cost(
    device="cpu", precision="float32", threads=1, batch_size=2, steps=2, steps_done=0, validations_left=1, start_s=1.0,
    step_s=2.0, validation_s=3.0, scoring=Scoring(count_s=0.1, errors_s=0.2, smoothing_s=0.4, intensity_s=0.8),
    calibration_slices=10, scan_slices=5, peak_memory_gb=1.0, flops_per_step=1, parameters=1, checkpoint_bytes=1,
    model_bytes=1,
)  # fmt: skip


@pytest.fixture
def measured(monkeypatch):
    """Methods that are measured, each with the same times, and no step is done."""
    asked = []

    def dry_run(store, output, config, **_):
        asked.append((config.method, config.source, output))
        return COST

    monkeypatch.setattr(module, "dry_run", dry_run)
    return asked


def test_each_method_is_measured_once_and_counted_for_each_source(store, plan, measured, tmp_path):
    plan = replace(plan, methods=("dae",), sources=("flair", "t2"))
    (cost,) = benchmark_cost(store, tmp_path / "out", plan)

    assert measured == [("dae", "flair", tmp_path / "out" / "models" / "flair" / "dae")]
    test = store.index[store.index["split"] == "test"]
    slices = len(test) + 2 * ARTEFACT_SLICES * (1 + len(ARTEFACTS))
    healthy = len(store.rows("validation", healthy=True))
    assert cost.training_s == pytest.approx(2 * (1 + 2 * 2 + 3))
    assert cost.calibration_s == pytest.approx(2 * (10 * 1.5 + healthy * 1.0))
    assert cost.scoring_s == pytest.approx(2 * slices * (0.6 + 0.2))
    assert cost_table([cost, cost])[-1] == [
        "all",
        *(f"{2 * s / 60:.1f}" for s in (cost.training_s, cost.calibration_s, cost.scoring_s, cost.whole_s)),
    ]
    assert not (tmp_path / "out").exists()


def test_test_subjects_of_other_stores_are_scored_too(store, plan, measured, tmp_path):
    plan = replace(plan, methods=("dae",), artefacts=False)
    alone, beside = (benchmark_cost(store, tmp_path, plan, others=others)[0] for others in ({}, {"again": store}))
    assert beside.scoring_s == pytest.approx(2 * alone.scoring_s)


def test_the_papers_sampler_costs_its_evaluations_on_a_slice_of_each_patient(store, plan, measured, tmp_path):
    plan = replace(plan, methods=("mmccd",))
    config = training_config(plan, store, "flair", "mmccd")
    fast, paper = (build_method(one, store.size_px).evaluations for one in (config, paper_sampled(config)))
    without, full = (
        benchmark_cost(store, tmp_path, replace(plan, paper_sampler=wanted))[0] for wanted in (False, True)
    )
    assert paper > 100 * fast
    assert full.scoring_s - without.scoring_s == pytest.approx(2 * 0.2 * paper / fast)
    assert full.calibration_s == without.calibration_s


def test_methods_are_measured_by_their_own_steps_and_nothing_is_written(store, plan, tmp_path):
    told = []
    costs = benchmark_cost(
        store, tmp_path / "out", replace(plan, methods=("cyclic-unet",)), progress=lambda *what: told.append(what)
    )
    assert [cost.name for cost in costs] == ["Cyclic U-Net"]
    assert min(costs[0].training_s, costs[0].calibration_s, costs[0].scoring_s) > 0
    assert told[-1][0].startswith("Cyclic U-Net")
    assert list(tmp_path.iterdir()) == []


def test_what_is_done_costs_nothing(store, plan, done, measured, tmp_path):
    output, _, _ = done
    others = {"again": store}
    assert {cost.whole_s for cost in benchmark_cost(store, output, plan, others=others)} == {0.0}

    shutil.copytree(output, tmp_path / "out", ignore=shutil.ignore_patterns("DAE-evidence*"))
    left = {cost.name: cost for cost in benchmark_cost(store, tmp_path / "out", plan, others=others)}
    assert [name for name, cost in left.items() if cost.whole_s] == ["DAE"]
    assert (left["DAE"].training_s, left["DAE"].calibration_s) == (0, 0)
    assert measured == []
    with pytest.raises(ConfigError, match="another seed"):
        benchmark_cost(store, output, replace(plan, seed=9), others=others)
