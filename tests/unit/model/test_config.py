import pytest
import torch
import yaml

from mmccd.errors import ConfigError
from mmccd.method.registry import METHODS
from mmccd.model.build import build_method
from mmccd.model.config import (
    Config,
    described,
    load_config,
    override_config,
    parse_config,
    parse_override,
    presets,
    typical,
)


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_complete_and_builds(name):
    config = load_config(name)
    with torch.device("meta"):
        method = build_method(config, 128)
    assert sum(weight.numel() for weight in method.parameters()) > 100_000
    assert config.training.validate_every <= config.training.steps


@pytest.mark.parametrize("name", presets())
def test_yaml_there_and_back_is_the_identity(name, tmp_path):
    config = load_config(name, {"seed": 3, "training.learning_rate": 3e-5})
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_config(tmp_path / "c.yaml") == config
    assert load_config(str(tmp_path / "c.yaml")).seed == 3


def test_the_published_preset_says_what_the_paper_says():
    config = load_config("paper")
    assert config.method == "mmccd"
    assert config.network == Config().network
    assert (config.training.steps, config.training.batch_size, config.training.learning_rate) == (100_000, 32, 1e-4)
    assert (config.scoring.edge_mm, config.scoring.false_positive_rate) == (7.5, 0.05)


def test_overrides_reach_any_depth_and_are_typed():
    config = load_config(
        "tiny", dict(map(parse_override, ["training.steps=7", "source=t1", "network.attention=[0,0,1]"]))
    )
    assert (config.training.steps, config.source) == (7, "t1")
    assert config.network.attention == (False, False, True)
    assert config.training.batch_size == load_config("tiny").training.batch_size
    assert parse_override("training.learning_rate = 1e-4")[0] == "training.learning_rate"
    assert load_config("tiny", dict([parse_override("training.learning_rate=1e-4")])).training.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"training.stepz": 5}, r"setting training\.stepz: unknown setting$"),
        ({"training.steps": 0}, r"setting training\.steps: .*greater than or equal to 1, got 0"),
        ({"training.steps": "many"}, r"setting training\.steps: .*valid integer.*got 'many'"),
        ({"training.ema_decay": 1}, r"setting training\.ema_decay: .*less than 1"),
        ({"training.learning_rate": float("nan")}, r"setting training\.learning_rate"),
        ({"network.patch_px": 3}, r"setting network\.patch_px: .*got 3"),
        ({"network.channels": [32, 64]}, "setting network: .*2 channels but 3 attention levels"),
        ({"network.channels": [32, 40, 64]}, r"channels \[40\] are not multiples of norm_groups 16"),
        ({"method": "gan"}, "setting method: unknown, expected one of cyclic-unet, .*got 'gan'"),
        ({"targets": ["flair"]}, "^setting of the model: source flair and targets flair name a modality twice"),
        ({"training": 5}, "setting training: "),
        ({"sead": 1}, "setting sead: unknown setting"),
        ({"scoring.false_positive_rate": 0}, r"scoring\.false_positive_rate: .*greater than 0"),
        ({"target": "t1"}, "setting target: unknown setting"),
        ({"targets": ["t1", "t2", "t1"]}, "targets t1, t2, t1 name a modality twice"),
        ({"targets": []}, "setting of the model: .*method mmccd needs a modality to translate to"),
        ({"method": "mmccd", "targets": []}, "method mmccd needs a modality to translate to"),
        ({"method": "ae", "targets": ["t1"]}, "method ae reconstructs the source and has no target: leave it out"),
        ({"method": "ae", "source": "t2", "targets": ["t2"]}, "method ae reconstructs the source and has no target"),
        ({"method": "ddpm", "diffusion.start_step": 0}, r"diffusion\.start_step: .*greater than or equal to 1"),
        ({"targets": "t1"}, "setting targets: .*got 't1'"),
        ({"diffusion.mask_width_px": 16}, r"setting diffusion\.mask_width_px: unknown setting"),
        ({"diffusion.mask_width_mm": 0}, r"setting diffusion\.mask_width_mm: .*greater than 0"),
        ({"diffusion.mask_width_mm": 240}, r"setting diffusion\.mask_width_mm: .*less than 240"),
        ({"diffusion.stripe_stride_mm": 0}, r"setting diffusion\.stripe_stride_mm: .*greater than 0"),
        ({"diffusion.stripe_stride_mm": 240}, r"setting diffusion\.stripe_stride_mm: .*less than 240"),
        ({"diffusion.combs": 1}, r"setting diffusion\.combs: .*greater than or equal to 2"),
        ({"training.patience": -1}, r"setting training\.patience: .*greater than or equal to 0"),
        ({"scoring.error": "cube"}, r"setting scoring\.error: .*'squared' or 'tail', got 'cube'"),
        (
            {"scoring.polarity": "grey"},
            r"setting scoring\.polarity: .*'either', 'bright' or 'dark', or typical, or a table by modality",
        ),
        ({"scoring.unconditional": -0.1}, r"setting scoring\.unconditional: .*greater than or equal to 0"),
        ({"scoring.unconditional": 1.1}, r"setting scoring\.unconditional: .*less than or equal to 1"),
        ({"scoring.unconditional": "usual"}, r"setting scoring\.unconditional: .*number.* or typical, .*got 'usual'"),
        ({"scoring.smooth_mm": "typical"}, r"setting scoring\.smooth_mm: .*valid number"),
        ({"scoring.polarity": {"flair": "bright"}}, r"setting scoring\.polarity: .*a table by modality with 'other'"),
        ({"scoring.polarity": {"flair": "light", "other": "dark"}}, r"setting scoring\.polarity: .*got 'light'"),
        ({"diffusion.sampler": "ddpm"}, r"diffusion\.sampler is 'ddpm', and is no setting any more: it is 'ddim'"),
        ({"diffusion.train_masks": "combs"}, r"diffusion\.train_masks is 'combs', and is no setting any more"),
        ({"method": "dae", "network.from_background": True}, r"network\.from_background is True, and is no setting"),
        ({"scoring.smooth_mm": -1}, r"setting scoring\.smooth_mm: .*greater than or equal to 0"),
        ({"scoring.smooth_mm": 20.5}, r"setting scoring\.smooth_mm: .*less than or equal to 20"),
        ({"scoring.smooth_mm": float("nan")}, r"setting scoring\.smooth_mm"),
        ({"scoring.total_variation": [4, 0]}, r"setting scoring\.total_variation\.1: .*greater than 0, got 0"),
        ({"scoring.total_variation": [101]}, r"setting scoring\.total_variation\.0: .*less than or equal to 100"),
        ({"scoring.total_variation": 4}, r"setting scoring\.total_variation: .*got 4"),
    ],
)
def test_wrong_settings_are_named(overrides, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config("tiny", overrides)
    assert caught.value.hint


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.about.targets == "none"])
def test_a_method_that_reconstructs_has_no_target_unless_one_is_named(name, tmp_path):
    config = load_config("tiny", {"method": name, "source": "t2"})
    assert (config.source, config.targets) == ("t2", ())
    assert config == load_config("tiny", {"method": name, "source": "t2", "targets": []})
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_config(tmp_path / "c.yaml") == config
    assert override_config(config, ["fast"], {}, sections=("scoring",)) == config
    with pytest.raises(ConfigError, match=f"method {name} reconstructs"):
        load_config("tiny", {"method": name, "targets": ["t1"]})


def test_methods_that_translate_keep_their_default_target():
    others = [name for name, method in METHODS.items() if method.about.targets != "none"]
    assert others == ["cyclic-unet", "mmccd", "veiled-cycle"]
    assert [load_config("tiny", {"method": name}).targets for name in others] == [("t2",)] * 3


@pytest.mark.parametrize(
    "overrides",
    [
        {"training.steps.x": 1},
        {"network.channels": [], "network.attention": []},
        {"network.channels": [0, 32, 32]},
        {"network.head_channels": 40},
        {"training.learning_rate": float("inf")},
        {"seed": 2**70},
    ],
)
def test_settings_that_cannot_work_are_refused(overrides):
    with pytest.raises(ConfigError):
        load_config("tiny", overrides)


@pytest.mark.parametrize("text", ["training.steps", "=5", ""])
def test_override_without_key_or_value(text):
    with pytest.raises(ConfigError, match="not of the form key=value"):
        parse_override(text)


def test_override_that_is_not_yaml():
    with pytest.raises(ConfigError):
        parse_override("training.steps=[")


def test_files_that_are_no_settings(tmp_path):
    path = tmp_path / "c.yaml"
    for text, message in (("a: [", "not valid YAML"), ("- 1", "holds a list, expected keys and values")):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_config(path)
    with pytest.raises(ConfigError, match="no preset or file named 'huge'") as caught:
        load_config("huge")
    assert all(name in caught.value.hint for name in presets())


def test_an_empty_file_means_the_defaults(tmp_path):
    (tmp_path / "c.yaml").write_text("")
    assert load_config(tmp_path / "c.yaml") == Config() == parse_config({})


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="frozen"):
        Config().seed = 3


def test_file_that_is_not_text(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"source: fl\xe9ir\n")
    with pytest.raises(ConfigError):
        load_config(tmp_path / "c.yaml")


# --- several, one over the other ---


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.yaml"
        path.write_text(text)
        return path

    return write


def test_one_preset_goes_over_another():
    small, best, both = load_config("small"), load_config("best"), load_config(["small", "best"])
    assert (both.network, both.training) == (small.network, small.training)
    assert (both.method, both.diffusion, both.scoring) == ("veiled-cycle", small.diffusion, best.scoring)
    assert both.scoring.error == "tail"
    assert both.network != best.network
    fast = load_config("fast")
    diffusion = load_config(["paper", "fast", "best"], {"method": "mmccd"})
    assert (diffusion.diffusion, diffusion.scoring) == (fast.diffusion, best.scoring)


def test_the_last_one_wins_and_what_it_leaves_out_stays(file):
    first = file("seed: 1\ntraining:\n  steps: 5\n  batch_size: 7\nnetwork:\n  channels: [32, 32, 96]\n")
    second = file("seed: 2\ntraining:\n  steps: 6\nnetwork:\n  channels: [64, 64, 32]\n")
    config = load_config(["tiny", first, str(second)])
    assert (config.seed, config.training.steps, config.training.batch_size) == (2, 6, 7)
    assert config.network.channels == (64, 64, 32)  # a list is one value
    assert config.training.learning_rate == load_config("tiny").training.learning_rate
    turned = load_config(["tiny", second, first], {"training.steps": 9})
    assert (turned.seed, turned.training.steps, turned.training.batch_size) == (1, 9, 7)


def test_names_alone_and_in_a_list_and_none_at_all(file):
    path = file("seed: 4\n")
    assert load_config(path) == load_config(str(path)) == load_config([path]) == load_config([str(path)])
    assert load_config([]) == Config()
    assert load_config([], {"seed": 4}) == load_config(path)


def test_a_value_where_another_file_has_a_section_is_refused(file):
    with pytest.raises(ConfigError, match="training has no settings below it"):
        load_config([file("training: 5\n"), "tiny"])
    with pytest.raises(ConfigError, match="setting training: "):
        load_config(["tiny", file("training: 5\n")])
    with pytest.raises(ConfigError, match="unknown setting"):
        load_config(["tiny", file("training:\n  stepz: 5\n")])


# --- after training ---

SECTIONS = ("diffusion", "scoring")


def test_only_some_sections_are_taken_from_a_preset(file):
    trained = load_config("tiny", {"seed": 5, "scoring.edge_mm": 3, "diffusion.combs": 4})
    other = file("seed: 9\nmethod: mmccd\ntraining:\n  steps: 1\nscoring:\n  smooth_mm: 2\n")
    config = override_config(trained, ["fast", other], {"scoring.false_positive_rate": 0.1}, sections=SECTIONS)
    assert (config.scoring.edge_mm, config.scoring.smooth_mm, config.scoring.false_positive_rate) == (3, 2, 0.1)
    assert config.diffusion.combs == 2
    assert config.model_copy(update={name: getattr(trained, name) for name in SECTIONS}) == trained
    assert override_config(trained, [], {}, sections=SECTIONS) == trained


@pytest.mark.parametrize("key", ["seed", "method", "training.steps", "network.patch_px", "sampling.combs"])
def test_an_override_of_another_section_is_refused(key):
    with pytest.raises(ConfigError, match=f"setting {key} cannot change after training, only .* diffusion and scoring"):
        override_config(load_config("tiny"), [], {key: 1}, sections=SECTIONS)


def test_overrides_of_the_right_section_are_checked():
    for overrides, message in (
        ({"diffusion.sampler": "ddpm"}, r"diffusion\.sampler is 'ddpm', and is no setting any more: it is 'ddim'"),
        ({"scoring.smooth_mm": -1}, r"scoring\.smooth_mm"),
        ({"scoring.smooth": 1}, r"scoring\.smooth: unknown setting"),
        ({"scoring": 1}, "setting scoring"),
    ):
        with pytest.raises(ConfigError, match=message):
            override_config(load_config("tiny"), [], overrides, sections=SECTIONS)
    with pytest.raises(ConfigError, match="no preset or file named 'huge'"):
        override_config(load_config("tiny"), ["huge"], {}, sections=SECTIONS)


# --- values that suit a modality ---


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("flair", ("bright", 0.75, (2, 8), 0.02)),
        ("t1", ("dark", 0.0, (4, 16), 0.07)),
        ("t2", ("bright", 0.0, (4, 16), 0.03)),
        ("swi", ("bright", 0.0, (4, 16), 0.03)),
    ],
)
def test_the_best_preset_is_resolved_for_its_source_when_it_is_read(source, expected):
    names = ("polarity", "unconditional", "total_variation", "false_positive_rate")
    asked = {"source": source, "targets": ["pd"]}
    scoring = load_config(["tiny", "best"], asked).scoring
    assert tuple(getattr(scoring, name) for name in names) == expected
    named = load_config("tiny", asked | {f"scoring.{name}": "typical" for name in names}).scoring
    assert tuple(getattr(named, name) for name in names) == expected
    assert typical("polarity", source) == expected[0]


def test_a_table_by_modality_may_come_from_anywhere(tmp_path):
    (tmp_path / "c.yaml").write_text("scoring:\n  polarity: either\n  false_positive_rate: {t1: 0.2, other: 0.1}\n")
    for source, rate in (("t1", 0.2), ("flair", 0.1)):
        config = load_config(["tiny", "best", tmp_path / "c.yaml"], {"source": source})
        assert (config.scoring.polarity, config.scoring.false_positive_rate) == ("either", rate)
        config = load_config(["tiny", tmp_path / "c.yaml", "best"], {"source": source})  # the later one has the word
        assert config.scoring.false_positive_rate == typical("false_positive_rate", source)
    asked = dict([parse_override("scoring.unconditional={flair: 0.25, other: 1}")])
    assert load_config("tiny", asked).scoring.unconditional == 0.25
    first = load_config("best").scoring
    load_config("best", {"scoring.false_positive_rate.flair": 0.5})
    assert load_config("best").scoring == first  # what one call changes, the next one does not see


def test_settings_in_one_line_say_what_is_trained():
    assert described(load_config("small")) == "MMCCD (mmccd), flair → t2 → flair, scored by squared error, 1,000 steps"
    asked = load_config(["tiny", "best"], {"source": "t1", "targets": ["t2", "flair"]})
    assert described(asked) == "Veiled cycle (veiled-cycle), t1 → t2, flair → t1, scored by tail evidence, 500 steps"
    assert described(load_config("tiny", {"method": "dae"})).startswith("DAE (dae), flair, scored by")
