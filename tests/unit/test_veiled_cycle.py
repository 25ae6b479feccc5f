"""The veiled cycle with networks whose answers are known."""

import math

import pytest
import torch
from torch import nn

from mmccd.cycle import cycle_map, squared_error
from mmccd.intensity import BACKGROUND
from mmccd.noise import COARSE_DEVIATION
from mmccd.veiled_cycle import SPREAD_WEIGHT, VeiledCycle

BRAIN = torch.zeros(16, 1, 64, 64, dtype=torch.bool)
BRAIN[..., 8:56, 4:60] = True
SOURCE = torch.where(BRAIN, 1.0, BACKGROUND)


class Copy(nn.Module):
    """Gives what it is given, as often as it has channels to give, and remembers it."""

    def __init__(self, channels):
        super().__init__()
        self.channels, self.given, self.weight = channels, [], nn.Parameter(torch.tensor(1.0))

    def forward(self, images):
        self.given.append(images)
        return self.weight * images.mean(dim=1, keepdim=True).expand(-1, self.channels, -1, -1)


class Sure(nn.Module):
    """Gives the mean of what it is given and one logarithm of the spread."""

    def __init__(self, log_spread):
        super().__init__()
        self.log_spread, self.shift = nn.Parameter(torch.tensor(log_spread)), nn.Parameter(torch.tensor(0.0))

    def forward(self, images):
        image = images.mean(dim=1, keepdim=True) + self.shift
        return torch.cat([image, self.log_spread.expand_as(image)], dim=1)


def test_training_sees_coarse_noise_in_the_brain_and_use_sees_none():
    torch.manual_seed(0)
    method = VeiledCycle(Copy(2), Sure(0.0))
    method.losses(SOURCE, SOURCE.expand(-1, 2, -1, -1))
    method.cycle(SOURCE)
    veiled, plain = method.to_target.given
    assert torch.equal(plain, SOURCE - BACKGROUND)
    assert (veiled[~BRAIN] == 0).all()  # the background is where the networks count from
    noise = (veiled - plain)[BRAIN].reshape(16, -1)
    assert noise.std() == pytest.approx(COARSE_DEVIATION * 2 / 3, rel=0.1)
    assert noise.corrcoef().fill_diagonal_(0).abs().max() < 0.5


def test_losses_are_the_errors_under_the_veil_and_the_surprise_in_the_brain():
    torch.manual_seed(0)
    method = VeiledCycle(Copy(2), Sure(0.5))
    target = torch.full((16, 2, 64, 64), 3.0)
    losses = method.losses(SOURCE, target)
    veiled = method.to_target.given[0] + BACKGROUND
    assert losses["forward"].item() == pytest.approx((veiled - target).square().mean().item(), rel=1e-4)
    assert losses["backward"].item() == pytest.approx((veiled - SOURCE).square().mean().item(), rel=1e-4)
    surprise = 0.5 * (veiled - SOURCE)[BRAIN].square().mean() / math.exp(1.0) + 0.5
    assert losses["spread"].item() == pytest.approx(SPREAD_WEIGHT * surprise.item(), rel=1e-4)


def test_the_whole_cycle_is_trained_but_the_spread_does_not_bend_the_restoration():
    method = VeiledCycle(Copy(1), Sure(0.0))
    losses = method.losses(SOURCE, SOURCE)
    forward, restored, spread = method.to_target.weight, method.to_source.shift, method.to_source.log_spread
    given = {name: torch.autograd.grad(loss, (forward, restored, spread), retain_graph=True, allow_unused=True)
             for name, loss in losses.items()}  # fmt: skip
    assert given["backward"][0].abs() > 0  # the error of the cycle reaches f
    assert given["forward"][1:] == (None, None)
    assert given["spread"][:2] == (0, 0)
    assert given["spread"][2].abs() > 0


def test_the_spread_that_surprises_least_is_the_standard_deviation_of_the_error():
    torch.manual_seed(0)
    method = VeiledCycle(Copy(1), Sure(0.0))
    with torch.no_grad():
        grid = torch.linspace(-2, 1, 61)
        found = []
        for value in grid:
            method.to_source.log_spread.fill_(value)
            torch.manual_seed(1)
            found.append(method.losses(SOURCE, SOURCE)["spread"])
        veiled = method.to_target.given[0] + BACKGROUND
    best = grid[int(torch.stack(found).argmin())]
    assert best.exp().item() == pytest.approx((veiled - SOURCE)[BRAIN].square().mean().sqrt().item(), rel=0.06)


def test_a_restoration_has_a_spread_and_the_square_does_not_mind_it():
    method = VeiledCycle(Copy(2), Sure(math.log(0.25)))
    with torch.no_grad():
        method.to_source.shift.fill_(2)
        ((hidden, restored),) = method.restorations(SOURCE)
        target, whole = method.cycle(SOURCE)
    assert (target.shape, whole.shape) == ((16, 2, 64, 64), SOURCE.shape)
    assert hidden.shape == (1, 1, 1, 64, 64)
    assert hidden.all()
    assert restored.shape == (1, 16, 2, 64, 64)
    torch.testing.assert_close(restored[0, :, :1], whole)
    torch.testing.assert_close(restored[0, :, 1:], torch.full_like(SOURCE, 0.25))
    torch.testing.assert_close(cycle_map(SOURCE, [(hidden, restored)], squared_error), torch.full_like(SOURCE, 4))


@pytest.mark.parametrize(("said", "kept"), [(-50.0, -4.0), (50.0, 2.0)])
def test_no_spread_is_nothing_or_without_bound(said, kept):
    with torch.no_grad():
        ((_, restored),) = VeiledCycle(Copy(1), Sure(said)).restorations(SOURCE)
    torch.testing.assert_close(restored[:, :, 1:], torch.full((1, 16, 1, 64, 64), math.exp(kept)))


def test_a_slice_without_brain_is_no_division_by_zero():
    nothing = torch.full((2, 1, 64, 64), BACKGROUND)
    assert VeiledCycle(Copy(1), Sure(0.0)).losses(nothing, nothing)["spread"] == 0
