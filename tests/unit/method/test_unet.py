import pytest
import torch

from mmccd.method.unet import UNet
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


@pytest.mark.parametrize("attention", [(False, True, False), (True, False, True)])
@pytest.mark.parametrize("residual_blocks", [1, 2])
def test_it_is_monais_network_with_the_same_weights_from_the_same_seed(attention, residual_blocks):
    from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet

    sizes = {"channels": (16, 32, 48), "num_head_channels": 16, "norm_num_groups": 8, "num_res_blocks": residual_blocks}
    torch.manual_seed(3)
    theirs = DiffusionModelUNet(
        spatial_dims=2, in_channels=2, out_channels=3, attention_levels=attention, resblock_updown=True,
        use_flash_attention=True, **sizes,
    ).eval()  # fmt: skip
    torch.manual_seed(3)
    ours = UNet(
        2, 3, channels=(16, 32, 48), attention=attention, residual_blocks=residual_blocks, norm_groups=8,
        head_channels=16, patch_px=1,
    ).eval()  # fmt: skip
    drawn, expected = ours.unet.state_dict(), theirs.state_dict()
    assert drawn.keys() == expected.keys()
    for name, weight in expected.items():
        assert torch.equal(drawn[name], weight), name
    for weight in theirs.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    ours.unet.load_state_dict(theirs.state_dict())
    images, timesteps = torch.randn(2, 2, 16, 24), torch.tensor([0, 700])
    with torch.inference_mode():
        torch.testing.assert_close(ours(images, timesteps), theirs(images, timesteps), rtol=1e-5, atol=1e-6)
