import pytest
import torch

from mmccd.method.code_network import CodeNetwork
from mmccd.method.unet import UNet
from mmccd.model.config import NetworkConfig


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
