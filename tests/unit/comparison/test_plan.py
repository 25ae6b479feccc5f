"""What a benchmark runs, and what is refused before anything is trained."""

import json
from dataclasses import replace

import pytest

from mmccd.comparison.benchmark import benchmark
from mmccd.comparison.plan import Plan, check_plan, claim, other_modality, training_config
from mmccd.errors import ConfigError, DataError
from mmccd.method.registry import METHODS


def test_no_method_named_means_all_of_them(plan):
    assert Plan().chosen == tuple(METHODS)
    assert plan.chosen == plan.methods


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": "huge"}, "size is 'huge', expected one of small, full"),
        ({"size": "full"}, "the store has slices of 64 px, size full compares at 128 px"),
        ({"sources": ("swi",)}, "the store has no modality 'swi', it has flair, t1, t2"),
        ({"methods": ("magic",)}, "unknown methods magic"),
        ({"sources": ()}, "sources are none"),
        ({"methods": ("dae", "dae")}, "methods are dae, dae"),
        ({"overrides": {"scoring.smooth_mm": 5}}, "scoring.smooth_mm is 5.0, allowed are up to 4"),
        ({"overrides": {"scoring.edge_mm": 7.5}}, "scoring.edge_mm is 7.5 .* need 0"),
        ({"overrides": {"scoring": {"edge_mm": 7.5}}}, "scoring.edge_mm is 7.5 .* need 0"),
        ({"overrides": {"scoring": {"edge_mm": 0}}}, "scoring.error is 'squared'"),
        ({"overrides": {"diffusion.train_on": "sampling-steps"}}, "diffusion.train_on is .* is no setting any more"),
    ],
)
def test_a_plan_that_cannot_work_is_refused_before_anything_is_written(store, plan, tmp_path, change, message):
    if "overrides" in change:
        change = {"overrides": {**plan.overrides, **change["overrides"]}}
    with pytest.raises(ConfigError, match=message):
        benchmark(store, tmp_path / "out", replace(plan, **change))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tested", ["sub-1_ses-2", "sub-3"])
def test_a_patient_that_was_trained_or_calibrated_on_is_not_tested(store, plan, with_parts, tmp_path, tested):
    seen = with_parts(store, train=["sub-1_ses-1", "sub-2"], validation=["sub-3"], test=["sub-4"])
    leaking = with_parts(seen, test=[tested, "sub-4"])
    patient = tested.partition("_")[0]
    with pytest.raises(DataError, match=f"the store tests {patient}, a patient that the store trains"):
        benchmark(leaking, tmp_path / "out", plan)
    with pytest.raises(DataError, match=f"more tests {patient}, a patient that the store trains"):
        benchmark(seen, tmp_path / "out", plan, others={"more": leaking})
    check_plan(seen, plan, {"more": seen})
    assert not (tmp_path / "out").exists()


def test_tuples_in_the_settings_are_those_of_the_file(store, plan, tmp_path):
    same = replace(plan, overrides={**plan.overrides, "network.channels": (16, 16)})
    for _ in range(2):
        claim(tmp_path, store, same, {})
    with pytest.raises(ConfigError, match="another overrides"):
        claim(tmp_path, store, replace(plan, overrides={"network.channels": (16, 32)}), {})


@pytest.mark.parametrize("change", [{"seed": 1}, {"overrides": {"training.steps": 3}}, {"artefacts": False}])
def test_numbers_of_two_plans_are_never_mixed_in_one_folder(store, plan, done, change):
    output, _, _ = done
    if "overrides" in change:
        change = {"overrides": {**plan.overrides, **change["overrides"]}}
    with pytest.raises(ConfigError, match=rf"holds a benchmark with another {next(iter(change))}$"):
        benchmark(store, output, replace(plan, **change), others={"again": store})


def test_a_folder_whose_settings_are_torn_is_no_folder_of_this_plan(store, plan, tmp_path):
    claim(tmp_path, store, plan, {})
    (tmp_path / "settings.json").write_text(json.dumps({"size": "small"})[:-3])
    with pytest.raises(ConfigError, match=r"settings\.json in .* is damaged"):
        claim(tmp_path, store, plan, {})


def test_all_methods_train_alike_but_for_their_targets(store, plan):
    configs = {method: training_config(plan, store, "t2", method) for method in METHODS}
    assert len({config.training for config in configs.values()}) == 1
    assert len({config.scoring for config in configs.values()}) == 1
    assert len({config.network for config in configs.values()}) == 1
    assert configs["mmccd"].targets == configs["cyclic-unet"].targets == ("flair",)
    assert configs["veiled-cycle"].targets == ("flair", "t1")
    reconstructions = [name for name, method in METHODS.items() if method.about.targets == "none"]
    assert len(reconstructions) == 6
    assert all(configs[name].targets == () for name in reconstructions)


def test_a_source_is_translated_to_its_usual_modality_or_to_another_that_is_there(store, phantom_store):
    assert {source: other_modality(source, store) for source in ("flair", "t1", "t2")} == {
        "flair": "t2", "t1": "t2", "t2": "flair"
    }  # fmt: skip
    assert other_modality("t1", phantom_store) == "t2"
    without_t2 = phantom_store.manifest.model_copy(update={"modalities": ("flair", "t1")})
    assert other_modality("flair", type(phantom_store)(phantom_store.path, without_t2)) == "t1"
