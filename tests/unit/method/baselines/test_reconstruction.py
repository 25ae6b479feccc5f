"""The methods of one modality: what they restore, what their networks are given, and what training makes small."""

import json

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from mmccd.method.anomaly_map import anomaly_map
from mmccd.method.intensity import BACKGROUND
from mmccd.method.method import Batch
from mmccd.method.noise import COARSE_DEVIATION, gaussian, shared_noise, simplex
from mmccd.method.registry import METHODS
from mmccd.model.build import build_method
from mmccd.model.config import load_config
from mmccd.model.folder import load_model
from mmccd.training.train import Hardware, train

RECONSTRUCTIONS = [name for name, method in METHODS.items() if method.about.targets == "none"]


def batch(source, target=None):
    everywhere = torch.ones_like(source, dtype=torch.bool)
    return Batch(source, source if target is None else target, source > BACKGROUND, everywhere)


class Perfect(torch.nn.Module):
    """Knows the clean slices, adds an error, and records what it was given."""

    def __init__(self, clean, error=0.0):
        super().__init__()
        self.clean, self.error, self.given = clean, error, []

    def forward(self, images, timesteps=None):
        self.given.append((images, timesteps))
        return self.clean + self.error

    def encode(self, images):
        return images + self.error, torch.ones_like(images)

    def decode(self, code):
        return code


@pytest.fixture
def build(toy_settings):
    """A method with weights shaken, as the last layer starts at zero; three steps of sampling from 900 on."""

    def build(name, network=None, size_px=16, **changed):
        torch.manual_seed(0)
        config = load_config("tiny", toy_settings | {"method": name, "diffusion.sampling_steps": 3} | changed)
        method = build_method(config, size_px)
        with torch.no_grad():
            for weight in method.parameters():
                weight.add_(0.05 * torch.randn(weight.shape))
        if network is not None:
            method.network = network
        return method

    return build


@pytest.fixture
def source():
    """Slices of a brain in a background."""
    slices = torch.full((3, 1, 16, 16), BACKGROUND)
    slices[..., 3:13, 2:14] = torch.randn(3, 1, 10, 12, generator=torch.Generator().manual_seed(1))
    return slices


def map_of(method, source):
    with torch.inference_mode():
        return anomaly_map(source, method.restorations(source))


# --- all of them ---


@pytest.mark.parametrize("name", RECONSTRUCTIONS)
def test_a_slice_is_restored_alike_alone_in_a_batch_and_again(build, source, name):
    method = build(name)
    together = map_of(method, source)
    assert together.std() > 0.1
    torch.testing.assert_close(together, torch.cat([map_of(method, one[None]) for one in source]), rtol=1e-4, atol=1e-4)
    assert torch.equal(together, map_of(method, source))

    with torch.inference_mode():
        nothing, restored = method.translate(source)
    assert nothing.shape == (3, 0, 16, 16)
    assert restored.std() > 1e-3
    if name != "pddpm":  # where patches overlap, the error of the mean is not the mean of the errors
        torch.testing.assert_close(together, (source - restored).square())


@pytest.mark.parametrize("name", RECONSTRUCTIONS)
def test_a_perfect_network_leaves_no_error_and_any_other_one_everywhere(build, source, name):
    assert (map_of(build(name, Perfect(source)), source) == 0).all()
    torch.testing.assert_close(map_of(build(name, Perfect(source, error=2.0)), source), torch.full_like(source, 4.0))


@pytest.mark.parametrize("name", RECONSTRUCTIONS)
def test_losses_train_every_weight_that_can_be_trained_and_know_no_target(build, source, name):
    """A weight without a gradient would stop training on several devices."""
    method, losses = build(name), []
    for target in (source, torch.full_like(source, torch.nan)):
        torch.manual_seed(3)
        losses.append(method.losses(batch(source, target)))
    assert losses[0] == losses[1]
    assert losses[0].keys() == {"reconstruction"} | ({"divergence"} if name == "vae" else set())
    sum(losses[0].values()).backward()
    trained = [weight for weight in method.parameters() if weight.requires_grad]
    assert len(trained) > 20
    assert all(weight.grad is not None for weight in trained)
    assert sum(float(weight.grad.abs().sum()) > 0 for weight in trained) > len(trained) / 2


@pytest.mark.parametrize("name", RECONSTRUCTIONS)
def test_training_makes_the_error_of_healthy_slices_small(toy_settings, name):
    """Discs of many sizes and intensities; the best constant would leave two thirds of the error."""
    row, column = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    radius, value = torch.rand(2, 16, 1, 1, 1, generator=torch.Generator().manual_seed(2))
    disc = (row - 8).square() + (column - 8).square() < (4 + 3 * radius).square()
    slices = torch.where(disc, 2 * value, BACKGROUND)
    settings = {"network.patch_px": 1, "network.channels": [8, 8], "network.norm_groups": 4, "network.head_channels": 8}
    torch.manual_seed(0)
    method = build_method(load_config("tiny", toy_settings | settings | {"method": name}), 16)
    optimiser = torch.optim.AdamW(method.parameters(), lr=0.01)
    before = map_of(method, slices).mean()
    for _ in range(30):
        optimiser.zero_grad()
        sum(method.losses(batch(slices)).values()).backward()
        optimiser.step()
    assert map_of(method, slices).mean() < before / 4


# --- autoencoders ---


def test_the_divergence_is_that_from_a_standard_normal_on_the_scale_of_the_error(build, source):
    """Error and divergence together are twice the negative evidence bound, per pixel, but for a constant."""
    method = build("vae")
    torch.manual_seed(5)
    losses = method.losses(batch(source))
    mean, deviation = method.network.encode(source)
    divergence = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0)).sum()
    torch.testing.assert_close(losses["divergence"], 2 * divergence / source.numel())
    assert losses["divergence"] > 0

    torch.manual_seed(5)
    x_hat = method.network.decode(mean + deviation * torch.randn_like(mean))
    likelihood = Normal(x_hat, 1.0).log_prob(source) - Normal(source, 1.0).log_prob(source)
    torch.testing.assert_close(losses["reconstruction"], -2 * likelihood.mean())


def test_the_code_of_a_vae_is_drawn_in_training_alone(build, source):
    method = build("vae", Perfect(source))
    assert method.losses(batch(source))["reconstruction"] == pytest.approx(1, abs=0.1)  # the deviation is 1
    assert torch.equal(method.restore(source), source)
    assert build("ae", Perfect(source)).losses(batch(source)) == {"reconstruction": 0}


def test_the_denoiser_is_given_noise_in_the_brain_and_none_when_it_restores(build):
    brain = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    brain[..., 8:56, 4:60] = True
    source = torch.where(brain, 1.0, BACKGROUND).repeat(16, 1, 1, 1)
    network = Perfect(source)
    method = build("dae", network)
    assert method.losses(batch(source)) == {"reconstruction": 0}
    noisy, _ = network.given[0]
    inside = brain.expand_as(source)
    assert (noisy[~inside] == BACKGROUND).all()
    noise = noisy[inside].reshape(16, -1) - 1
    assert noise.std() == pytest.approx(COARSE_DEVIATION * 2 / 3, rel=0.1)  # bilinear between nodes, which have 1
    assert noise.corrcoef().fill_diagonal_(0).abs().max() < 0.5

    method.restore(source)
    assert torch.equal(network.given[1][0], source)


# --- diffusion ---


@pytest.mark.parametrize(("name", "draw"), [("ddpm", gaussian), ("anoddpm", simplex)])
def test_a_slice_is_drowned_at_the_first_step_and_swims_back_with_the_same_noise(build, source, name, draw):
    """With a perfect network DDIM passes through q(x_t | x) of one noise image at each step."""
    network = Perfect(source)
    method = build(name, network)
    assert torch.equal(method.restore(source), source)
    noise = shared_noise(source, 1, 0, draw)(source)
    assert [int(t[0]) for _, t in network.given] == list(method.steps) == [900, 600, 300]
    for images, t in network.given:
        torch.testing.assert_close(images, method.schedule.add_noise(source, noise, t), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["ddpm", "anoddpm"])
def test_a_network_that_says_a_constant_restores_it(build, source, name):
    assert torch.equal(build(name, Perfect(torch.full_like(source, 0.7))).restore(source), torch.full_like(source, 0.7))


@pytest.mark.parametrize(("name", "smooth"), [("ddpm", False), ("anoddpm", True), ("pddpm", True)])
def test_training_drowns_each_sample_at_a_step_and_with_noise_of_its_own(build, name, smooth):
    source = torch.full((64, 1, 48, 48), 2.0)
    network = Perfect(source)
    method = build(name, network, size_px=source.shape[-1])
    method.losses(batch(source))
    images, t = network.given[0]
    assert t.unique().numel() > 40
    assert t.max() > 900 > 100 > t.min()
    share = method.schedule.alpha_bar[t].float()[:, None, None, None]
    noise = (images - share.sqrt() * source) / (1 - share).sqrt()
    drowned = images != source if name == "pddpm" else torch.ones_like(images, dtype=torch.bool)
    assert noise[drowned].std() == pytest.approx(1, abs=0.05)
    assert torch.cdist(noise.flatten(1), noise.flatten(1)).fill_diagonal_(99).min() > 1
    neighbours = (noise * noise.roll(1, dims=3))[(drowned & drowned.roll(1, dims=3))].mean()
    assert neighbours > 0.4 if smooth else neighbours.abs() < 0.02


# --- patches ---


def test_only_the_patch_drowns_and_the_rest_stays_the_source(build, source):
    network = Perfect(torch.full_like(source, 5.0))
    method = build("pddpm", network)
    noise = shared_noise(source, 1, 0, simplex)(source)
    first = torch.full((3,), 900)
    covered = torch.zeros(16, 16, dtype=torch.bool)
    for index, made in enumerate(method.restorations(source)):
        patch = made.hidden[0, 0, 0]
        covered |= patch
        assert 0 < patch.sum() < patch.numel()
        given = network.given[3 * index :]
        assert len(given) == 3
        assert [int(t[0]) for _, t in given] == [900, 600, 300]
        for images, _ in given:
            assert torch.equal(images[..., ~patch], source[..., ~patch])
        drowned = method.schedule.add_noise(source, noise, first)
        assert torch.equal(given[0][0][..., patch], drowned[..., patch])
        assert torch.equal(made.restored[0, :, 0], torch.where(patch, 5.0, source)[:, 0])
    assert (index, covered.all()) == (3, True)


def test_where_patches_overlap_the_restored_slice_is_their_mean(build, source):
    class Counting(torch.nn.Module):
        calls = 0.0

        def forward(self, images, t):
            self.calls += 1
            return torch.full_like(images, self.calls)

    method = build("pddpm", Counting(), **{"diffusion.sampling_steps": 1})
    patches = method.patches.double()
    expected = (patches * torch.arange(1.0, 5)[:, None, None]).sum(dim=0) / patches.sum(dim=0)
    assert expected.unique().numel() == 7
    torch.testing.assert_close(method.restore(source), expected.float().expand_as(source))


def test_the_loss_counts_the_patch_alone(build):
    source = torch.randn(8, 1, 16, 16)

    class WrongOutside(torch.nn.Module):
        def forward(self, images, t):
            patch = images != source
            self.sizes = patch.sum(dim=(1, 2, 3))
            self.patches = {tuple(one.flatten().nonzero()[0].tolist()) for one in patch}
            return source + torch.where(patch, 3.0, 100.0)

    network = WrongOutside()
    assert build("pddpm", network).losses(batch(source))["reconstruction"] == pytest.approx(9, rel=1e-5)
    assert (network.sizes > 95).all()  # of 10 x 10 pixels; weak noise may leave one as it was
    assert len(network.patches) > 1


# --- end to end ---


@pytest.mark.parametrize("name", RECONSTRUCTIONS)
def test_the_quick_way_is_that_of_one_step_and_its_cost_is_known(build, source, name):
    method, calls = build(name), []
    method.network.register_forward_hook(lambda *_: calls.append(1))
    for way in (method, method.quick()):
        calls.clear()
        map_of(way, source)
        if name not in ("ae", "vae"):  # whose networks are called by their halves
            assert len(calls) == way.evaluations
    assert method.evaluations == {"ddpm": 3, "anoddpm": 3, "pddpm": 12}.get(name, 1)
    assert method.quick().evaluations == (4 if name == "pddpm" else 1)
    assert method.quick().network is method.network


def test_an_autoencoder_is_trained_saved_and_pictured(phantom_store, toy_settings, tmp_path):
    config = load_config("tiny", toy_settings | {"method": "ae"})
    told = []
    model = train(
        phantom_store, tmp_path, config, hardware=Hardware(device="cpu"), progress=lambda *args: told.append(args)
    )
    card = json.loads((tmp_path / "card.json").read_text())
    assert (card["config"]["method"], card["config"]["targets"]) == ("ae", [])
    assert {"validation/reconstruction", "validation/cycle"} <= card["training"].keys()
    assert card["threshold"]["value"] > 0
    assert any("reconstruction" in words for words, _, _ in told)
    assert load_model(tmp_path).config == model.config == config
    logs = tmp_path / "training"
    for path in (logs / "curves.png", logs / "pictures" / "step_000002.png", logs / "pictures" / "step_000004.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
