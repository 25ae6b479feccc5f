import pytest
import torch

from mmccd.method.networks import CodeNetwork, UNet
from mmccd.model.config import NetworkConfig


def small(in_channels=1, **changed):
    """With weights shaken: the last layer starts at zero, and zero equals zero whatever was computed before."""
    sizes = dict(channels=(16, 16), attention=(False, True), residual_blocks=1, norm_groups=8, head_channels=16)
    torch.manual_seed(0)
    network = UNet(in_channels, **(sizes | {"patch_px": 1} | changed)).eval()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return network


@pytest.mark.parametrize("patch_px", [1, 2, 4])
@pytest.mark.parametrize("in_channels", [1, 2])
def test_size_is_kept_at_multiples_of_the_divisor(patch_px, in_channels):
    network = small(in_channels, patch_px=patch_px)
    assert network.divisor_px == 2 * patch_px
    images = torch.randn(2, in_channels, 6 * patch_px, 4 * patch_px)
    with torch.inference_mode():
        result = network(images)
    assert result.shape == (2, 1, 6 * patch_px, 4 * patch_px)
    assert result.std() > 1e-3


def test_no_timestep_is_timestep_zero_and_others_matter():
    network, images = small(), torch.randn(2, 1, 8, 8)
    with torch.inference_mode():
        at_zero, at_five = (network(images, torch.full((2,), t)) for t in (0, 5))
        assert torch.equal(network(images), at_zero)
        assert (at_zero - at_five).abs().max() > 1e-3


def test_slices_of_a_batch_do_not_mix():
    network, images = small(patch_px=2), torch.randn(3, 1, 8, 8)
    with torch.inference_mode():
        whole = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(whole, alone, rtol=1e-4, atol=1e-4)


def test_size_of_the_paper():
    with torch.device("meta"):
        network = UNet(1, **NetworkConfig().model_dump())
    assert sum(weight.numel() for weight in network.parameters()) / 1e6 == pytest.approx(6.27, abs=0.005)
    assert network.divisor_px == 16


# --- the network with a code ---


def small_code(**changed):
    torch.manual_seed(0)
    sizes = dict(channels=(16, 16), residual_blocks=1, norm_groups=8, patch_px=1)
    network = CodeNetwork(**(sizes | changed)).eval()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return network


@pytest.mark.parametrize("patch_px", [1, 2, 4])
def test_the_code_is_small_and_the_image_comes_back_at_its_size(patch_px):
    network = small_code(patch_px=patch_px, code_channels=3)
    assert network.divisor_px == 2 * patch_px
    with torch.inference_mode():
        mean, deviation = network.encode(torch.randn(2, 1, 6 * patch_px, 4 * patch_px))
        image = network.decode(mean)
    assert mean.shape == deviation.shape == (2, 3, 3, 2)
    assert (deviation > 0).all()
    assert (mean - deviation).abs().max() > 1e-3
    assert image.shape == (2, 1, 6 * patch_px, 4 * patch_px)
    assert image.std() > 1e-3


def test_codes_of_a_batch_do_not_mix():
    network, images = small_code(patch_px=2), torch.randn(3, 1, 8, 8)
    with torch.inference_mode():
        whole = network.decode(network.encode(images)[0])
        alone = torch.cat([network.decode(network.encode(image[None])[0]) for image in images])
    assert (whole[0] - whole[1]).abs().max() > 1e-3
    torch.testing.assert_close(whole, alone, rtol=1e-4, atol=1e-4)


def test_size_of_the_paper_of_the_code():
    sizes = NetworkConfig().model_dump(exclude={"attention", "head_channels"})
    with torch.device("meta"):
        network = CodeNetwork(**sizes)
        mean, _ = network.encode(torch.zeros(1, 1, 128, 128))
    assert mean.numel() == 128
    assert network.divisor_px == UNet(1, **NetworkConfig().model_dump()).divisor_px
