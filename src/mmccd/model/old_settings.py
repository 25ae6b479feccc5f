"""Settings as earlier versions spelled them: read for ever, and said aloud where somebody wrote them."""

import warnings
from collections.abc import Mapping
from typing import Any

from mmccd.errors import ConfigError, MmccdWarning

PRESETS = {"published": "paper"}
RENAMED: dict[str, tuple[str, Mapping[Any, Any]]] = {"scoring.evidence": ("scoring.error", {"square": "squared"})}
"""A setting, its name of today, and values that have another name, too."""
RETIRED = {
    "network.from_background": False,
    "diffusion.stripes_wrap": False,
    "diffusion.sampler": "ddim",
    "diffusion.train_masks": "stripes",
    "diffusion.train_on": "all-steps",
}
"""Settings that are no more, and what every model does now."""
TYPICAL_ONCE: dict[str, dict[str, Any]] = {
    "polarity": {"t1": "dark", "other": "bright"},
    "unconditional": {"flair": 0.5, "other": 0.0},
    "false_positive_rate": {"flair": 0.02, "t1": 0.07, "other": 0.03},
}
"""What `typical` meant while cards and checkpoints held the word; those of today hold values."""
_OF_TRAINING = ("diffusion.train_masks",)  # other masks may be sampled than were trained; other steps may not


def preset_named(name: str) -> str:
    """A preset by the name that it had once, with a warning."""
    if name in PRESETS:
        _say(f"the preset {name} is called {PRESETS[name]} now")
    return PRESETS.get(name, name)


def renamed(values: Mapping[str, Any], *, trained: bool = False) -> dict[str, Any]:
    """The same settings by their names of today; those that are no more stay. Files lie over each other by name."""
    result = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    for old, (new, other) in RENAMED.items():
        section, name = old.split(".")
        if isinstance(result.get(section), dict) and name in result[section]:
            value = result[section].pop(name)
            today = other.get(value, value) if isinstance(value, str) else value
            if not trained:
                _say(f"setting {old} is called {new} now, and {value} is {today}")
            result[section][new.split(".")[1]] = today
    return result


def of_today(values: Mapping[str, Any], *, trained: bool = False) -> dict[str, Any]:
    """The same settings in today's spelling.

    Args:
        values: Sections and what they hold.
        trained: Of a model that is trained: nothing is said, and what only its training used is dropped.

    Raises:
        ConfigError: a setting that is no more has another value than the one that stayed.
    """
    result = renamed(values, trained=trained)
    if trained and isinstance(scoring := result.get("scoring"), dict):
        once = {name: table for name, table in TYPICAL_ONCE.items() if scoring.get(name) == "typical"}
        result["scoring"] = scoring | once
    for old, stayed in RETIRED.items():
        section, name = old.split(".")
        if not isinstance(result.get(section), dict) or name not in result[section]:
            continue
        value = result[section].pop(name)
        matters = not (trained and old in _OF_TRAINING) and _matters(old, result.get("method"))
        if value != stayed and matters:
            raise ConfigError(
                f"setting {old} is {value!r}, and is no setting any more: it is {stayed!r} for all models",
                "leave it out" if not trained else "train the model again",
            )
        if not trained:
            _say(f"setting {old} is no setting any more: leave it out")
    return result


def _matters(setting: str, method: Any) -> bool:
    """Whether a method ever used a setting that is no more."""
    return method != "veiled-cycle" if setting.startswith("network.") else method in ("mmccd", None)


def _say(text: str) -> None:
    warnings.warn(text, MmccdWarning, stacklevel=3)
