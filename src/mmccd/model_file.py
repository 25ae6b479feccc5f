"""Trained models on disk: a folder with weights (safetensors) and one card (JSON); nothing in it is executed.

Several models of different source modalities may be fused: a folder with a card and a folder for each member.
"""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from mmccd.config import Config, parse_config
from mmccd.cycle import Error
from mmccd.errors import ConfigError, ModelError
from mmccd.evidence import TailEvidence
from mmccd.files import sha256_of_file, write_atomically, write_json
from mmccd.methods import Method, build_error, build_method

FORMAT = 1
WEIGHTS = "model.safetensors"
CARD = "card.json"
COUNTS = "evidence.counts"
INTENDED_USE = "Research. Not a medical device: never use it for diagnosis."
BUILTIN = "builtin:"
"""Before the name of a model that ships with the package, in place of a folder: ``builtin:flair``."""
CALIBRATED = {"grid", "threshold", "scan_threshold", "healthy_scores", "intensity_baseline", "score_definition"}
REQUIRED = CALIBRATED | {"config", "weights_sha256"}


@dataclass(frozen=True)
class Model:
    """Networks, what is made of their errors, and the card that says how to use them and where they come from."""

    method: Method
    error: Error
    config: Config
    card: dict[str, Any]

    @property
    def members(self) -> "tuple[Model, ...]":
        """Itself: a fusion has several."""
        return (self,)

    @property
    def digest(self) -> str:
        """SHA-256 of the weights."""
        return str(self.card["weights_sha256"])


@dataclass(frozen=True)
class Fusion:
    """Models of different source modalities, whose evidence is added up where a subject has all of them.

    Attributes:
        members: The first one's source is the modality that results belong to.
        card: Thresholds of the sum.
    """

    members: tuple[Model, ...]
    card: dict[str, Any]


def save_fusion(folder: Path, members: tuple[Model, ...], facts: dict[str, Any]) -> Fusion:
    """Write the members, each in a folder named by its source, then the card that makes them one.

    Args:
        folder: Created where needed.
        members: Models of different sources.
        facts: Grid and thresholds of the sum, and provenance.
    """
    for member in members:
        save_model(folder / member.config.source, member.method, member.error, member.config, member.card)
    names = [member.config.source for member in members]
    card = {"format": FORMAT, "members": names, "intended_use": INTENDED_USE, **facts}
    write_json(folder / CARD, card)
    return Fusion(members, card)


def save_model(
    folder: Path,
    method: Method,
    error: Error,
    config: Config,
    facts: dict[str, Any],
    *,
    dtype: torch.dtype = torch.float32,
) -> Model:
    """Write weights, then the card: a folder with a card is complete.

    Args:
        folder: Created where needed.
        method: Trained networks.
        error: Between a slice and what they restore.
        config: Their settings.
        facts: Grid, thresholds, training data and provenance for the card.
        dtype: Of the weights in the file; bfloat16 halves it.
    """
    weights = {name: tensor.detach().cpu().contiguous().to(dtype) for name, tensor in method.state_dict().items()}
    parameters = sum(tensor.numel() for tensor in weights.values())
    if isinstance(error, TailEvidence):
        weights[COUNTS] = error.counts.cpu()
    write_atomically(folder / WEIGHTS, save_tensors(weights))
    card = {
        **facts,
        "format": FORMAT,
        "config": config.model_dump(mode="json"),
        "weights_sha256": sha256_of_file(folder / WEIGHTS),
        "parameters": parameters,
        "intended_use": INTENDED_USE,
    }
    write_json(folder / CARD, card)
    return Model(method, error, config, card)


def builtin_models() -> tuple[str, ...]:
    """Names of the models that ship with the package, as ``builtin:NAME``."""
    folder = Path(str(resources.files("mmccd") / "weights"))
    return tuple(sorted(BUILTIN + card.parent.name for card in folder.glob(f"*/{CARD}")))


def model_folder(name: Path | str) -> Path:
    """The folder of a model: itself, or where a model that ships with the package lies.

    Raises:
        ModelError: no such model ships with it.
    """
    text = str(name)
    if not text.startswith(BUILTIN):
        return Path(name)
    if text not in builtin_models():
        raise ModelError(f"no model named {text}", f"there are {', '.join(builtin_models())}")
    return Path(str(resources.files("mmccd") / "weights")) / text.removeprefix(BUILTIN)


def load_any(folder: Path | str) -> Model | Fusion:
    """Read what `mmccd train`, `calibrate` or `fuse` wrote, or a model that ships with the package.

    Raises:
        ModelError: as `load_model`.
    """
    folder = model_folder(folder)
    if "members" not in (card := _read_card(folder)):
        return load_model(folder)
    _require(folder, card, CALIBRATED)
    names = card["members"]
    if not isinstance(names, list) or not all(
        isinstance(name, str) and Path(name).name == name != ".." for name in names
    ):
        raise ModelError(f"{CARD} in {folder} names no members", "fuse the models again")
    return Fusion(tuple(load_model(folder / name) for name in names), card)


def load_model(folder: Path | str) -> Model:
    """Read a model folder, or a model that ships with the package; the training data need not be there.

    Raises:
        ModelError: the folder is no model, is damaged, or was written by a later version.
    """
    folder = model_folder(folder)
    card = _read_card(folder)
    if "members" in card:
        raise ModelError(f"{folder} is a fusion of several models", "give the folder of one of them, which lies in it")
    _require(folder, card, REQUIRED)
    try:
        config = _config_of(card)
        if sha256_of_file(folder / WEIGHTS) != card["weights_sha256"]:
            raise ModelError(f"{WEIGHTS} in {folder} differs from its card", "copy the model folder again")
        weights = load_tensors((folder / WEIGHTS).read_bytes())
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(f"{folder} is damaged: {error}", "copy the model folder again") from error
    with torch.random.fork_rng(devices=[]):  # initial weights are thrown away, so leave the caller's seed alone
        method = build_method(config)
    try:
        measure = build_error(config, weights.pop(COUNTS) if config.scoring.evidence == "tail" else None)
        method.load_state_dict(weights)
    except (RuntimeError, KeyError) as reason:
        raise ModelError(f"the weights in {folder} do not fit its card", "copy the model folder again") from reason
    return Model(method.eval().requires_grad_(False), measure, config, card)


def _read_card(folder: Path) -> dict[str, Any]:
    if not (folder / CARD).is_file():
        raise ModelError(f"{folder} is not a model: it has no {CARD}", "give the folder that `mmccd train` wrote")
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text())
        found = card["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} is damaged: {error}", "copy the model folder again") from error
    if found != FORMAT:
        raise ModelError(f"{folder} has model format {found}, expected {FORMAT}", "update mmccd, or train again")
    return card


def _require(folder: Path, card: dict[str, Any], keys: set[str]) -> None:
    if missing := keys - card.keys():
        raise ModelError(f"{CARD} in {folder} lacks {', '.join(sorted(missing))}", "copy the model folder again")


def _config_of(card: dict[str, Any]) -> Config:
    try:
        return parse_config(card["config"])
    except ConfigError as error:
        raise ModelError(f"{CARD} has settings of another version: {error.message}", "update mmccd") from error
