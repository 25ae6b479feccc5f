import pytest
import torch

from mmccd.errors import ConfigError
from mmccd.method.anomaly_map import Restoration, anomaly_map, squared_error
from mmccd.method.baselines.autoencoder import Autoencoder
from mmccd.method.baselines.denoising_autoencoder import DenoisingAutoencoder
from mmccd.method.baselines.diffusion_reconstruction import AnoDDPM, DiffusionReconstruction
from mmccd.method.baselines.patched_diffusion import PatchedDiffusion, patch_masks
from mmccd.method.baselines.variational_autoencoder import VariationalAutoencoder
from mmccd.method.code_network import CodeNetwork
from mmccd.method.method import Batch
from mmccd.method.noise import gaussian, simplex
from mmccd.method.registry import METHODS
from mmccd.method.unet import UNet
from mmccd.model.build import build_error, build_method, check_fits, masks_of
from mmccd.model.config import DiffusionConfig, load_config
from mmccd.scoring.evidence import TailEvidence, count_pairs


def batch(source, target):
    everywhere = torch.ones_like(source, dtype=torch.bool)
    return Batch(source, target, everywhere, everywhere)


def test_the_seed_decides_the_weights_and_the_networks_differ(toy_config):
    def weights(seed):
        torch.manual_seed(seed)
        return build_method(toy_config, 48).state_dict()

    first, same, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    forward = {name.removeprefix("to_target."): w for name, w in first.items() if name.startswith("to_target.")}
    backward = {name.removeprefix("to_source."): w for name, w in first.items() if name.startswith("to_source.")}
    assert len(forward) + len(backward) == len(first)
    assert any(forward[name].shape == w.shape and not torch.equal(forward[name], w) for name, w in backward.items())


def test_every_method_has_what_training_and_scoring_call(toy_config):
    for name in METHODS:
        method = build_method(toy_config.model_copy(update={"method": name}), 48)
        assert method.about is METHODS[name].about
        assert method.evaluations >= method.quick().evaluations > 0
        for call in ("losses", "translate", "restorations"):
            assert callable(getattr(method, call))


# --- several targets ---


@pytest.fixture
def both_targets(toy_config):
    """A method that translates FLAIR to T2 and T1 at once; weights shaken, as the last layer starts at zero."""

    def build(name, **diffusion):
        changed = {"method": name, "targets": ("t2", "t1")}
        changed["diffusion"] = toy_config.diffusion.model_copy(update=diffusion)
        torch.manual_seed(0)
        method = build_method(toy_config.model_copy(update=changed), 48)
        with torch.no_grad():
            for weight in method.parameters():
                weight.add_(0.05 * torch.randn(weight.shape))
        return method

    return build


@pytest.mark.parametrize(
    ("name", "diffusion"),
    [
        ("cyclic-unet", {}),
        ("mmccd", {}),
        ("mmccd", {"sampling_steps": 2, "masks": "stripes", "stripe_stride_mm": 30.0}),
        ("veiled-cycle", {}),
    ],
)
def test_two_targets_are_made_and_translated_back_together(both_targets, name, diffusion):
    method = both_targets(name, **diffusion)
    source, target = torch.randn(3, 1, 48, 48), torch.randn(3, 2, 48, 48)

    losses = method.losses(batch(source, target))
    own = {"straight", "sigma"} if name == "veiled-cycle" else set()
    assert {key: loss.shape for key, loss in losses.items()} == dict.fromkeys({"forward", "backward"} | own, ())
    assert losses.keys() == method.about.losses.keys()
    sum(losses.values()).backward()
    assert all(weight.grad is not None for weight in method.parameters())

    with torch.inference_mode():
        translated, restored = method.translate(source)
        assert (translated.shape, restored.shape) == (target.shape, source.shape)
        assert (translated[:, 0] - translated[:, 1]).abs().max() > 0.01
        found = anomaly_map(source, method.restorations(source))
    assert found.shape == source.shape
    assert torch.isfinite(found).all()
    assert (found > 0).float().mean() > 0.9


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.about.targets != "none"])
def test_both_targets_count_in_the_loss_and_in_the_restored_slice(both_targets, name):
    method = both_targets(name)
    source, target = torch.randn(2, 1, 48, 48), torch.randn(2, 2, 48, 48)
    with torch.inference_mode():
        for channel in (0, 1):
            other = target.clone()
            other[:, channel] += 3
            torch.manual_seed(0)
            before = method.losses(batch(source, target))
            torch.manual_seed(0)
            after = method.losses(batch(source, other))
            assert after["forward"] > before["forward"] + 1
            assert (method.to_source(other) - method.to_source(target)).abs().max() > 0.01


@pytest.mark.parametrize(
    ("name", "given", "seen", "back"), [("cyclic-unet", 1, 2, 1), ("mmccd", 3, 2, 1), ("veiled-cycle", 1, 4, 2)]
)
def test_channels_of_the_networks_follow_the_targets(both_targets, name, given, seen, back):
    def channels(network):
        first, last = network.unet.conv_in.conv, network.unet.out[-1].conv
        return first.in_channels // 4, last.out_channels // 4  # folded in blocks of 2 x 2

    method = both_targets(name)
    assert channels(method.to_target) == (given, seen)
    assert channels(method.to_source) == (2, back)


# --- methods without a target ---


@pytest.mark.parametrize(
    ("name", "kind", "network"),
    [
        ("ae", Autoencoder, CodeNetwork),
        ("vae", VariationalAutoencoder, CodeNetwork),
        ("dae", DenoisingAutoencoder, UNet),
        ("ddpm", DiffusionReconstruction, UNet),
        ("anoddpm", AnoDDPM, UNet),
        ("pddpm", PatchedDiffusion, UNet),
    ],
)
def test_a_method_is_what_its_name_says(toy_settings, name, kind, network):
    method = build_method(load_config("tiny", toy_settings | {"method": name}), 48)
    assert type(method) is kind
    assert [type(child) for child in method.children()] == [network]
    assert method.network.divisor_px == 4  # blocks of 2 x 2, and two levels


def test_ddpm_and_anoddpm_differ_in_their_noise(toy_settings):
    ddpm, anoddpm, pddpm = (
        build_method(load_config("tiny", toy_settings | {"method": name}), 48) for name in ("ddpm", "anoddpm", "pddpm")
    )
    assert (ddpm.draw, anoddpm.draw, pddpm.draw) == (gaussian, simplex, simplex)
    torch.testing.assert_close(pddpm.patches, patch_masks(48))


@pytest.mark.parametrize("name", ["ddpm", "anoddpm", "pddpm"])
def test_diffusion_starts_where_the_config_says(toy_settings, name):
    def steps(**diffusion):
        changed = {f"diffusion.{key}": value for key, value in diffusion.items()}
        return build_method(load_config("tiny", toy_settings | {"method": name} | changed), 48).steps

    assert steps() == (900,)
    assert steps(start_step=500) == (500,)
    assert steps(start_step=99, sampling_steps=4) == (99, 74, 49, 24)
    assert steps(start_step=99, sampling_steps=4, spacing="leading") == (75, 50, 25, 0)
    for wrong in ({"start_step": 1000}, {"schedule_steps": 100}, {"start_step": 2, "sampling_steps": 4}):
        with pytest.raises(ConfigError, match="sampling steps up to step"):
            steps(**wrong)


# --- masks and error of a config ---


@pytest.mark.parametrize(("size_px", "width_px", "stride_px"), [(64, 8, 1), (128, 16, 2), (256, 32, 4)])
def test_masks_have_their_width_in_millimetres(size_px, width_px, stride_px):
    stripes = masks_of(DiffusionConfig(), size_px)
    assert stripes[0].any(dim=0).sum() == width_px
    assert len(stripes) == 2 * size_px // stride_px
    combs = masks_of(DiffusionConfig(masks="combs", combs=2), size_px)
    assert (len(combs), combs[0, 0, :width_px].all(), combs[0, 0, width_px]) == (4, True, False)
    assert (combs.sum(dim=0) == 2).all()


@pytest.mark.parametrize(
    ("settings", "size_px"),
    [
        ({"mask_width_mm": 1.0}, 64),  # a width of a quarter of a pixel
        ({"stripe_stride_mm": 60.0}, 128),  # some pixel would never be hidden
        ({"mask_width_mm": 239.5}, 128),  # everything would be
        ({"masks": "combs", "mask_width_mm": 90.0}, 128),
        ({"masks": "combs", "mask_width_mm": 0.5}, 128),
    ],
)
def test_masks_that_cannot_work_are_refused(settings, size_px):
    with pytest.raises(ConfigError, match=f"on slices of {size_px} px") as caught:
        masks_of(DiffusionConfig(**settings), size_px)
    assert "choose" in caught.value.hint


@pytest.mark.parametrize(("preset", "evaluations"), [("paper", 12_928), ("small", 8), ("tiny", 8), ("fast", 8)])
def test_evaluations_of_the_networks_per_slice(preset, evaluations):
    """Each mask needs every step of f, and g once."""
    with torch.device("meta"):
        assert build_method(load_config(preset, {"method": "mmccd"}), 128).evaluations == evaluations


def test_what_cannot_work_on_slices_of_a_size_is_refused_before_anything_is_built(toy_config):
    check_fits(toy_config, 48)
    with pytest.raises(ConfigError, match="slices of 46 px do not fit a network that halves them to a multiple of 4"):
        check_fits(toy_config, 46)
    wide = {"method": "mmccd", "diffusion": toy_config.diffusion.model_copy(update={"mask_width_mm": 125.0})}
    with pytest.raises(ConfigError, match="combs of 25 px teeth"):
        check_fits(toy_config.model_copy(update=wide), 48)
    check_fits(toy_config.model_copy(update=wide | {"method": "cyclic-unet"}), 48)  # which has no masks


def test_the_error_is_the_square_or_evidence_of_the_polarity_of_the_source():
    assert build_error(load_config("tiny"), None) is squared_error
    counts = count_pairs(torch.randn(1000), torch.randn(1000))
    x, made = torch.full((1, 1, 1, 1), 2.0), Restoration.of_whole_slices(torch.zeros(1, 1, 1, 1))
    for source, polarity, expected in (
        ("flair", "typical", "bright"),
        ("t1", "typical", "dark"),
        ("t1", "bright", "bright"),
        ("t2", "either", "either"),
    ):
        asked = {"source": source, "targets": ["pd"], "scoring.polarity": polarity, "scoring.unconditional": 0.3}
        found = build_error(load_config("best", asked), counts)
        reference = TailEvidence(counts, polarity=expected, unconditional=0.3)
        torch.testing.assert_close(found(x, made), reference(x, made))
    for source, share in (("flair", 0.75), ("t1", 0.0), ("t2", 0.0), ("pd", 0.0)):
        asked = {"source": source, "targets": ["other"], "scoring.unconditional": "typical"}
        reference = TailEvidence(counts, polarity="dark" if source == "t1" else "bright", unconditional=share)
        torch.testing.assert_close(build_error(load_config("best", asked), counts)(x, made), reference(x, made))
