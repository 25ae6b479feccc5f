import pytest
import torch
import yaml

from mmccd.config import Config, load_config, parse_config, parse_override, presets
from mmccd.errors import ConfigError
from mmccd.methods import build_method


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_complete_and_builds(name):
    config = load_config(name)
    with torch.device("meta"):
        method = build_method(config)
    assert sum(weight.numel() for weight in method.parameters()) > 100_000
    assert config.training.validate_every <= config.training.steps


@pytest.mark.parametrize("name", presets())
def test_yaml_there_and_back_is_the_identity(name, tmp_path):
    config = load_config(name, {"seed": 3, "training.learning_rate": 3e-5})
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_config(tmp_path / "c.yaml") == config
    assert load_config(str(tmp_path / "c.yaml")).seed == 3


def test_the_published_preset_says_what_the_paper_says():
    config = load_config("published")
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
        ({"method": "gan"}, "setting method: .*'cyclic-unet'"),
        ({"targets": ["flair"]}, "name a modality twice"),
        ({"training": 5}, "setting training: "),
        ({"sead": 1}, "setting sead: unknown setting"),
        ({"scoring.false_positive_rate": 0}, r"scoring\.false_positive_rate: .*greater than 0"),
    ],
)
def test_wrong_settings_are_named(overrides, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config("tiny", overrides)
    assert caught.value.hint


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
