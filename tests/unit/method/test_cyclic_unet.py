import pytest
import torch
from torch import nn

from mmccd.method.anomaly_map import anomaly_map
from mmccd.method.cyclic_unet import CyclicUNet
from mmccd.method.method import Batch


class Line(nn.Module):
    """y = a x + b."""

    def __init__(self, a, b=0.0):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(float(a))), nn.Parameter(torch.tensor(float(b)))

    def forward(self, image):
        return self.a * image + self.b


X, Y = torch.randn(2, 3, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_a_perfect_cycle_scores_zero_and_another_its_squared_error():
    assert anomaly_map(X, CyclicUNet(Line(2), Line(0.5)).restorations(X)).abs().max() == 0
    torch.testing.assert_close(anomaly_map(X, CyclicUNet(Line(2), Line(0.5, 3)).restorations(X)), torch.full_like(X, 9))
    torch.testing.assert_close(anomaly_map(X, CyclicUNet(Line(2), Line(1, 1)).restorations(X)), (X + 1) ** 2)


def test_translation_and_restoration():
    target, restored = CyclicUNet(Line(2, 1), Line(3)).translate(X)
    torch.testing.assert_close(target, 2 * X + 1)
    torch.testing.assert_close(restored, 6 * X + 3)


def test_losses_are_mean_squared_errors_of_each_network_alone():
    method = CyclicUNet(Line(2), Line(3))
    losses = method.losses(Batch(X, Y, *[torch.ones_like(X, dtype=torch.bool)] * 2))
    assert losses["forward"].item() == pytest.approx(((2 * X - Y) ** 2).mean().item(), rel=1e-5)
    assert losses["backward"].item() == pytest.approx(((3 * Y - X) ** 2).mean().item(), rel=1e-5)
    losses["forward"].backward()
    assert method.to_target.a.grad is not None
    assert method.to_source.a.grad is None


def test_it_has_no_quicker_way_than_its_two_evaluations():
    method = CyclicUNet(Line(2), Line(3))
    assert method.quick() is method
    assert method.evaluations == 2
