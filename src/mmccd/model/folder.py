"""Models in and out of a folder or a zip: weights (safetensors) and a card (JSON); nothing in it is executed.

Several models may be fused: a folder with a card and a folder for each member.
"""

import hashlib
from collections.abc import Mapping
from importlib import resources
from itertools import chain, count
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from mmccd.data.own_folders import CARD, WEIGHTS
from mmccd.errors import ModelError
from mmccd.method.anomaly_map import Error
from mmccd.method.method import Method
from mmccd.model.build import build_error, build_method
from mmccd.model.card import Card
from mmccd.model.config import Config
from mmccd.model.files import ModelFiles, open_model
from mmccd.model.model import Fusion, Model
from mmccd.scoring.evidence import TailEvidence
from mmccd.system.files import sha256_of_file, write_atomically, write_json

COUNTS = "evidence.counts"
BUILTIN = "builtin:"
"""Before the name of a model that ships with the package, in place of a folder: ``builtin:flair``."""
_AGAIN = "copy the model folder again"


def save_model(
    folder: Path, method: Method, error: Error, config: Config, card: Card, *, dtype: torch.dtype = torch.float32
) -> Model:
    """Write weights, then the card: a folder with a card is complete.

    Args:
        folder: Created where needed.
        method: Trained networks.
        error: Between a slice and what they restore.
        config: Their settings.
        card: What else is said of them; settings and weights are put in.
        dtype: Of the weights in the file; bfloat16 halves it.
    """
    weights = {name: tensor.detach().cpu().contiguous().to(dtype) for name, tensor in method.state_dict().items()}
    parameters = sum(tensor.numel() for tensor in weights.values())
    if isinstance(error, TailEvidence):
        weights[COUNTS] = error.counts.cpu()
    write_atomically(folder / WEIGHTS, save_tensors(weights))
    facts = {"config": config, "weights_sha256": sha256_of_file(folder / WEIGHTS), "parameters": parameters}
    return Model(method, error, config, _write_card(folder, card.model_copy(update=facts)))


def save_fusion(folder: Path, members: tuple[Model, ...], card: Card) -> Fusion:
    """Write the members, each in a folder named by its source, then the card that makes them one.

    Of several with one source the second is named ``flair-2``, and so on.
    """
    names: list[str] = []
    for member in members:
        source = member.config.source
        numbered = (f"{source}-{number}" for number in count(2))
        names.append(next(name for name in chain([source], numbered) if name not in names))
        save_model(folder / names[-1], member.method, member.error, member.config, member.card)
    return Fusion(members, _write_card(folder, card.model_copy(update={"members": tuple(names)})))


def load_any(model: Path | str) -> Model | Fusion:
    """Read what `mmccd train`, `calibrate`, `fuse` or `export` wrote, or a model that ships with the package.

    Raises:
        ModelError: as `load_model`.
    """
    files = open_model(model_folder(model))
    card = card_in(files)
    if not card.members:
        return _load(files, card)
    return Fusion(tuple(_load(one, card_in(one)) for one in members_in(files, card)), card)


def load_model(model: Path | str) -> Model:
    """Read a model, or a model that ships with the package; the training data need not be there.

    Raises:
        ModelError: this is no model, is damaged, or was written by a later version.
    """
    files = open_model(model_folder(model))
    card = card_in(files)
    if card.members:
        raise ModelError(
            f"{files.name} is a fusion of several models", "give the folder of one of them, which lies in it"
        )
    return _load(files, card)


def read_card(model: Path | str) -> Card:
    """What a model or fusion says of itself, checked; its weights are left alone.

    Raises:
        ModelError: this is no model, is damaged, or was written by a later version.
    """
    return card_in(open_model(model_folder(model)))


def builtin_models() -> tuple[str, ...]:
    """Names of the models that ship with the package, as ``builtin:NAME``."""
    return tuple(sorted(BUILTIN + card.parent.name for card in _shipped().glob(f"*/{CARD}")))


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
    return _shipped() / text.removeprefix(BUILTIN)


def _shipped() -> Path:
    return Path(str(resources.files("mmccd.model") / "weights"))


def _write_card(folder: Path, card: Card) -> Card:
    write_json(folder / CARD, card.as_json())
    return Card.read((folder / CARD).read_bytes(), f"{CARD} in {folder}")


def _load(files: ModelFiles, card: Card) -> Model:
    config = card.config
    if config is None:
        raise ModelError(f"{CARD} in {files.name} lacks config", _AGAIN)
    try:
        content = files.read(WEIGHTS)
        if hashlib.sha256(content).hexdigest() != card.weights_sha256:
            raise ModelError(f"{WEIGHTS} in {files.name} differs from its card", _AGAIN)
        weights = load_tensors(content)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(f"{files.name} is damaged: {error}", _AGAIN) from error
    if wrong := [name for name, tensor in weights.items() if not tensor.isfinite().all()]:
        raise ModelError(f"the weights in {files.name} hold values that are no numbers, in {wrong[0]}", "train again")
    try:
        counts = weights.pop(COUNTS) if config.scoring.error == "tail" else None
        if counts is not None:
            _check_counts(files, counts)
        measure = build_error(config, counts)
        _check_shapes(config, card.grid.size_px, weights)
        with torch.random.fork_rng(devices=[]):  # initial weights are thrown away, so leave the caller's seed alone
            method = build_method(config, card.grid.size_px)
        method.load_state_dict(weights)
    except (RuntimeError, KeyError) as reason:
        raise ModelError(
            f"the weights in {files.name} do not fit its card", f"{_AGAIN}; if another version trained it, train again"
        ) from reason
    return Model(method.eval().requires_grad_(False), measure, config, card)


def _check_shapes(config: Config, size_px: int, weights: Mapping[str, torch.Tensor]) -> None:
    """Refuse networks that these weights are not of, before they take memory: a card may claim any size.

    Raises:
        RuntimeError: as `torch.nn.Module.load_state_dict`.
    """
    expected = build_method(config, size_px, networks_on="meta").state_dict()
    shapes, given = ({name: one.shape for name, one in of.items()} for of in (expected, weights))
    if shapes != given:
        raise RuntimeError("these are the weights of other networks")


def _check_counts(files: ModelFiles, counts: torch.Tensor) -> None:
    """Evidence is finite, and rises with the distance from what is ordinary, wherever counts are counts.

    Raises:
        ModelError: one is negative, or there is none.
    """
    tables = counts.reshape(-1, *counts.shape[-2:]).double()
    if (counts < 0).any() or not (tables.sum(dim=(1, 2)) > 0).all():
        raise ModelError(
            f"the evidence in {files.name} is of {counts.min():g} to {counts.max():g} healthy pixels a value, expected "
            "counts from 0 that are not all 0",
            "calibrate or train the model again",
        )


def members_in(files: ModelFiles, card: Card) -> list[ModelFiles]:
    """The files of each member of a fusion.

    Raises:
        ModelError: they have names that lead elsewhere.
    """
    if any(Path(name).name != name or name == ".." for name in card.members):
        raise ModelError(f"{CARD} in {files.name} names no members", "fuse the models again")
    return [files.member(name) for name in card.members]


def card_in(files: ModelFiles) -> Card:
    """The card among the files of a model.

    Raises:
        ModelError: as `read_card`.
    """
    try:
        content = files.read(CARD)
    except FileNotFoundError as error:
        raise ModelError(
            f"{files.name} is not a model: {error}",
            "give the folder that `mmccd train` wrote, a package of it, or one that ships: builtin:flair",
        ) from error
    except OSError as error:
        raise ModelError(f"{CARD} in {files.name} cannot be read: {error.strerror}", "check its permissions") from error
    return Card.read(content, f"{CARD} in {files.name}")
