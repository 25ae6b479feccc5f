import json

import yaml
from hypothesis import given
from hypothesis import strategies as st

from mmccd.method.registry import METHODS
from mmccd.model.config import (
    Config,
    DiffusionConfig,
    NetworkConfig,
    ScoringConfig,
    TrainingConfig,
    load_config,
    parse_config,
    parse_override,
)

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=12)


@st.composite
def configs(draw):
    levels = draw(st.integers(1, 5))
    network = NetworkConfig(
        channels=tuple(draw(st.lists(st.sampled_from((32, 64, 96)), min_size=levels, max_size=levels))),
        attention=tuple(draw(st.lists(st.booleans(), min_size=levels, max_size=levels))),
        patch_px=draw(st.sampled_from((1, 2, 4))),
    )
    training = TrainingConfig(
        steps=draw(st.integers(1, 10**7)),
        learning_rate=draw(st.floats(1e-12, 1)),
        ema_decay=draw(st.floats(0, 0.9999999)),
        schedule=draw(st.sampled_from(("constant", "cosine"))),
        flip_left_right=draw(st.booleans()),
        patience=draw(st.integers(0, 100)),
    )
    diffusion = DiffusionConfig(
        masks=draw(st.sampled_from(("stripes", "combs"))),
        mask_width_mm=draw(st.floats(1e-3, 239)),
        stripe_stride_mm=draw(st.floats(1e-3, 239)),
        combs=draw(st.integers(2, 99)),
        spacing=draw(st.sampled_from(("leading", "trailing"))),
    )
    scoring = ScoringConfig(
        error=draw(st.sampled_from(("squared", "tail"))),
        polarity=draw(st.sampled_from(("either", "bright", "dark"))),
        unconditional=draw(st.floats(0, 1)),
        smooth_mm=draw(st.floats(0, 20)),
        total_variation=tuple(draw(st.lists(st.floats(0.01, 100), max_size=3))),
        edge_mm=draw(st.floats(0, 20)),
        false_positive_rate=draw(st.floats(1e-6, 0.999)),
    )
    source, *targets = draw(st.lists(NAMES, min_size=2, max_size=4, unique=True))
    method = draw(st.sampled_from(sorted(METHODS)))
    targets = () if METHODS[method].about.targets == "none" else tuple(targets)
    return Config(
        method=method, source=source, targets=targets, seed=draw(st.integers(0, 2**31)),
        network=network, diffusion=diffusion, training=training, scoring=scoring,
    )  # fmt: skip


@given(configs())
def test_yaml_there_and_back_is_the_identity(config):
    assert parse_config(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json")))) == config


@given(configs())
def test_overrides_on_the_command_line_reach_the_same_settings(config):
    flat = {
        f"{part}.{key}": value
        for part in ("network", "diffusion", "training", "scoring")
        for key, value in config.model_dump(mode="json")[part].items()
    }
    texts = [f"{key}={json.dumps(value)}" for key, value in flat.items()]
    names = {"method": config.method, "source": config.source, "targets": list(config.targets), "seed": config.seed}
    assert load_config("tiny", names | dict(map(parse_override, texts))) == config


@given(configs(), configs())
def test_a_whole_config_over_another_leaves_nothing_of_it(tmp_path_factory, below, above):
    folder = tmp_path_factory.mktemp("configs")
    for name, config in (("below", below), ("above", above)):
        (folder / name).write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_config([folder / "below", folder / "above"]) == above
