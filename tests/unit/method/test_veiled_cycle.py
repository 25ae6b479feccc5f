"""The veiled cycle with networks whose answers are known."""

import math

import pytest
import torch
from torch import nn

from mmccd.method.anomaly_map import anomaly_map, squared_error
from mmccd.method.intensity import BACKGROUND
from mmccd.method.method import Batch
from mmccd.method.noise import COARSE_DEVIATION
from mmccd.method.veiled_cycle import CYCLE_WEIGHT, SIGMA_WEIGHT, VeiledCycle
from mmccd.model.build import build_method
from mmccd.model.config import load_config

BRAIN = torch.zeros(16, 1, 64, 64, dtype=torch.bool)
BRAIN[..., 8:56, 4:60] = True
EVERYWHERE = torch.ones_like(BRAIN)
SOURCE = torch.where(BRAIN, 1.0, BACKGROUND)


class See(nn.Module):
    """Gives what it is given straight back, as often as there are targets, and one logarithm of sigma."""

    def __init__(self, targets, log_sigma=0.0):
        super().__init__()
        self.targets, self.given = targets, []
        self.weight, self.log_sigma = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(log_sigma))

    def forward(self, images):
        self.given.append(images)
        straight, target = images, self.weight * images.expand(-1, self.targets, -1, -1)
        return torch.cat([straight, target, self.log_sigma.expand_as(images)], dim=1)


class Return(nn.Module):
    """Gives the mean of what it is given, shifted, and one logarithm of sigma."""

    def __init__(self, log_sigma=0.0):
        super().__init__()
        self.log_sigma, self.shift = nn.Parameter(torch.tensor(log_sigma)), nn.Parameter(torch.tensor(0.0))

    def forward(self, images):
        image = images.mean(dim=1, keepdim=True) + self.shift
        return torch.cat([image, self.log_sigma.expand_as(image)], dim=1)


def test_training_sees_coarse_noise_in_the_brain_and_use_sees_none():
    torch.manual_seed(0)
    method = VeiledCycle(See(2), Return())
    method.losses(Batch(SOURCE, SOURCE.expand(-1, 2, -1, -1), BRAIN, EVERYWHERE))
    method.translate(SOURCE)
    veiled, plain = method.to_target.given
    assert torch.equal(plain, SOURCE - BACKGROUND)
    assert (veiled[~BRAIN] == 0).all()  # the background is where the networks count from
    noise = (veiled - plain)[BRAIN].reshape(16, -1)
    assert noise.std() == pytest.approx(COARSE_DEVIATION * 2 / 3, rel=0.1)
    assert noise.corrcoef().fill_diagonal_(0).abs().max() < 0.5


def test_losses_are_the_errors_under_the_veil_and_the_likelihood_in_the_brain():
    torch.manual_seed(0)
    method = VeiledCycle(See(2, log_sigma=0.25), Return(log_sigma=0.5))
    with torch.no_grad():
        method.to_source.shift.fill_(0.5)
    target = torch.full((16, 2, 64, 64), 3.0)
    losses = method.losses(Batch(SOURCE, target, BRAIN, EVERYWHERE))
    veiled = method.to_target.given[0] + BACKGROUND
    straight, forward, back = (veiled - SOURCE).square(), (veiled - target).square(), (veiled + 0.5 - SOURCE).square()
    assert losses["straight"].item() == pytest.approx(straight.mean().item(), rel=1e-4)
    assert losses["forward"].item() == pytest.approx(forward.mean().item(), rel=1e-4)
    assert losses["backward"].item() == pytest.approx(back.mean().item(), rel=1e-4)
    likelihood = 0.5 * straight[BRAIN].mean() / math.exp(0.5) + 0.25 + 0.5 * back[BRAIN].mean() / math.exp(1.0) + 0.5
    assert losses["sigma"].item() == pytest.approx(likelihood.item(), rel=1e-4)


def test_the_whole_cycle_is_trained_but_sigma_does_not_bend_the_restorations():
    method = VeiledCycle(See(1), Return())
    losses = method.losses(Batch(SOURCE, SOURCE, BRAIN, EVERYWHERE))
    seen, back = method.to_target, method.to_source
    weights = (seen.weight, back.shift, seen.log_sigma, back.log_sigma)
    given = {name: torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True, materialize_grads=True)
             for name, loss in losses.items() if loss.requires_grad}  # fmt: skip
    assert given["backward"][0].abs() > 0  # the error of the cycle reaches f
    assert given["forward"][0].abs() > 0
    assert given["forward"][1:] == (0, 0, 0)
    assert given["sigma"][:2] == (0, 0)
    assert all(gradient.abs() > 0 for gradient in given["sigma"][2:])


@pytest.mark.parametrize("network", ["to_target", "to_source"])
def test_the_sigma_of_least_loss_is_the_standard_deviation_of_the_error(network):
    method = VeiledCycle(See(1), Return())
    with torch.no_grad():
        grid = torch.linspace(-2, 1, 61)
        found = []
        for value in grid:
            getattr(method, network).log_sigma.fill_(value)
            torch.manual_seed(1)
            found.append(method.losses(Batch(SOURCE, SOURCE, BRAIN, EVERYWHERE))["sigma"])
        veiled = method.to_target.given[0] + BACKGROUND
    best = grid[int(torch.stack(found).argmin())]
    assert best.exp().item() == pytest.approx((veiled - SOURCE)[BRAIN].square().mean().sqrt().item(), rel=0.06)


def test_every_restoration_has_a_sigma_and_the_square_does_not_mind_it():
    method = VeiledCycle(See(2, log_sigma=math.log(0.5)), Return(log_sigma=math.log(0.25)))
    with torch.no_grad():
        method.to_source.shift.fill_(2)
        (made,) = method.restorations(SOURCE)
        target, through = method.translate(SOURCE)
    assert (target.shape, through.shape) == ((16, 2, 64, 64), SOURCE.shape)
    assert made.hidden.shape == (1, 1, 1, 64, 64)
    assert made.hidden.all()
    # of pixels by themselves, in a slice that is symmetric
    assert torch.equal(made.restored[:, :, :2], made.restored[:, :, 2:])
    assert torch.equal(made.sigma[:, :, :2], made.sigma[:, :, 2:])
    straight, back = made.restored[0, :, :2].unsqueeze(2).unbind(dim=1)
    its_sigma, sigma_of_back = made.sigma[0, :, :2].unsqueeze(2).unbind(dim=1)
    torch.testing.assert_close(straight, SOURCE)
    torch.testing.assert_close(back, through)
    torch.testing.assert_close(its_sigma, torch.full_like(SOURCE, 0.5))
    torch.testing.assert_close(sigma_of_back, torch.full_like(SOURCE, 0.25))
    for x, least in ((SOURCE, 0), (SOURCE + 0.5, 0.25), (SOURCE + 1.5, 0.25)):  # the cycle comes back 2 too high
        of_both = anomaly_map(x, [made], squared_error)
        torch.testing.assert_close(of_both, torch.full_like(SOURCE, least))


def test_a_slice_is_restored_as_its_mirror_image_too():
    class Lean(See):
        """Adds more the further left it is, to all that it gives."""

        def forward(self, images):
            return super().forward(images) + torch.linspace(0, 1, images.shape[-2])[:, None]

    source = SOURCE + torch.randn(SOURCE.shape, generator=torch.Generator().manual_seed(0))
    method = VeiledCycle(Lean(2), Return())
    with torch.no_grad():
        (plain,), (mirrored,) = method.restorations(source), method.restorations(source.flip(2))
    assert (plain.restored[:, :, :2] - plain.restored[:, :, 2:]).abs().max() > 0.9  # it leans to the other side
    for ways, of_mirror in ((plain.restored, mirrored.restored), (plain.sigma, mirrored.sigma)):
        torch.testing.assert_close(ways[:, :, 2:], of_mirror[:, :, :2].flip(3))
        torch.testing.assert_close(ways[:, :, :2], of_mirror[:, :, 2:].flip(3))


@pytest.mark.parametrize(("flipped", "ways"), [(True, 4), (False, 2)])
def test_networks_that_never_saw_a_mirror_image_are_not_given_one(flipped, ways):
    config = load_config(["tiny", "best"], {"targets": ["t2"], "training.flip_left_right": flipped})
    method = build_method(config, 64)
    with torch.no_grad():
        (made,) = method.restorations(SOURCE[:1])
    assert made.restored.shape == made.sigma.shape == (1, 1, ways, 64, 64)
    assert method.evaluations == ways


@pytest.mark.parametrize(("said", "kept"), [(-50.0, -4.0), (50.0, 2.0)])
def test_no_sigma_is_nothing_or_without_bound(said, kept):
    with torch.no_grad():
        (made,) = VeiledCycle(See(1, said), Return(said)).restorations(SOURCE)
    torch.testing.assert_close(made.sigma, torch.full((1, 16, 4, 64, 64), math.exp(kept)))


def test_sigma_is_learnt_in_the_brain_alone_not_where_it_merely_touches_a_pixel():
    """Pixels at the rim hold a little of the brain, are above the background, and are not scored."""
    rim = torch.zeros_like(BRAIN)
    rim[..., 7, 4:60] = True
    source = torch.where(rim, BACKGROUND + 0.5, SOURCE)
    method = VeiledCycle(See(1), Return())

    def loss(change):
        torch.manual_seed(0)
        return method.losses(Batch(torch.where(rim, source + change, source), source, BRAIN, EVERYWHERE))["sigma"]

    torch.testing.assert_close(loss(0.0), loss(3.0))


def test_parts_of_the_loss_weigh_as_they_did():
    weights = {name: loss.weight for name, loss in VeiledCycle.about.losses.items()}
    assert weights == {"straight": 1.0, "forward": CYCLE_WEIGHT, "backward": CYCLE_WEIGHT, "sigma": SIGMA_WEIGHT}
    assert (CYCLE_WEIGHT, SIGMA_WEIGHT) == (0.3, 0.02)


def test_a_slice_without_brain_is_no_division_by_zero():
    nothing = torch.full((2, 1, 64, 64), BACKGROUND)
    assert (
        VeiledCycle(See(1), Return()).losses(Batch(nothing, nothing, nothing > BACKGROUND, nothing < 0))["sigma"] == 0
    )
