import math

import pytest
import torch

from mmccd.method.cycle import cycle_map
from mmccd.model.config import load_config
from mmccd.training.task import TranslationTask


@pytest.fixture
def task(toy_config, monkeypatch):
    made = TranslationTask(toy_config)
    monkeypatch.setattr(made, "log_dict", lambda values, **_: made.__dict__.setdefault("logged", {}).update(values))
    return made


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    source, target = torch.randn(2, 6, 1, 48, 48, generator=generator).to(torch.float16)
    return {"source": source, "target": target}


@pytest.mark.parametrize(("drawn", "mirrored"), [(0.0, True), (0.9, False)])
def test_both_modalities_are_mirrored_left_to_right_together(task, batch, monkeypatch, drawn, mirrored):
    seen = {}

    def losses(source, target):
        seen.update(source=source, target=target)
        return {"forward": source.mean(), "backward": target.mean()}

    monkeypatch.setattr(task.method, "losses", losses)
    monkeypatch.setattr(torch, "rand", lambda *size, **_: torch.full(size, drawn))
    task.training_step(batch, 0)
    for name, image in batch.items():
        expected = image.flip(2) if mirrored else image  # (batch, 1, x, y): x runs from left to right
        torch.testing.assert_close(seen[name], expected.float())


def test_about_half_of_the_slices_are_mirrored_and_none_if_not_asked(task, batch, monkeypatch, toy_config):
    seen = []

    def losses(source, target):
        seen.append(source)
        return {"forward": source.mean()}

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


def test_the_loss_is_the_sum_of_the_networks_losses(task, batch, monkeypatch):
    monkeypatch.setattr(task.method, "losses", lambda *_: {"forward": torch.tensor(2.0), "backward": torch.tensor(3.0)})
    assert task.training_step(batch, 0) == 5
    assert task.logged == {"train/forward": 2, "train/backward": 3}


def test_validation_reports_the_cycle_error_too(task, batch):
    with torch.inference_mode():
        task.validation_step(batch, 0)
        expected = cycle_map(x := batch["source"].float(), task.method.restorations(x)).mean()
    assert set(task.logged) == {"validation/forward", "validation/backward", "validation/cycle"}
    torch.testing.assert_close(task.logged["validation/cycle"], expected)


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
