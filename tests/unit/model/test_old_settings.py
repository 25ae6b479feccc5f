import json
import shutil
import warnings

import pytest
import yaml

from mmccd.errors import ConfigError, MmccdWarning, ModelError
from mmccd.model.config import load_config, parse_config, typical
from mmccd.model.folder import load_model
from mmccd.model.old_settings import RETIRED, of_today

OLD = {
    "method": "mmccd",
    "network": {"from_background": False},
    "diffusion": {"sampler": "ddim", "train_masks": "stripes", "train_on": "all-steps", "stripes_wrap": False},
    "scoring": {"evidence": "square", "polarity": "typical"},
}


def in_file(tmp_path, **sections):
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump(sections))
    return path


def test_old_names_are_read_and_said(tmp_path):
    with pytest.warns(MmccdWarning) as warned:
        config = load_config(["tiny", in_file(tmp_path, **OLD)])
    assert config.scoring.error == "squared"
    said = sorted(str(warning.message) for warning in warned)
    assert said == [
        *(f"setting {name} is no setting any more: leave it out" for name in sorted(RETIRED) if "diff" in name),
        "setting network.from_background is no setting any more: leave it out",
        "setting scoring.evidence is called scoring.error now, and square is squared",
    ]


def test_an_old_name_on_the_command_line_goes_over_what_a_preset_says():
    with pytest.warns(MmccdWarning, match=r"called scoring\.error now"):
        assert load_config("best", {"scoring.evidence": "square"}).scoring.error == "squared"


def test_an_old_preset_is_read_and_said():
    with pytest.warns(MmccdWarning, match="the preset published is called paper now"):
        assert load_config("published") == load_config("paper")


def test_a_trained_model_says_nothing_of_them():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = parse_config(OLD | {"diffusion": {"train_masks": "combs"}}, trained=True)
    assert config.scoring.error == "squared"
    assert config.scoring.polarity == "bright"


@pytest.mark.parametrize(
    ("method", "section", "name", "value"),
    [
        ("mmccd", "diffusion", "sampler", "ddpm"),
        ("mmccd", "diffusion", "stripes_wrap", True),
        ("mmccd", "diffusion", "train_on", "sampling-steps"),
        ("ae", "network", "from_background", True),
        ("mmccd", "network", "from_background", True),
    ],
)
def test_a_value_that_decides_a_map_and_is_no_more_is_refused_of_trained_models_too(method, section, name, value):
    for trained, remedy in ((True, "train the model again"), (False, "leave it out")):
        with pytest.raises(ConfigError, match=f"setting {section}.{name} is {value!r}, and is no setting") as caught:
            of_today({"method": method, section: {name: value}}, trained=trained)
        assert caught.value.hint == remedy


@pytest.mark.parametrize(
    ("method", "section", "name", "value"),
    [("veiled-cycle", "network", "from_background", True), ("ae", "diffusion", "train_masks", "combs")],
)
def test_a_value_that_a_method_never_used_is_dropped(method, section, name, value):
    with pytest.warns(MmccdWarning, match="no setting any more"):
        assert of_today({"method": method, section: {name: value}}) == {"method": method, section: {}}


def test_what_is_given_is_not_changed():
    given = {"scoring": {"evidence": "tail"}}
    with pytest.warns(MmccdWarning):
        assert of_today(given) == {"scoring": {"error": "tail"}}
    assert given == {"scoring": {"evidence": "tail"}}


def test_a_setting_that_a_chosen_method_never_used_is_no_obstacle(tmp_path):
    """The method may be named after the file that holds it."""
    old = in_file(tmp_path, diffusion={"sampler": "ddpm"})
    with pytest.raises(ConfigError, match="is no setting any more"):
        load_config(["tiny", old])
    with pytest.warns(MmccdWarning, match="is no setting any more: leave it out"):
        assert load_config(["tiny", old], {"method": "dae", "targets": []}).method == "dae"


def test_a_card_with_settings_that_are_no_more_says_what_to_do(model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    card = json.loads((folder / "card.json").read_text())
    card["config"] |= {"method": "mmccd", "diffusion": card["config"]["diffusion"] | {"sampler": "ddpm"}}
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=r"settings of another version: .*sampler") as caught:
        load_model(folder)
    assert caught.value.hint == "train the model again"


@pytest.mark.parametrize(
    ("source", "expected"),
    [("flair", ("bright", 0.5, 0.02)), ("t1", ("dark", 0.0, 0.07)), ("t2", ("bright", 0.0, 0.03))],
)
def test_what_is_typical_of_a_model_that_exists_does_not_change_with_the_preset(source, expected):
    """Cards once held the word; what the preset `best` says today is no part of a model of then."""
    names = ("polarity", "unconditional", "false_positive_rate")
    written = {"source": source, "targets": ["pd"], "scoring": {"error": "tail", **dict.fromkeys(names, "typical")}}
    scoring = parse_config(written, trained=True).scoring
    assert tuple(getattr(scoring, name) for name in names) == expected
    assert scoring.total_variation == ()
    assert parse_config({**written, "source": "flair"}).scoring.unconditional == typical("unconditional", "flair")
