import math

import numpy as np
import pytest
import torch

from mmccd.data.healthy import HealthyTissue
from mmccd.method.anomaly_map import anomaly_map
from mmccd.method.registry import METHODS
from mmccd.method.unet import UNet
from mmccd.model.build import build_method
from mmccd.model.config import load_config
from mmccd.training.batches import SlicePairs, batch_loader
from mmccd.training.task import TranslationTask, curve_rows


@pytest.fixture
def task(toy_config, monkeypatch):
    made = TranslationTask(toy_config, 48)
    monkeypatch.setattr(made, "log_dict", lambda values, **_: made.__dict__.setdefault("logged", {}).update(values))
    return made


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    source, target = torch.randn(2, 6, 1, 48, 48, generator=generator).to(torch.float16)
    brain, healthy = torch.rand(2, 6, 1, 48, 48, generator=generator) < 0.5
    return {"source": source, "target": target, "brain": brain, "healthy": healthy}


@pytest.mark.parametrize(("drawn", "mirrored"), [(0.0, True), (0.9, False)])
def test_both_modalities_and_the_brain_are_mirrored_left_to_right_together(task, batch, monkeypatch, drawn, mirrored):
    seen = {}

    def losses(slices):
        seen.update(source=slices.source, target=slices.target, brain=slices.brain, healthy=slices.healthy)
        return {"forward": slices.source.mean(), "backward": slices.target.mean()}

    monkeypatch.setattr(task.method, "losses", losses)
    monkeypatch.setattr(torch, "rand", lambda *size, **_: torch.full(size, drawn))
    task.training_step(batch, 0)
    for name, image in batch.items():
        expected = image.flip(2) if mirrored else image  # (batch, 1, x, y): x runs from left to right
        torch.testing.assert_close(seen[name].float(), expected.float())


def test_about_half_of_the_slices_are_mirrored_and_none_if_not_asked(task, batch, monkeypatch, toy_config):
    seen = []

    def losses(slices):
        seen.append(slices.source)
        return {"forward": slices.source.mean()}

    many = {name: image[:1].expand(400, -1, -1, -1) for name, image in batch.items()}
    monkeypatch.setattr(task.method, "losses", losses)
    torch.manual_seed(0)
    task.training_step(many, 0)
    same = (seen[0] == many["source"]).all(dim=(1, 2, 3)).float().mean().item()
    assert 0.4 < same < 0.6

    training = toy_config.training.model_copy(update={"flip_left_right": False})
    task.config = toy_config.model_copy(update={"training": training})
    task.training_step(many, 0)
    assert torch.equal(seen[1], many["source"].float())


@pytest.mark.parametrize(
    ("method", "weights"),
    [
        ("cyclic-unet", {"forward": 1, "backward": 1}),
        ("veiled-cycle", {"straight": 1, "forward": 0.3, "backward": 0.3, "sigma": 0.02}),
        ("vae", {"reconstruction": 1, "divergence": 1}),
    ],
)
def test_losses_are_summed_by_their_weights_and_logged_without(method, weights, toy_settings, batch, monkeypatch):
    targets = [] if method == "vae" else ["t2"]
    task = TranslationTask(load_config("tiny", {**toy_settings, "method": method, "targets": targets}), 48)
    logged = {}
    monkeypatch.setattr(task, "log_dict", lambda values, **_: logged.update(values))
    losses = {name: torch.tensor(10.0**power) for power, name in enumerate(weights)}
    monkeypatch.setattr(task.method, "losses", lambda _: losses)
    total = task.training_step(batch, 0)
    assert total.item() == pytest.approx(sum(weight * losses[name].item() for name, weight in weights.items()))
    assert logged == {f"train/{name}": loss for name, loss in losses.items()}


def test_validation_reports_the_error_of_the_cheapest_sampler_too(task, batch):
    with torch.inference_mode():
        task.validation_step(batch, 0)
        found = anomaly_map(x := batch["source"].float(), task.method.quick().restorations(x))
    expected = found[batch["healthy"]].mean()
    assert set(task.logged) == {"validation/forward", "validation/backward", "validation/cycle"}
    torch.testing.assert_close(task.logged["validation/cycle"], expected)


# --- what a validation costs ---


def paper(method, batch_size=4, every=50):
    """The sampler of the paper, in a network small enough to be run."""
    return load_config(
        "paper",
        {
            "method": method,
            "targets": ["t2"] if METHODS[method].about.targets != "none" else [],
            "network.channels": [8, 8],
            "network.attention": [False, False],
            "network.norm_groups": 4,
            "network.head_channels": 8,
            "training.batch_size": batch_size,
            "training.validate_every": every,
            "training.steps": 1000,
        },
    )


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("ae", "vae")])
def test_a_validation_costs_a_tenth_of_the_training_before_it(method, phantom_store, monkeypatch):
    """Counted in slices through the networks, of which those in training weigh three.

    With the sampler of the paper, one slice of a validation would be thousands.
    """
    config = paper(method)
    task = TranslationTask(config, 48)
    passed = []
    monkeypatch.setattr(task, "log_dict", lambda *_, **__: None)
    for network in task.method.modules():
        if isinstance(network, UNet):
            network.register_forward_pre_hook(lambda _, inputs: passed.append(len(inputs[0])))
    pairs = SlicePairs(HealthyTissue(phantom_store), "flair", config.targets or ("flair",))
    rows = curve_rows(np.tile(phantom_store.rows("validation", healthy=True), 500), task.method, config.training)
    (batch,) = batch_loader(pairs, [rows], 0, pin_memory=False)

    with torch.inference_mode():
        task.validation_step(batch, 0)
        validation = sum(passed)
        passed.clear()
        task.training_step({name: some[:4] for name, some in batch.items()}, 0)
    training = 3 * sum(passed) * config.training.validate_every

    assert 4 < len(rows) <= 128
    assert validation <= 0.1 * training


@pytest.mark.parametrize(
    ("batch_size", "every", "available", "expected"),
    [(32, 500, 4000, 128), (32, 500, 90, 90), (1, 1, 4000, 4), (1, 1, 3, 3), (4, 50, 4000, 30)],
)
def test_slices_of_the_curves_are_few_spread_and_the_same_at_each_validation(batch_size, every, available, expected):
    """Two networks: in the last case 3 · 2 · 4 · 50 = 1,200 passes to train, a tenth of which is enough for 30 slices,
    each of which passes both networks for the losses, and both once more for what they restore."""
    config = load_config(
        "tiny",
        {"method": "cyclic-unet", "source": "flair", "targets": ["t2"], "training.batch_size": batch_size,
         "training.validate_every": every, "training.steps": 10_000},
    )  # fmt: skip
    method = build_method(config, 48)
    available_rows = np.arange(available) * 7
    rows = curve_rows(available_rows, method, config.training)
    assert len(rows) == len(set(rows)) == expected
    assert {rows[0], rows[-1]} == {0, available_rows[-1]}
    assert np.diff(rows).max() - np.diff(rows).min() <= 7
    np.testing.assert_array_equal(rows, curve_rows(available_rows, method, config.training))


def test_each_network_is_clipped_on_its_own(task):
    for factor, network in ((1e-6, task.method.to_target), (100.0, task.method.to_source)):
        for weight in network.parameters():
            weight.grad = torch.full_like(weight, factor)
    task.configure_gradient_clipping(None)

    def norm(network):
        return math.sqrt(sum(weight.grad.square().sum().item() for weight in network.parameters()))

    assert norm(task.method.to_source) == pytest.approx(1.0, rel=1e-3)
    assert all((weight.grad == 1e-6).all() for weight in task.method.to_target.parameters())


def test_cosine_schedule_warms_up_and_ends_at_zero(task, toy_config):
    task.config = load_config("tiny", {"training.steps": 200})
    rates = [task._rate(step) for step in range(201)]
    assert rates[:10] == pytest.approx([i / 10 for i in range(1, 11)])
    assert rates[10] == 1
    assert rates[105] == pytest.approx(0.5, abs=0.01)
    assert rates[200] == pytest.approx(0, abs=1e-12)
    assert rates[10:] == sorted(rates[10:], reverse=True)

    task.config = load_config("tiny", {"training.schedule": "constant"})
    assert {task._rate(step) for step in (0, 7, 10**6)} == {1.0}


def test_optimiser_has_the_settings_and_all_weights(task, toy_config):
    made = task.configure_optimizers()
    (group,) = made["optimizer"].param_groups
    assert group["initial_lr"] == toy_config.training.learning_rate
    assert group["weight_decay"] == toy_config.training.weight_decay
    assert len(group["params"]) == len(list(task.method.parameters()))
    assert made["lr_scheduler"]["interval"] == "step"
