"""Trained models on disk: weights (safetensors) and one card (JSON) in a folder or a zip; nothing in it is executed.

Several models of different source modalities may be fused: a folder with a card and a folder for each member.
"""

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from mmccd.data.store import MANIFEST
from mmccd.errors import ConfigError, ModelError
from mmccd.method.cycle import Error
from mmccd.model.build import Method, build_error, build_method
from mmccd.model.config import Config, parse_config
from mmccd.model.files import CARD as CARD
from mmccd.model.files import WEIGHTS, ModelFiles, open_model, write_package
from mmccd.scoring.evidence import TailEvidence
from mmccd.system.files import sha256_of_file, write_atomically, write_json

FORMAT = 1
COUNTS = "evidence.counts"
INTENDED_USE = "Research. Not a medical device: never use it for diagnosis."
BUILTIN = "builtin:"
"""Before the name of a model that ships with the package, in place of a folder: ``builtin:flair``."""


class _Grid(BaseModel):
    protocol: Literal["volume", "published"]
    size_px: Annotated[int, Field(ge=1, le=4096)]
    pixel_mm: Annotated[float, Field(gt=0)]


class _Threshold(BaseModel):
    value: float
    criterion: str
    guarantee: str
    chosen_on: str


class _Baseline(BaseModel):
    class Thresholds(BaseModel):
        plain: float
        smoothed: float

    polarity: Literal["bright", "dark"]
    smooth_mm: Annotated[float, Field(ge=0)]
    threshold: Thresholds
    scan_threshold: Thresholds
    relative_threshold: Thresholds | None = None


class _Data(BaseModel):
    scans_sha256: list[str] = []


class _CardOfAny(BaseModel):
    """What prediction takes from a card, whether of a model or of a fusion."""

    training_data: _Data = _Data()
    calibration: _Data = _Data()
    grid: _Grid
    threshold: _Threshold
    scan_threshold: _Threshold
    relative_threshold: _Threshold | None = None
    healthy_scores: list[float]
    intensity_baseline: _Baseline
    score_definition: str


class _CardOfModel(_CardOfAny):
    config: dict[str, Any]
    weights_sha256: str


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


def known_scans(model: Model | Fusion) -> frozenset[str]:
    """Digests of the scans that a model was trained or calibrated on, as far as its cards say: see `Volume`."""
    data = [one.card.get(key, {}) for one in (model, *model.members) for key in ("training_data", "calibration")]
    return frozenset(digest for facts in data for digest in facts.get("scans_sha256", ()))


def check_vacant(folder: Path) -> None:
    """Refuse a folder that something else than a new model lies in.

    Raises:
        ConfigError: it holds a prepared store or a model.
    """
    if (folder / MANIFEST).exists():
        raise ConfigError(f"{folder} is a prepared store, a model needs a folder of its own", "choose another folder")
    if (folder / CARD).exists():
        raise ConfigError(f"{folder} already holds a model", "choose another folder, or delete this one")


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
    folder = Path(str(resources.files("mmccd.model") / "weights"))
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
    return Path(str(resources.files("mmccd.model") / "weights")) / text.removeprefix(BUILTIN)


def load_any(model: Path | str) -> Model | Fusion:
    """Read what `mmccd train`, `calibrate`, `fuse` or `export` wrote, or a model that ships with the package.

    Raises:
        ModelError: as `load_model`.
    """
    files = open_model(model_folder(model))
    card = _read_card(files)
    if "members" not in card:
        return _load(files, card)
    return Fusion(tuple(_load(one, _read_card(one)) for one in _members(files, card)), card)


def load_model(model: Path | str) -> Model:
    """Read a model, or a model that ships with the package; the training data need not be there.

    Raises:
        ModelError: this is no model, is damaged, or was written by a later version.
    """
    files = open_model(model_folder(model))
    card = _read_card(files)
    if "members" in card:
        raise ModelError(
            f"{files.name} is a fusion of several models", "give the folder of one of them, which lies in it"
        )
    return _load(files, card)


def read_card(model: Path | str) -> dict[str, Any]:
    """What a model or fusion says of itself, checked; its weights are left alone.

    Raises:
        ModelError: this is no model, is damaged, or was written by a later version.
    """
    files = open_model(model_folder(model))
    card = _read_card(files)
    _check_card(files, card, _CardOfAny if "members" in card else _CardOfModel)
    return card


def export(model: Path | str, package: Path) -> str:
    """Write a model or fusion as one zip file with its own files and no others; the same model gives the same bytes.

    Returns:
        SHA-256 of the package.

    Raises:
        ModelError: as `load_model`.
        ConfigError: the package exists, or does not end in ``.zip``.
    """
    if package.suffix.lower() != ".zip" or package.exists():
        what = "exists" if package.exists() else "does not end in .zip"
        raise ConfigError(f"{package} {what}", "choose another name, such as model.zip")
    load_any(model)  # what cannot be read is not handed on
    files = open_model(model_folder(model))
    card = _read_card(files)
    content = {CARD: files.read(CARD)}
    if "members" in card:
        for name, one in zip(card["members"], _members(files, card), strict=True):
            content |= {f"{name}/{file}": one.read(file) for file in (CARD, WEIGHTS)}
    else:
        content[WEIGHTS] = files.read(WEIGHTS)
    write_package(package, content)
    return sha256_of_file(package)


def _load(files: ModelFiles, card: dict[str, Any]) -> Model:
    _check_card(files, card, _CardOfModel)
    config = _config_of(card)
    try:
        content = files.read(WEIGHTS)
        if hashlib.sha256(content).hexdigest() != card["weights_sha256"]:
            raise ModelError(f"{WEIGHTS} in {files.name} differs from its card", "copy the model folder again")
        weights = load_tensors(content)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(f"{files.name} is damaged: {error}", "copy the model folder again") from error
    with torch.random.fork_rng(devices=[]):  # initial weights are thrown away, so leave the caller's seed alone
        method = build_method(config)
    try:
        measure = build_error(config, weights.pop(COUNTS) if config.scoring.evidence == "tail" else None)
        method.load_state_dict(weights)
    except (RuntimeError, KeyError) as reason:
        raise ModelError(
            f"the weights in {files.name} do not fit its card",
            "copy the model folder again; if another version trained it, train again",
        ) from reason
    return Model(method.eval().requires_grad_(False), measure, config, card)


def _members(files: ModelFiles, card: dict[str, Any]) -> list[ModelFiles]:
    _check_card(files, card, _CardOfAny)
    names = card["members"]
    if not isinstance(names, list) or not all(
        isinstance(name, str) and Path(name).name == name != ".." for name in names
    ):
        raise ModelError(f"{CARD} in {files.name} names no members", "fuse the models again")
    return [files.member(name) for name in names]


def _read_card(files: ModelFiles) -> dict[str, Any]:
    try:
        content = files.read(CARD)
    except FileNotFoundError as error:
        raise ModelError(
            f"{files.name} is not a model: {error}",
            "give the folder that `mmccd train` wrote, a package of it, or one that ships: builtin:flair",
        ) from error
    except OSError as error:
        raise ModelError(f"{CARD} in {files.name} cannot be read: {error.strerror}", "check its permissions") from error
    try:
        card: dict[str, Any] = json.loads(content)
        found = card["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{files.name} is damaged: {error}", "copy the model folder again") from error
    if found != FORMAT:
        raise ModelError(f"{files.name} has model format {found}, expected {FORMAT}", "update mmccd, or train again")
    return card


def _check_card(files: ModelFiles, card: dict[str, Any], form: type[_CardOfAny]) -> None:
    required = {name for name, field in form.model_fields.items() if field.is_required()}
    if missing := required - card.keys():
        raise ModelError(f"{CARD} in {files.name} lacks {', '.join(sorted(missing))}", "copy the model folder again")
    try:
        form.model_validate(card)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ModelError(
            f"{CARD} in {files.name} is damaged: {key}: {first['msg']}", "copy the model folder again"
        ) from error


def _config_of(card: dict[str, Any]) -> Config:
    try:
        return parse_config(card["config"])
    except ConfigError as error:
        raise ModelError(f"{CARD} has settings of another version: {error.message}", "update mmccd") from error
