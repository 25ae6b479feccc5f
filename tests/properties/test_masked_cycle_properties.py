"""What must hold of masks, schedule and cycle, whatever the numbers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.networks.schedulers import DDIMScheduler

from mmccd.errors import ConfigError
from mmccd.method.anomaly_map import Restoration, anomaly_map
from mmccd.method.baselines.patched_diffusion import patch_masks
from mmccd.method.diffusion import kept_steps, linear_schedule
from mmccd.method.masked_cycle import MaskedCycle, masked_restorations
from mmccd.method.masks import comb_masks, stripe_masks
from mmccd.method.method import Batch
from mmccd.method.noise import shared_noise

SCHEDULE = linear_schedule()


@given(size=st.integers(8, 48), width=st.integers(1, 47), stride=st.integers(1, 47))
def test_stripes_hide_every_pixel_and_never_everything(size: int, width: int, stride: int) -> None:
    if not stride <= width < size:
        with pytest.raises(ConfigError, match="stripes of"):
            stripe_masks(size, width_px=width, stride_px=stride)
        return
    masks = stripe_masks(size, width_px=width, stride_px=stride)
    assert masks.sum(dim=0).min() >= 1
    assert not masks.all(dim=(1, 2)).any()


@given(size=st.integers(8, 64), width=st.integers(1, 16), combs=st.integers(2, 5))
def test_combs_hide_every_pixel_twice(size: int, width: int, combs: int) -> None:
    if width * combs > size:
        with pytest.raises(ConfigError, match="combs of"):
            comb_masks(size, width_px=width, combs=combs)
        return
    masks = comb_masks(size, width_px=width, combs=combs)
    assert len(masks) == 2 * combs
    assert (masks.sum(dim=0) == 2).all()
    assert not masks.all(dim=(1, 2)).any()


@given(size=st.integers(3, 130))
def test_four_square_patches_in_the_corners_cover_the_slice(size: int) -> None:
    masks = patch_masks(size)
    assert masks.shape == (4, size, size)
    assert masks.sum(dim=0).min() >= 1
    side = int(masks[0, 0].sum())
    assert abs(side - 5 / 8 * size) <= 0.5
    near, far = slice(side), slice(size - side, size)
    corners = [(near, near), (near, far), (far, near), (far, far)]
    assert all(mask.sum() == side**2 and mask[corner].all() for mask, corner in zip(masks, corners, strict=True))


def test_patches_are_as_large_as_published() -> None:
    assert int(patch_masks(96)[0, 0].sum()) == 60


@given(count=st.integers(2, 1000), spacing=st.sampled_from(["leading", "trailing"]))
def test_any_number_of_steps_works(count: int, spacing: str) -> None:
    steps = kept_steps(1000, count, spacing=spacing)
    assert len(set(steps)) == count
    assert list(steps) == sorted(steps, reverse=True)
    assert steps[-1] == 0 if spacing == "leading" else steps[0] == 999


@pytest.mark.parametrize("count", [0, 1001])
def test_step_counts_that_cannot_work_are_refused(count: int) -> None:
    with pytest.raises(ConfigError, match="sampling steps") as caught:
        kept_steps(1000, count)
    assert "choose 1 to 1000" in caught.value.hint


def test_one_leading_step_is_refused() -> None:
    with pytest.raises(ConfigError, match="step 0"):
        kept_steps(1000, 1)
    assert kept_steps(1000, 1, spacing="trailing") == (999,)


def in_double(scheduler: torch.nn.Module) -> torch.nn.Module:
    """MONAI keeps its schedule in float32, which alone would cost three digits."""
    scheduler.betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    scheduler.alphas = 1 - scheduler.betas
    scheduler.alphas_cumprod = torch.cumprod(scheduler.alphas, dim=0)
    return scheduler


def test_ddim_equals_monai_unclipped() -> None:
    theirs = DDIMScheduler(1000, schedule="linear_beta", beta_start=1e-4, beta_end=0.02, clip_sample=False,
                           prediction_type="sample", set_alpha_to_one=False)  # fmt: skip
    theirs = in_double(theirs)
    theirs.set_timesteps(10)
    noisy, clean = (3 * torch.randn(2, 2, 1, 4, 4, dtype=torch.float64)).unbind()
    for t in (900, 500, 100):
        expected, _ = theirs.step(clean, t, noisy)
        torch.testing.assert_close(SCHEDULE.ddim(noisy, clean, t, t - 100), expected, rtol=1e-9, atol=1e-9)


def test_noising_keeps_the_variance() -> None:
    clean, noise = torch.randn(2, 4, 1, 256, 256).unbind()
    noisy = SCHEDULE.add_noise(clean, noise, torch.tensor([0, 300, 600, 999]))
    torch.testing.assert_close(noisy.var(dim=(1, 2, 3)), torch.ones(4), rtol=0.05, atol=0)


def test_a_perfect_cycle_scores_zero() -> None:
    source = torch.randn(2, 1, 16, 16)
    restorations = masked_restorations(
        source, comb_masks(16, width_px=2), lambda z, t: z[:, :1], lambda y: source.repeat(len(y) // 2, 1, 1, 1),
        SCHEDULE, kept_steps(1000, 3, spacing="trailing"), masks_at_once=4,
    )  # fmt: skip
    assert anomaly_map(source, restorations).abs().max() == 0


@pytest.fixture
def two_masks() -> list[Restoration]:
    """Columns 0 and 1 are hidden by the first mask, 1 and 2 by the second, 3 by none."""
    hidden = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0]], dtype=torch.bool)[:, None, None, None].expand(-1, 1, 1, 4, 4)
    restored = torch.stack([torch.full((2, 1, 4, 4), value) for value in (1.0, 5.0)])
    return [Restoration(hidden[i : i + 1], restored[i : i + 1]) for i in range(2)]


@pytest.mark.parametrize(
    ("error", "first", "second"), [(None, 1.0, 25.0), (lambda x, made: (x - made.restored).abs(), 1.0, 5.0)]
)
def test_the_map_is_the_mean_error_over_the_masks_that_hid_a_pixel(two_masks, error, first, second) -> None:
    source = torch.zeros(2, 1, 4, 4)
    expected = torch.tensor([first, (first + second) / 2, second, 0.0]).expand(2, 1, 4, 4)
    arguments = (error,) if error else ()
    torch.testing.assert_close(anomaly_map(source, two_masks, *arguments), expected)
    hidden, restored = (torch.cat([getattr(one, name) for one in two_masks]) for name in ("hidden", "restored"))
    torch.testing.assert_close(anomaly_map(source, [Restoration(hidden, restored)], *arguments), expected)
    assert (anomaly_map(source, [], *arguments) == 0).all()


def test_of_several_ways_the_best_one_counts_at_each_pixel() -> None:
    source = torch.zeros(1, 1, 2, 2)
    ways = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[4.0, 3.0], [2.0, 1.0]]])[None]
    found = anomaly_map(source, [Restoration.of_whole_slices(ways)])
    torch.testing.assert_close(found, torch.tensor([[[[1.0, 4.0], [4.0, 1.0]]]]))


def test_an_error_function_sees_every_restoration_beside_its_slice() -> None:
    seen = []

    def error(x: torch.Tensor, made: Restoration) -> torch.Tensor:
        seen.append((x.shape, made.restored.shape))
        assert made.sigma is None
        return torch.ones_like(made.restored)

    source = torch.randn(3, 1, 16, 16)
    found = anomaly_map(source, _method(masks_at_once=6).restorations(source), error)
    torch.testing.assert_close(found, torch.ones_like(found))
    assert seen == [((3, 1, 16, 16), (count, 3, 1, 16, 16)) for count in (6, 6, 4)]


@pytest.mark.parametrize("targets", [1, 2, 3])
def test_several_targets_have_channels_and_noise_of_their_own(targets: int) -> None:
    shapes: list[tuple[int, ...]] = []
    source = torch.randn(2, 1, 16, 16)

    def randn_like(image: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(image.shape))
        return torch.randn(image.shape)

    def to_target(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        assert z.shape == (8, targets + 1, 16, 16)  # [y_t, condition] of 4 masks for 2 slices
        return z[:, :-1]

    def to_source(y: torch.Tensor) -> torch.Tensor:
        assert y.shape == (8, targets, 16, 16)
        if targets > 1:
            assert (y[:, 0] - y[:, 1]).abs().mean() > 0.1
        return y.mean(dim=1, keepdim=True)

    restorations = masked_restorations(
        source, comb_masks(16, width_px=4, combs=2), to_target, to_source, SCHEDULE, (999, 500),
        targets=targets, masks_at_once=4, randn_like=randn_like,
    )  # fmt: skip

    assert [(one.hidden.shape, one.restored.shape) for one in restorations] == [((4, 1, 1, 16, 16), (4, 2, 1, 16, 16))]
    assert shapes == [(2, targets, 16, 16), (8, 1, 16, 16), (8, 1, 16, 16)]


def _method(masks_at_once: int = 1, order: slice = slice(None)) -> MaskedCycle:
    class Toy(torch.nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(channels, 1, 3, padding=1)

        def forward(self, images: torch.Tensor, t: torch.Tensor | None = None) -> torch.Tensor:
            moved = images if t is None else images * (1 + t / 1000)[:, None, None, None]
            return torch.tanh(self.conv(moved))

    torch.manual_seed(3)
    return MaskedCycle(
        Toy(2),
        Toy(1),
        masks=stripe_masks(16, width_px=4, stride_px=2)[order],
        training_masks=stripe_masks(16, width_px=4, stride_px=2),
        schedule=SCHEDULE,
        steps=kept_steps(1000, 4, spacing="trailing"),
        masks_at_once=masks_at_once,
    )


def _map(method: MaskedCycle, source: torch.Tensor) -> torch.Tensor:
    return anomaly_map(source, method.restorations(source))


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), masks_at_once=st.integers(1, 20))
def test_batch_equals_one_by_one(seed: int, masks_at_once: int) -> None:
    source = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    together = _map(_method(masks_at_once), source)
    alone = torch.cat([_map(_method(), one[None]) for one in source])
    assert together.max() > 0.1
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_the_order_of_the_masks_is_irrelevant() -> None:
    source = torch.randn(2, 1, 16, 16)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(_map(_method(), source), _map(_method(order=order), source), rtol=1e-4, atol=1e-5)


def test_masks_without_brain_are_left_out() -> None:
    source = torch.full((1, 1, 16, 16), -3.0)
    source[..., 4:8, 4:8] = 1.0
    method = _method()
    calls: list[int] = []
    method.to_source.register_forward_hook(lambda *_: calls.append(1))
    found = _map(method, source)
    assert 0 < len(calls) < len(method.masks)
    torch.testing.assert_close(found, _map(method, source))


def test_shared_noise_is_fresh_at_every_step_and_repeats_with_the_masks() -> None:
    noise, image = shared_noise(torch.zeros(2, 1, 8, 8), 1, 3), torch.zeros(5, 1, 8, 8)
    start, *steps = [noise(image) for _ in range(7)]
    assert start.std() > 0.5
    assert len({float(field[0, 0, 0, 0]) for field in (start, *steps[:3])}) == 4
    assert all(torch.equal(a, b) for a, b in zip(steps[:3], steps[3:], strict=True))


def test_shared_noise_differs_between_targets_and_is_the_same_for_slices() -> None:
    noise, images = shared_noise(torch.zeros(2, 1, 8, 8), 2, 3), torch.zeros(5, 2, 8, 8)
    start = noise(images)
    assert start.shape == images.shape
    assert (start == start[:1]).all()
    assert (start[:, 0] - start[:, 1]).abs().mean() > 0.5
    assert noise(images[:, :1]).shape == (5, 1, 8, 8)


def test_losses_train_both_networks() -> None:
    method = _method()
    source, target = torch.randn(2, 4, 1, 16, 16).unbind()
    sum(
        method.losses(Batch(source, target, source > -3, torch.ones_like(source, dtype=torch.bool))).values()
    ).backward()
    for network in (method.to_target, method.to_source):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_each_sample_has_a_mask_and_a_step_of_its_own() -> None:
    method, seen = _method(), []
    method.to_target.register_forward_pre_hook(lambda _, args: seen.append(args))
    source = torch.full((32, 1, 16, 16), 7.0)
    method.losses(Batch(source, torch.zeros_like(source), source > -3, torch.ones_like(source, dtype=torch.bool)))
    images, t = seen[0]
    hidden = images[:, 1] != 7.0
    assert len(torch.unique(hidden.flatten(1), dim=0)) > 4
    assert t.unique().numel() > 16


def test_the_quick_sampler_covers_the_slice_with_eight_evaluations_of_the_same_networks() -> None:
    method = _method()
    quick = method.quick()
    assert (quick.masks.sum(dim=0) == 2).all()
    assert quick.evaluations == 8 < method.evaluations == 16 * 5
    assert quick.to_target is method.to_target
    source, calls = torch.randn(2, 1, 16, 16), []
    method.to_target.register_forward_hook(lambda _, given, __: calls.append((len(given[0]), int(given[1][0]))))
    assert _map(quick, source).min() > 0
    assert calls == [(8, 999)]  # four masks of two slices at once, in one step from pure noise
    assert quick.quick().evaluations == 8
