"""A number of a card that cannot be is refused on loading, in one line; or nothing is computed with it."""

import copy
import json
import math
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mmccd.errors import MmccdError, ModelError
from mmccd.model.card import Card
from mmccd.model.folder import COUNTS, load_any, load_model, model_folder
from mmccd.system.files import sha256_of_file

CARD = json.loads((model_folder("builtin:flair") / "card.json").read_text())
DAMAGES = {"NaN": math.nan, "inf": math.inf, "-1": -1, "1e308": 1e308, "empty": [], "null": None, "text": "x"}
UNUSED = {  # nothing is computed with them
    **{f"training.validation/{name}": {"-1", "1e308", "empty", "null", "text"}
       for name in ("straight", "forward", "backward", "sigma", "cycle")},
    "config.training.gradient_clip": {"1e308"},
}  # fmt: skip
ALLOWED = {
    "relative_threshold.value": {"-1"},  # most of a healthy brain lies below a scan's own level
    **{f"intensity_baseline.{kind}threshold.{which}": {"-1"}
       for kind in ("", "scan_", "relative_") for which in ("plain", "smoothed")},
    **{f"{data}.scans_sha256": {"empty"} for data in ("training_data", "calibration")},  # as of older cards
    **{f"training_data.{part}.seen_by_height": {"empty"} for part in ("train", "validation")},
    "config.scoring.total_variation": {"empty"},  # then a Gaussian smooths
}  # fmt: skip


def numbers(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of all numbers, and of lists as a whole; of a list its first stands for all."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from numbers(one, (*at, key))
    elif isinstance(value, list) and value:
        yield at
        yield from numbers(value[0], (*at, 0))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield at


PLACES = [at for at in numbers(CARD) if "provenance" not in at and at != ("config", "targets")]


@pytest.mark.parametrize("at", PLACES, ids=lambda at: ".".join(map(str, at)))
def test_a_number_that_cannot_be_is_refused_in_one_line(at):
    name = ".".join(map(str, at))
    for damage, value in DAMAGES.items():
        values = copy.deepcopy(CARD)
        place = values
        for key in at[:-1]:
            place = place[key]
        place[at[-1]] = value
        if damage in UNUSED.get(name, ()) or damage in ALLOWED.get(name, ()):
            assert Card.read(json.dumps(values).encode(), "card.json")
            continue
        with pytest.raises(MmccdError) as caught:
            Card.read(json.dumps(values).encode(), "card.json")
        assert "\n" not in f"{caught.value.message}{caught.value.hint}", damage
        assert caught.value.hint


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"healthy_scores": []}, r"healthy_scores: .*at least 1 item"),
        ({"healthy_scores": [-0.5]}, r"healthy_scores\.0: .*greater than or equal to 0, got -0\.5"),
        ({"threshold": CARD["threshold"] | {"value": -2}}, r"threshold: the value is -2, expected from 0 to"),
        ({"threshold": CARD["relative_threshold"]}, "threshold: it is to be added to the upper quartile"),
        ({"relative_threshold": CARD["threshold"]}, "relative_threshold: it does not say what it is to be added to"),
        ({"grid": CARD["grid"] | {"pixel_mm": 10}}, "slices of 128 pixels of 10 mm, expected .* over 240 mm"),
        ({"intensity": CARD["intensity"] | {"percentile": 50.0}}, "intensities are mapped otherwise than here"),
    ],
)
def test_the_message_says_what_was_found_and_what_is_allowed(changed, message):
    with pytest.raises(ModelError, match=message):
        Card.read(json.dumps(CARD | changed).encode(), "card.json")


def test_numbers_that_json_does_not_know_are_named():
    with pytest.raises(ModelError, match="it holds Infinity, which is no number"):
        Card.read(json.dumps(CARD | {"note": math.inf}).encode(), "card.json")


# --- weights and the table of evidence ---


@pytest.fixture
def damaged(tmp_path):
    """A function that changes the weights of a model that ships, and its card with them; returns the folder."""

    def change(**tensors):
        folder = shutil.copytree(model_folder("builtin:flair"), tmp_path / "model")
        weights = folder / "model.safetensors"
        save_file(load_file(weights) | tensors, weights)
        (folder / "card.json").write_text(json.dumps(CARD | {"weights_sha256": sha256_of_file(weights)}))
        return folder

    return change


@pytest.mark.parametrize("changed", ["negative", "none"])
def test_evidence_of_no_counts_is_refused(damaged, changed):
    counts = load_file(model_folder("builtin:flair") / "model.safetensors")[COUNTS]
    counts = -counts if changed == "negative" else torch.zeros_like(counts)
    with pytest.raises(ModelError, match="expected counts from 0 that are not all 0"):
        load_model(damaged(**{COUNTS: counts}))


def test_evidence_of_counts_is_finite_and_rises():
    error = load_model("builtin:flair").error
    for table in (error.table, error.everywhere):
        assert table.isfinite().all()
        assert (table.diff(dim=1) >= 0).all()  # bright: the rarer the farther up


def test_weights_that_are_no_numbers_are_refused(damaged):
    name, weight = next((n, w) for n, w in load_file(model_folder("builtin:flair") / "model.safetensors").items()
                        if w.is_floating_point() and n != COUNTS)  # fmt: skip
    with pytest.raises(ModelError, match=f"hold values that are no numbers, in {name}"):
        load_model(damaged(**{name: torch.full_like(weight, math.nan)}))


def test_networks_that_the_weights_are_not_of_take_no_memory(tmp_path):
    folder = shutil.copytree(model_folder("builtin:flair"), tmp_path / "model")
    network = CARD["config"]["network"] | {"channels": [2**20, 2**20, 2**20]}
    (folder / "card.json").write_text(json.dumps(CARD | {"config": CARD["config"] | {"network": network}}))
    with pytest.raises(ModelError, match="do not fit its card"):
        load_any(folder)
