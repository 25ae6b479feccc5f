"""The published sampling and scoring loop, on toy networks, through our public functions."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from mmccd.method.anomaly_map import anomaly_map
from mmccd.method.diffusion import kept_steps, linear_schedule
from mmccd.method.masked_cycle import masked_restorations
from mmccd.method.masks import stripe_masks

GOLDEN = np.load(Path(__file__).parent / "data" / "official_cycle.npz")


def test_schedule_steps_and_stripes() -> None:
    schedule = linear_schedule()
    np.testing.assert_allclose(schedule.alpha_bar.numpy(), GOLDEN["alphas_cumprod"], rtol=1e-12)
    assert kept_steps(1000, 5) == tuple(int(t) for t in GOLDEN["timesteps"][::-1])
    np.testing.assert_array_equal(stripe_masks(128).sum(dim=0).numpy(), GOLDEN["coverage"])


def test_anomaly_map() -> None:
    weight = torch.from_numpy(GOLDEN["conv_weight"])
    stream = np.random.Generator(np.random.PCG64(int(GOLDEN["seed"])))

    def to_target(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return F.conv2d(z, weight, padding=1) * (1 + t / 1000)[:, None, None, None]

    def randn_like(image: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(stream.standard_normal(tuple(image.shape)).astype(np.float32))

    source = torch.from_numpy(GOLDEN["source"])
    restorations = masked_restorations(
        source,
        stripe_masks(128),
        to_target,
        torch.tanh,
        linear_schedule(),
        kept_steps(1000, 5),
        randn_like=randn_like,
    )
    found = anomaly_map(source, restorations)
    np.testing.assert_allclose(found.numpy(), GOLDEN["anomaly_map"], atol=1e-4)
