"""The noise schedule and its steps: forward noising, and DDIM with a network that predicts the clean image.

Notation of Song et al. (2021): ``alpha_bar[t]`` is the share of signal variance at step t.
Nothing is clipped: intensities live in about [-3, 3] and beyond (ADR 0015).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mmccd.errors import ConfigError

Spacing = Literal["leading", "trailing"]


@dataclass(frozen=True)
class NoiseSchedule:
    """Share of signal at each of T steps.

    Attributes:
        alpha_bar: (T,) float64, falling from nearly 1 to nearly 0.
    """

    alpha_bar: Tensor

    def __len__(self) -> int:
        return len(self.alpha_bar)

    def add_noise(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """q(y_t | y_0): sqrt(ab_t) y_0 + sqrt(1 - ab_t) e; ``t`` is (batch,) (Ho et al., 2020, eq. 4)."""
        signal = self.alpha_bar.to(t.device)[t].to(clean.dtype)[:, None, None, None]
        return signal.sqrt() * clean + (1 - signal).sqrt() * noise

    def ddim(self, noisy: Tensor, clean: Tensor, t: int, t_next: int | None) -> Tensor:
        """One deterministic step from t to t_next (Song et al., 2021, eq. 12, eta = 0); None is the end: y_0.

        The noise that is carried along is the one that ``clean`` implies: (y_t - sqrt(ab_t) y_0) / sqrt(1 - ab_t).
        """
        if t_next is None:
            return clean
        now, later = (float(self.alpha_bar[step]) for step in (t, t_next))
        noise = (noisy - now**0.5 * clean) / (1 - now) ** 0.5
        stepped: Tensor = later**0.5 * clean + (1 - later) ** 0.5 * noise
        return stepped


def denoise(
    noisy: Tensor, predict: Callable[[Tensor, Tensor], Tensor], schedule: NoiseSchedule, steps: Sequence[int]
) -> Tensor:
    """From noise, or from a noisy image, to a clean one: DDIM over some steps.

    Args:
        noisy: y at the first of the steps, (batch, channels, height, width).
        predict: Of y_t and t, (batch,): the clean y_0.
        schedule: Noise schedule.
        steps: From high to low.
    """
    for t, t_next in zip(steps, [*steps[1:], None], strict=True):
        clean = predict(noisy, torch.full((len(noisy),), t, device=noisy.device))
        noisy = schedule.ddim(noisy, clean, t, t_next)
    return noisy


def linear_schedule(steps: int = 1000, first_beta: float = 1e-4, last_beta: float = 0.02) -> NoiseSchedule:
    """The paper's schedule: betas rise linearly; alpha_bar is the running product of 1 - beta."""
    return NoiseSchedule(torch.cumprod(1 - torch.linspace(first_beta, last_beta, steps, dtype=torch.float64), dim=0))


def kept_steps(total: int, count: int, *, spacing: Spacing = "leading", highest: int | None = None) -> tuple[int, ...]:
    """The steps that a sampler visits, from high to low.

    Args:
        total: Steps of the schedule.
        count: Steps to visit.
        spacing: ``leading`` is the paper's: 0, s, 2s, ... so that sampling begins below T - 1. ``trailing`` begins at
            the highest step, where the input truly is noise, and is the only sensible choice for a few steps.
        highest: Begin no higher than this step; None is T - 1.

    Raises:
        ConfigError: there are not as many steps.
    """
    span = total if highest is None else highest + 1
    if not 1 <= span <= total or not 1 <= count <= span:
        raise ConfigError(
            f"{count} sampling steps up to step {span - 1} of {total}",
            f"choose 1 to {total} steps, and a highest step from count - 1 to {total - 1}",
        )
    if spacing == "leading" and count == 1:
        raise ConfigError(
            "one sampling step with leading spacing would visit step 0, where noise is taken for an image",
            "choose trailing spacing, or more steps",
        )
    if spacing == "leading":
        rising = [i * span // count for i in range(count)]
    else:
        rising = [span - 1 - i * span // count for i in reversed(range(count))]
    return tuple(reversed(rising))
