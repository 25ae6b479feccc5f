"""The same maps from another engine, which tells nobody that it runs."""

import sys

import pytest
import torch

from mmccd.errors import ConfigError
from mmccd.method.anomaly_map import anomaly_map
from mmccd.method.masked_cycle import MaskedCycle
from mmccd.method.unet import UNet
from mmccd.model.build import build_method
from mmccd.model.openvino import CompiledUNet, accelerate
from mmccd.system.devices import has_bf16

pytestmark = pytest.mark.openvino


def shaken(config, **changed):
    """An untrained method with random weights: a fresh network's last layer is zero, and so is whatever it makes."""
    network = config.network.model_copy(update={"attention": (False, True)})
    diffusion = config.diffusion.model_copy(update={"sampling_steps": 2})
    torch.manual_seed(0)
    method = build_method(config.model_copy(update={"network": network, "diffusion": diffusion, **changed}), 48).eval()
    for weight in method.requires_grad_(False).parameters():
        weight.add_(0.05 * torch.randn_like(weight))
    return method.to(memory_format=torch.channels_last)


@pytest.fixture(scope="module", params=["cyclic-unet", "mmccd", "veiled-cycle"])
def method(request, toy_config):
    return shaken(toy_config, method=request.param, targets=("t1", "t2"))


@pytest.fixture(scope="module")
def accelerated(method):
    return accelerate(method, bf16=False)


def maps(method, size, *, bf16=False):
    """Maps as `mmccd.model.scorer` asks for them, of (batch, side) random slices."""
    generator = torch.Generator().manual_seed(1)
    source = torch.randn(size[0], 1, size[1], size[1], generator=generator).to(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return anomaly_map(source, method.restorations(source)).float()


def test_maps_are_those_of_torch_whatever_the_size(method, accelerated):
    sizes = ((1, 48), (5, 48), (2, 48), *([] if isinstance(method, MaskedCycle) else [(3, 32)]))  # masks have a size
    for size in sizes:
        expected = maps(method, size)
        assert expected.std() > 0.1
        torch.testing.assert_close(maps(accelerated, size), expected, rtol=1e-3, atol=1e-3)


def test_bf16_is_close(method):
    """The bound is loose: rounding to 8 bits, in every layer, of a squared difference."""
    expected, found = maps(method, (4, 48)), maps(accelerate(method, bf16=True), (4, 48), bf16=True)
    assert (found - expected).abs().mean() < 0.05 * expected.std()
    assert (found - expected).abs().mean() > 1e-4 * expected.std() or not has_bf16(torch.device("cpu"))  # it was used
    assert torch.corrcoef(torch.stack([found.ravel(), expected.ravel()]))[0, 1] > 0.99


def test_the_method_itself_is_left_as_it_is(method, accelerated):
    assert [type(network) for network in method.children()] == [UNet, UNet]
    assert [type(network) for network in accelerated.children()] == [CompiledUNet, CompiledUNet]


def test_time_steps_count(toy_config):
    network = shaken(toy_config).to_target
    compiled, images = CompiledUNet(network, bf16=False), torch.randn(2, 1, 32, 32)
    for steps in (None, torch.tensor([0, 7])):
        torch.testing.assert_close(compiled(images, steps), network(images, steps), rtol=1e-3, atol=1e-3)
    assert (compiled(images) - compiled(images, torch.tensor([0, 7])))[1].abs().max() > 1e-2


def test_nobody_is_told(accelerated):
    assert sys.modules["openvino.tools.ovc.telemetry_utils"].tm.__name__ == "openvino.tools.ovc.telemetry_stub"
    assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]


def test_without_openvino_it_says_what_to_install(method, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match="OpenVINO") as caught:
        accelerate(method, bf16=False)
    assert "pip install 'mmccd[openvino]'" in caught.value.hint
