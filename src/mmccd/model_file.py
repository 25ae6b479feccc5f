"""A trained model on disk: a folder with weights (safetensors) and one card (JSON); nothing in it is executed."""

import json
from dataclasses import dataclass
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
REQUIRED = {"config", "weights_sha256", "grid", "threshold", "intensity_baseline", "score_definition"}


@dataclass(frozen=True)
class Model:
    """Networks, what is made of their errors, and the card that says how to use them and where they come from."""

    method: Method
    error: Error
    config: Config
    card: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the weights."""
        return str(self.card["weights_sha256"])


def save_model(folder: Path, method: Method, error: Error, config: Config, facts: dict[str, Any]) -> Model:
    """Write weights, then the card: a folder with a card is complete.

    Args:
        folder: Created where needed.
        method: Trained networks.
        error: Between a slice and what they restore.
        config: Their settings.
        facts: Grid, thresholds, training data and provenance for the card.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in method.state_dict().items()}
    parameters = sum(tensor.numel() for tensor in weights.values())
    if isinstance(error, TailEvidence):
        weights[COUNTS] = error.counts.cpu()
    write_atomically(folder / WEIGHTS, save_tensors(weights))
    card = {
        "format": FORMAT,
        "config": config.model_dump(mode="json"),
        "weights_sha256": sha256_of_file(folder / WEIGHTS),
        "parameters": parameters,
        "intended_use": "Research. Not a medical device: never use it for diagnosis.",
        **facts,
    }
    write_json(folder / CARD, card)
    return Model(method, error, config, card)


def load_model(folder: Path) -> Model:
    """Read a model folder; the training data need not be there.

    Raises:
        ModelError: the folder is no model, is damaged, or was written by a later version.
    """
    if not (folder / CARD).is_file():
        raise ModelError(f"{folder} is not a model: it has no {CARD}", "give the folder that `mmccd train` wrote")
    try:
        card = json.loads((folder / CARD).read_text())
        if card["format"] != FORMAT:
            raise ModelError(
                f"{folder} has model format {card['format']}, expected {FORMAT}",
                "update mmccd, or train again",
            )
        missing = REQUIRED - card.keys()
        if missing:
            raise ModelError(f"{CARD} in {folder} lacks {', '.join(sorted(missing))}", "copy the model folder again")
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


def _config_of(card: dict[str, Any]) -> Config:
    try:
        return parse_config(card["config"])
    except ConfigError as error:
        raise ModelError(f"{CARD} has settings of another version: {error.message}", "update mmccd") from error
