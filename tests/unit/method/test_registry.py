"""What is asked of every method, so that the rest of the house needs to know none of them."""

import re

import pytest
import torch

from mmccd.method.anomaly_map import anomaly_map
from mmccd.method.method import Batch
from mmccd.method.registry import METHODS
from mmccd.model.build import build_method
from mmccd.model.config import load_config

SIZE_PX = 32


@pytest.fixture(params=METHODS)
def method(request, toy_settings):
    targets = {"none": [], "one": ["t2"], "all": ["t1", "t2"]}[METHODS[request.param].about.targets]
    few_steps = {"diffusion.combs": 2, "diffusion.mask_width_mm": 60, "diffusion.sampling_steps": 4}
    settings = {**toy_settings, "method": request.param, "targets": targets, **few_steps}
    torch.manual_seed(0)
    return build_method(load_config("tiny", settings), SIZE_PX).eval()


@pytest.fixture
def slices():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 1, SIZE_PX, SIZE_PX, generator=generator)


def test_it_says_what_it_is(method):
    about = method.about
    assert about.label
    assert about.phrase[0].islower() or about.phrase.startswith(about.label.split()[0])
    assert about.references
    assert all(re.search(r"\b(19|20)\d\d\b", reference) for reference in about.references)
    titles = [loss.title.format(source="flair", targets="t2") for loss in about.losses.values()]
    assert len(titles) == len(set(titles)) > 0


def test_no_two_methods_have_one_label():
    labels = [method.about.label for method in METHODS.values()]
    assert len(labels) == len(set(labels))


def test_its_losses_are_those_that_it_names(method, slices):
    targets = method.translate(slices)[0].shape[1] or 1
    batch = Batch(slices, slices.expand(-1, targets, -1, -1), slices > 0, torch.ones_like(slices, dtype=torch.bool))
    losses = method.losses(batch)
    assert set(losses) == set(method.about.losses)
    assert all(loss.shape == () and loss.isfinite() for loss in losses.values())


def test_nothing_is_learnt_where_nothing_is_healthy(method, slices):
    targets = method.translate(slices)[0].shape[1] or 1
    nowhere = torch.zeros_like(slices, dtype=torch.bool)
    losses = method.losses(Batch(slices, slices.expand(-1, targets, -1, -1), slices > 0, nowhere))
    assert {name: loss.item() for name, loss in losses.items() if name != "divergence"} == dict.fromkeys(
        losses.keys() - {"divergence"}, 0.0
    )


def test_a_squared_error_is_of_what_is_healthy():
    found, wanted = torch.arange(8.0).reshape(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    healthy = torch.tensor([1, 1, 0, 0, 1, 0, 0, 0], dtype=torch.bool).reshape(2, 1, 2, 2)
    batch = Batch(wanted, wanted, healthy, healthy)
    assert batch.squared_error(found, wanted) == (0 + 1 + 16) / 3
    both = torch.cat([found, 2 * found], dim=1)
    assert batch.squared_error(both, torch.zeros_like(both)) == (0 + 1 + 16) * 5 / 6
    assert batch.squared_error(found, wanted, found > 0) == (1 + 16) / 2


def test_restorations_cover_the_slice(method, slices):
    with torch.inference_mode():
        found = list(method.restorations(slices))
        assert torch.stack([one.hidden.any(dim=0) for one in found]).any(dim=0).all()
        whole = anomaly_map(slices, method.restorations(slices))
    assert whole.shape == slices.shape
    assert whole.isfinite().all()
    assert (whole >= 0).all()


def test_the_quick_way_has_the_same_weights_and_costs_no_more(method, slices):
    quick = method.quick()
    assert quick.evaluations <= method.evaluations
    for name, weight in method.state_dict().items():
        assert quick.state_dict()[name].data_ptr() == weight.data_ptr(), name
    with torch.inference_mode():
        assert anomaly_map(slices, quick.restorations(slices)).isfinite().all()


def test_it_is_drawn(method, slices):
    with torch.inference_mode():
        target, restored = method.translate(slices)
    assert target.shape[1:] == (len(modalities_of(method)), SIZE_PX, SIZE_PX)
    assert restored.shape == slices.shape


def modalities_of(method):
    return {"none": (), "one": ("t2",), "all": ("t1", "t2")}[method.about.targets]
