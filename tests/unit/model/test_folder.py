import json
import pickle
import shutil

import pytest
import torch

from mmccd.errors import ConfigError, ModelError
from mmccd.method.anomaly_map import Restoration, squared_error
from mmccd.model.config import load_config
from mmccd.model.folder import builtin_models, load_model, model_folder, save_model
from mmccd.scoring.evidence import TailEvidence, count_pairs
from mmccd.system.files import sha256_of_file


@pytest.fixture
def copy(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "model")


def change_card(folder, **changes):
    card = json.loads((folder / "card.json").read_text()) | changes
    (folder / "card.json").write_text(json.dumps(card))


def test_a_model_is_two_files_and_nothing_else_is_needed(copy, model_folder):
    assert sorted(path.name for path in copy.iterdir()) == ["card.json", "model.safetensors"]
    model = load_model(copy)
    assert model.card.weights_sha256 == sha256_of_file(copy / "model.safetensors")
    assert not model.method.training
    assert not any(weight.requires_grad for weight in model.method.parameters())
    expected = load_model(model_folder).method.state_dict()
    assert all(torch.equal(weight, expected[name]) for name, weight in model.method.state_dict().items())


def test_there_and_back(copy, tmp_path):
    model = load_model(copy)
    change_card(copy, note="of a later version", training={"steps": 4, "validation/cycle": None})
    model = load_model(copy)
    saved = save_model(tmp_path / "again", model.method, model.error, model.config, model.card)
    assert saved.card.weights_sha256 == model.card.weights_sha256
    card = load_model(tmp_path / "again").card
    assert card.as_json() == model.card.as_json() == saved.card.as_json()
    assert card.digest == saved.card.digest
    written = json.loads((tmp_path / "again" / "card.json").read_text())
    assert written["note"] == "of a later version"  # what is not known is kept
    assert written["training"] == {"steps": 4}
    assert card.parameters == sum(weight.numel() for weight in model.method.state_dict().values())
    assert "never use it for diagnosis" in written["intended_use"]


@pytest.fixture
def with_evidence(copy):
    """The toy model, its card saying that it scores by evidence; a function that saves it with some error."""
    model = load_model(copy)
    scoring = {"error": "tail", "polarity": "bright", "unconditional": 0.25}
    config = model.config.model_copy(update={"scoring": model.config.scoring.model_copy(update=scoring)})

    def save(error):
        save_model(copy, model.method, error, config, model.card)
        return copy

    return save


def test_the_counts_behind_evidence_are_part_of_the_model(with_evidence):
    x, x_hat = torch.randn(2, 5000, generator=torch.Generator().manual_seed(0))
    error = TailEvidence(count_pairs(x, x_hat), polarity="bright", unconditional=0.25)
    loaded = load_model(with_evidence(error))
    assert isinstance(loaded.error, TailEvidence)
    assert torch.equal(loaded.error.counts, error.counts)
    image, made = torch.randn(2, 1, 9, 9), Restoration.of_whole_slices(torch.randn(2, 3, 9, 9))
    assert torch.equal(loaded.error(image, made), error(image, made))  # polarity and weight as in the settings
    networks = loaded.method.state_dict().values()
    assert loaded.card.parameters == sum(weight.numel() for weight in networks)  # counts are no parameters


def test_evidence_without_counts_and_counts_without_evidence_are_refused(with_evidence, tmp_path):
    with pytest.raises(ModelError, match="do not fit its card") as caught:
        load_model(with_evidence(squared_error))
    assert "copy the model folder again" in caught.value.hint

    folder = with_evidence(TailEvidence(count_pairs(torch.randn(9), torch.randn(9)), polarity="bright"))
    change_card(folder, config=load_config("tiny").model_dump(mode="json") | {
        "network": json.loads((folder / "card.json").read_text())["config"]["network"]
    })  # fmt: skip
    with pytest.raises(ModelError, match="do not fit its card"):
        load_model(folder)


def test_counts_of_another_grid_are_refused(with_evidence):
    class Other(TailEvidence):
        def __init__(self):
            torch.nn.Module.__init__(self)
            self.register_buffer("counts", torch.ones(7, 7, dtype=torch.float64))

    with pytest.raises(ModelError, match="do not fit its card"):
        load_model(with_evidence(Other()))


def test_loading_leaves_the_random_state_of_the_caller_alone(copy):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_model(copy)
    assert torch.equal(torch.rand(3), expected)


def test_changed_weights_are_refused(copy):
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="differs from its card"):
        load_model(copy)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("with_torch", [False, True])
def test_a_pickle_is_refused_and_not_executed(copy, tmp_path, with_torch):
    trap = tmp_path / "sprung"
    weights = copy / "model.safetensors"
    if with_torch:
        torch.save({"a": Trap(trap)}, weights)
    else:
        weights.write_bytes(pickle.dumps(Trap(trap)))
    change_card(copy, weights_sha256=sha256_of_file(weights))
    with pytest.raises(ModelError, match="is damaged"):
        load_model(copy)
    assert not trap.exists()


@pytest.mark.parametrize("content", [b"{", b"", b"[]", b"null", b'{"format": 1}', b"\xff\xfe", b'{"config": {}}'])
def test_garbage_cards_are_refused(copy, content):
    (copy / "card.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"is damaged|card\.json .* lacks") as caught:
        load_model(copy)
    assert "copy the model folder again" in caught.value.hint


def test_other_formats_and_folders(copy, tmp_path):
    with pytest.raises(ModelError, match=r"is not a model: it has no card\.json"):
        load_model(tmp_path)
    change_card(copy, format=2)
    with pytest.raises(ModelError, match="model format 2, expected 1"):
        load_model(copy)


def test_missing_weights_and_weights_of_another_network(copy):
    config = json.loads((copy / "card.json").read_text())["config"]
    config["network"] |= {"channels": [16, 32]}
    change_card(copy, config=config)
    with pytest.raises(ModelError, match="do not fit its card"):
        load_model(copy)
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="is damaged"):
        load_model(copy)


def test_settings_of_a_later_version_are_named(copy):
    config = json.loads((copy / "card.json").read_text())["config"]
    change_card(copy, config=config | {"novelty": 1})
    with pytest.raises((ModelError, ConfigError), match="novelty"):
        load_model(copy)


def test_values_of_a_card_that_cannot_be_are_named(copy):
    card = json.loads((copy / "card.json").read_text())
    for changed, message in (
        ({"grid": card["grid"] | {"protocol": "sagittal"}}, "card.json in .*: protocol is 'sagittal'"),
        ({"grid": card["grid"] | {"size_px": 0}}, "card.json in .*: slices of 0 pixels"),
        ({"threshold": card["threshold"] | {"value": "high"}}, r"card.json in .* is damaged: threshold\.value"),
        ({"healthy_scores": None}, "card.json in .* is damaged: healthy_scores"),
    ):
        change_card(copy, **(card | changed))
        with pytest.raises(ModelError, match=message):
            load_model(copy)


def test_slices_of_the_paper_go_by_their_old_name_too(copy):
    card = json.loads((copy / "card.json").read_text())
    change_card(copy, grid=card["grid"] | {"protocol": "published"})
    assert load_model(copy).grid.protocol == "paper-slices"


@pytest.mark.parametrize("key", ["format", "grid", "threshold"])
def test_cards_that_lack_what_prediction_needs(copy, key, healthy_scan):
    from mmccd.prediction.detector import Detector

    card = json.loads((copy / "card.json").read_text())
    del card[key]
    (copy / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError):
        Detector.load(copy, device="cpu").detect(healthy_scan)


# --- models that ship with the package ---


@pytest.mark.parametrize("modality", ["flair", "t1", "t2"])
def test_a_model_ships_for_each_modality_and_is_small(modality):
    model = load_model(f"builtin:{modality}")
    assert f"builtin:{modality}" in builtin_models()
    assert model.config.source == modality
    assert model.config.method == "veiled-cycle"
    assert isinstance(model.error, TailEvidence)
    assert model.card.intended_use.startswith("Research")
    files = list(model_folder(f"builtin:{modality}").iterdir())
    assert sorted(file.name for file in files) == ["card.json", "model.safetensors"]
    assert sum(file.stat().st_size for file in files) < 10e6


def test_the_model_card_says_what_a_user_must_know():
    page = (model_folder("builtin:flair").parent / "MODEL_CARD.md").read_text()
    for text in (
        "CC BY 4.0",
        "arXiv 2107.02314",
        "arXiv 2305.19369",
        "Not a medical device",
        "held-out",
        "| intensity |",
    ):
        assert text in page


def test_an_unknown_model_of_the_package_is_refused_by_name():
    with pytest.raises(ModelError, match="no model named builtin:pd") as caught:
        load_model("builtin:pd")
    assert "builtin:flair" in caught.value.hint


def test_halved_weights_are_read_as_rounded_ones(copy, tmp_path):
    model = load_model(copy)
    save_model(tmp_path / "half", model.method, model.error, model.config, model.card, dtype=torch.bfloat16)
    half, full = ((folder / "model.safetensors").stat().st_size for folder in (tmp_path / "half", copy))
    assert half < 0.6 * full
    weights = load_model(tmp_path / "half").method.state_dict()
    for name, tensor in model.method.state_dict().items():
        assert torch.equal(weights[name], tensor.to(torch.bfloat16).float())
