"""Settings of a model: typed, documented, checked, and read from YAML with overrides."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mmccd.errors import ConfigError
from mmccd.method.registry import METHODS
from mmccd.model.old_settings import of_today, preset_named, renamed
from mmccd.scoring.evidence import Polarity
from mmccd.system.yaml_text import LONGEST, read_yaml

TYPICAL = "typical"
"""In place of some values of `ScoringConfig`: what suits the source modality, as the preset `best` says it."""
OTHER = "other"
"""In a value by modality: of all that are not named."""
BY_SOURCE = ("polarity", "unconditional", "total_variation", "false_positive_rate")
"""Settings of `ScoringConfig` that may be told by modality."""
_SHOWN = 200
"""Characters of a wrong value in a message."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkConfig(_Settings):
    """Size of the U-Net that both halves of the cycle share."""

    channels: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (32, 32, 64, 96, 128)
    """Feature channels per resolution level, finest first; each a multiple of `norm_groups`."""
    attention: tuple[bool, ...] = (False, False, True, True, True)
    """Whether a level has self-attention; one per level."""
    residual_blocks: Annotated[int, Field(ge=1, le=8)] = 2
    """Residual blocks per level."""
    norm_groups: Annotated[int, Field(ge=1)] = 16
    """Groups of the group normalisation."""
    head_channels: Annotated[int, Field(ge=4)] = 32
    """Channels per attention head."""
    patch_px: Literal[1, 2, 4] = 1
    """Side of the pixel block folded into channels: 2 leaves the network a quarter of the pixels."""

    @model_validator(mode="after")
    def _levels_agree(self) -> "NetworkConfig":
        if len(self.channels) != len(self.attention):
            raise ValueError(f"{len(self.channels)} channels but {len(self.attention)} attention levels: give one each")
        odd = [n for n in self.channels if n % self.norm_groups]
        if odd:
            raise ValueError(f"channels {odd} are not multiples of norm_groups {self.norm_groups}")
        attends = [*self.attention[:-1], True]  # between its halves the U-Net attends in any case
        odd = [n for n, attend in zip(self.channels, attends, strict=True) if attend and n % self.head_channels]
        if odd:
            raise ValueError(f"channels {odd} with attention are not multiples of head_channels {self.head_channels}")
        return self


class DiffusionConfig(_Settings):
    """What `mmccd` hides, and how it and the diffusion baselines sample; the defaults are the paper's."""

    masks: Literal["stripes", "combs"] = "stripes"
    """`stripes` slide over the slice one at a time; `combs` hide several at once, so that few masks cover it."""
    mask_width_mm: Annotated[float, Field(gt=0, lt=240)] = 30.0
    """Width of a stripe, or of a comb's teeth; rounded to whole pixels, 16 at the paper's size."""
    stripe_stride_mm: Annotated[float, Field(gt=0, lt=240)] = 3.75
    """Distance between the starts of neighbouring stripes, at least a pixel; 2 pixels at the paper's size."""
    combs: Annotated[int, Field(ge=2)] = 3
    """Combs per direction."""
    schedule_steps: Annotated[int, Field(ge=1)] = 1000
    """Steps T of the noise schedule."""
    sampling_steps: Annotated[int, Field(ge=1)] = 100
    """Steps that the sampler visits."""
    start_step: Annotated[int, Field(ge=1)] = 900
    """For `ddpm`, `anoddpm`, `pddpm`: noise goes up to this step (with `trailing`; `leading` stays below) and back."""
    spacing: Literal["leading", "trailing"] = "leading"
    """`leading` visits 0, s, 2s, ... as the paper does; `trailing` begins where the input is pure noise."""
    masks_at_once: Annotated[int, Field(ge=1)] = 1
    """Masks per batch of the networks: memory for speed."""


class TrainingConfig(_Settings):
    """How the networks are trained."""

    steps: Annotated[int, Field(ge=1)] = 100_000
    """Optimiser steps."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Slices per step over all devices."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-4
    """Peak rate of AdamW."""
    schedule: Literal["constant", "cosine"] = "constant"
    """`constant`, or `cosine`: 5 % linear warm-up, then down to zero."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """AdamW's decoupled weight decay."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.9999
    """Decay of the running average of the weights; the average is what is validated, saved and used."""
    gradient_clip: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Largest gradient norm per network."""
    healthy: Literal["slices", "regions"] = "slices"
    """What is learnt, and counted as ordinary: `slices` without a lesion, as in the paper, or all `regions` away from
    one."""
    lesion_margin_mm: Annotated[float, Field(ge=0, le=100)] = 13.0
    """For `regions`: how far from any lesion, in all three directions."""
    flip_left_right: bool = True
    """Mirror half of the slices, as augmentation."""
    validate_every: Annotated[int, Field(ge=1)] = 1000
    """Steps between validations, on a handful of slices; each also writes pictures and a checkpoint."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Validations in a row without a new lowest healthy cycle error that end the training; 0 never ends it early."""
    loader_workers: Annotated[int, Field(ge=0)] = 0
    """Processes that read slices ahead; 0 reads in the training process, which a memory map seldom slows."""
    precision: Literal["auto", "bf16", "float32"] = "auto"
    """`auto` is bf16 where the hardware computes it."""


class ScoringConfig(_Settings):
    """How a restoration becomes an anomaly map, a mask and a score.

    Polarity, unconditional share, total variation and false positive rate may be written as `typical`, or by modality,
    as in ``{flair: 0.02, other: 0.03}``: what suits the source is found out when the settings are read.
    """

    error: Literal["squared", "tail"] = "squared"
    """`squared` is the paper's (x - x_hat)^2; `tail` asks how rare x is among healthy pixels with the same x_hat."""
    polarity: Polarity = "either"
    """For `tail`: the side that counts. Most lesions are bright in FLAIR and T2, and dark in T1."""
    unconditional: Annotated[float, Field(ge=0, le=1)] = 0.0
    """For `tail`: weight of how rare x is in a healthy brain, whatever was restored. It helps in FLAIR, where hardly
    anything healthy is as bright as a lesion, and not elsewhere, where fluid is."""
    smooth_mm: Annotated[float, Field(ge=0, le=20)] = 0.0
    """Standard deviation of a Gaussian over the map, in all three directions within the brain; and over the intensity
    that results are compared with."""
    total_variation: tuple[Annotated[float, Field(gt=0, le=100)], ...] = ()
    """Weights, in units of the map times millimetres, of total-variation denoising of the map in place of the Gaussian:
    it evens out a lesion and keeps its edge. Of several weights the mean."""
    edge_mm: Annotated[float, Field(ge=0, le=20)] = 7.5
    """Rim of the brain that is not scored, where translation is worst; 7.5 is the paper's 4 pixels."""
    false_positive_rate: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Share of the healthy brain of validation patients that lies above the threshold, on average. The less lesions
    stand out in a modality, the more it has to be. Also of `--threshold relative`."""
    false_alarm_rate: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of patients in whose healthy slices the threshold of `--threshold scan` marks anything at all."""


class Config(_Settings):
    """Everything that decides a model, besides the data."""

    method: str = "mmccd"
    """A name of `mmccd.method.registry.METHODS`; `mmccd info` lists them."""
    source: str = "flair"
    """Modality that is scored: the only one needed at test time."""
    targets: tuple[str, ...] = ("t2",)
    """Modalities that it is translated to, at once, and back from; none for the methods that reconstruct."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Decides initial weights, order, augmentation: the same seed gives the same weights."""
    network: NetworkConfig = NetworkConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    training: TrainingConfig = TrainingConfig()
    scoring: ScoringConfig = ScoringConfig()

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        """No target where the method has none, and what suits the source."""
        if not isinstance(values, dict):
            return values
        method, scoring = values.get("method"), values.get("scoring")
        if isinstance(method, str) and method in METHODS and METHODS[method].about.targets == "none":
            values = {"targets": (), **values}
        if isinstance(scoring, dict):
            source = str(values.get("source", cls.model_fields["source"].default))
            values = values | {"scoring": {name: _of_source(name, value, source) for name, value in scoring.items()}}
        return values

    @field_validator("method")
    @classmethod
    def _method_is_known(cls, name: str) -> str:
        if name not in METHODS:
            raise ValueError(f"unknown, expected one of {', '.join(METHODS)}")
        return name

    @model_validator(mode="after")
    def _targets_fit_the_method(self) -> "Config":
        needed = METHODS[self.method].about.targets
        if needed == "none" and self.targets:
            raise ValueError(f"method {self.method} reconstructs the source and has no target: leave it out")
        if needed != "none" and not self.targets:
            raise ValueError(f"method {self.method} needs a modality to translate to")
        return self

    @model_validator(mode="after")
    def _modalities_differ(self) -> "Config":
        names = (self.source, *self.targets)
        if len(set(names)) != len(names):
            raise ValueError(f"source {self.source} and targets {', '.join(self.targets)} name a modality twice")
        return self


def described(config: Config) -> str:
    """Method, modalities and score in one line: what is going to be trained."""
    label = METHODS[config.method].about.label
    through = f" → {', '.join(config.targets)} → {config.source}" if config.targets else ""
    scored = "tail evidence" if config.scoring.error == "tail" else "squared error"
    return f"{label} ({config.method}), {config.source}{through}, scored by {scored}, {config.training.steps:,} steps"


def typical(name: str, source: str) -> Any:
    """What suits a source modality: a value of the preset `best` by its name in `ScoringConfig`."""
    return _of_source(name, TYPICAL, source)


def _of_source(name: str, value: Any, source: str) -> Any:
    """A value of `ScoringConfig`, of those that are told by modality the one for this source."""
    if name not in BY_SOURCE:
        return value
    if value == TYPICAL:
        value = _preset("best")["scoring"][name]
    return value.get(source, value[OTHER]) if isinstance(value, dict) and OTHER in value else value


def presets() -> tuple[str, ...]:
    """Names of the settings that ship with the package."""
    files = resources.files("mmccd.model.presets").iterdir()
    return tuple(sorted(Path(file.name).stem for file in files if file.name.endswith(".yaml")))


def load_config(names: str | Path | Sequence[str | Path], overrides: Mapping[str, Any] | None = None) -> Config:
    """Read presets by name or YAML files, then apply overrides such as ``{"training.steps": 500}``.

    Args:
        names: One, or several of which a later one goes over those before it: ``["small", "best"]``.
        overrides: Go over all of them.

    Raises:
        ConfigError: a file is missing or not YAML, or a key or value is not allowed.
    """
    values: dict[str, Any] = {}
    for name in [names] if isinstance(names, str | Path) else names:
        for key, value in _flat(renamed(_read(name))):
            _set(values, key, value)
    for dotted, value in (overrides or {}).items():
        _set(values, dotted.split("."), value)
    return parse_config(values)


def override_config(
    config: Config, names: Sequence[str | Path], overrides: Mapping[str, Any], *, sections: Sequence[str]
) -> Config:
    """Change some sections of a config, by those sections of presets or YAML files, then by overrides.

    Raises:
        ConfigError: as `load_config`, or an override lies in another section.
    """
    values = config.model_dump(mode="json")
    for name in names:
        for key, value in _flat(renamed(_read(name))):
            if key[0] in sections:
                _set(values, key, value)
    for dotted, value in overrides.items():
        if dotted.partition(".")[0] not in sections:
            raise ConfigError(
                f"setting {dotted} cannot change after training, only those of {' and '.join(sections)} can",
                "train a model with it",
            )
        _set(values, dotted.split("."), value)
    return parse_config(values)


def _read(name: str | Path) -> dict[str, Any]:
    name = preset_named(str(name))
    path = Path(name)
    if name in presets():
        return _preset(name)
    if path.is_file():
        try:
            with path.open(encoding="utf-8") as stream:
                text = stream.read(LONGEST + 1)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{name} cannot be read: {error}", "give a YAML file in UTF-8") from error
    else:
        raise ConfigError(f"no preset or file named {name!r}", f"presets are {', '.join(presets())}")
    try:
        values = read_yaml(text) or {}
    except ValueError as error:
        raise ConfigError(f"{name} is not valid YAML: {error}", "compare it with a preset") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{name} holds a {type(values).__name__}, expected keys and values", "compare with a preset")
    return values


def _preset(name: str) -> dict[str, Any]:
    values: dict[str, Any] = read_yaml(_text_of_preset(name))
    return values


@cache
def _text_of_preset(name: str) -> str:
    return (resources.files("mmccd.model.presets") / f"{name}.yaml").read_text(encoding="utf-8")


def _flat(values: dict[str, Any]) -> Iterator[tuple[list[str], Any]]:
    """Every value with its section, if it has one; a value may be a table by modality."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from (([str(key), str(name)], one) for name, one in value.items())
        else:
            yield [str(key)], value


def parse_config(values: Mapping[str, Any], *, trained: bool = False) -> Config:
    """Check plain values, in today's spelling or an earlier one.

    Args:
        values: Sections and what they hold.
        trained: Of a model that is trained: see `of_today`.

    Raises:
        ConfigError: names the first key that is wrong, its value and what is allowed.
    """
    values = of_today(values, trained=trained)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        got = "" if first["type"] in ("missing", "extra_forbidden") else f", got {first['input']!r:.{_SHOWN}}"
        reason = "unknown setting" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        if key.rpartition(".")[2] in BY_SOURCE:
            reason += f", or {TYPICAL}, or a table by modality with {OTHER!r}"
        raise ConfigError(
            f"setting {key or 'of the model'}: {reason}{got if key else ''}",
            "see `mmccd train --help` and docs/reference/config.md",
        ) from error


def parse_override(text: str) -> tuple[str, Any]:
    """Split ``training.steps=500`` into key and value; the value is read as YAML."""
    key, separator, value = text.partition("=")
    try:
        parsed = read_yaml(value)
    except ValueError as error:
        separator, why = "", f": {error}"
    else:
        why = ""
    if not separator or not key:
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        raise ConfigError(f"--set {shown!r} is not of the form key=value{why}", "for example --set training.steps=500")
    return key.strip(), parsed


def _set(values: dict[str, Any], keys: list[str], value: Any) -> None:
    *parents, last = keys
    for key in parents:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise ConfigError(
                f"setting {'.'.join(keys)}: {key} has no settings below it", "see docs/reference/config.md"
            )
    values[last] = value
