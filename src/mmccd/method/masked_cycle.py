"""MMCCD: hide a part of x, imagine all of y from the rest, translate back (Liang et al., 2023, section 2.2)."""

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from mmccd.method import references
from mmccd.method.anomaly_map import Restoration
from mmccd.method.cyclic_unet import CYCLE_LOSSES
from mmccd.method.diffusion import NoiseSchedule, denoise
from mmccd.method.intensity import BACKGROUND
from mmccd.method.masks import comb_masks
from mmccd.method.method import About, Batch, Parts
from mmccd.method.noise import shared_noise

Noise = Callable[[Tensor], Tensor]
"""Standard normal noise of the shape of its argument."""


class MaskedCycle(nn.Module):
    """Modality cycles with masked conditional diffusion.

    Args:
        to_target: Forward network f of [y_t, condition] and steps (batch,); predicts the clean y_0, not the noise.
        to_source: Backward network g: y to x.
        masks: What the sampler hides, (masks, size, size) bool.
        training_masks: Training hides one of these per slice, (masks, size, size) bool.
        schedule: Noise schedule.
        steps: Steps that the sampler visits, from high to low.
        targets: Modalities that f makes.
        masks_at_once: Masks per batch of the networks.
    """

    about: ClassVar[About] = About(
        label="MMCCD",
        phrase="modality cycles with masked conditional diffusion (MMCCD)",
        references=(references.MMCCD, references.DDPM, references.DDIM),
        losses=CYCLE_LOSSES,
        targets="one",
    )
    masks: Tensor
    training_masks: Tensor

    def __init__(
        self, to_target: nn.Module, to_source: nn.Module, *, masks: Tensor, training_masks: Tensor,
        schedule: NoiseSchedule, steps: Sequence[int], targets: int = 1, masks_at_once: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.to_target, self.to_source = to_target, to_source
        self.register_buffer("masks", masks, persistent=False)
        self.register_buffer("training_masks", training_masks, persistent=False)
        self.schedule, self.steps, self.targets, self.masks_at_once = schedule, tuple(steps), targets, masks_at_once

    @classmethod
    def build(cls, parts: Parts) -> Self:
        """Untrained, for slices of one size."""
        to_target, to_source = parts.unet(parts.targets + 1, parts.targets), parts.unet(parts.targets, 1)
        return cls(
            to_target, to_source, masks=parts.masks(), training_masks=parts.training_masks(), schedule=parts.schedule,
            steps=parts.sampling_steps(), targets=parts.targets, masks_at_once=parts.masks_at_once,
        )  # fmt: skip

    @property
    def evaluations(self) -> int:
        """Each mask takes every step of f, and g once: 12,928 with the paper's sampler."""
        return len(self.masks) * (len(self.steps) + 1)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Of f, its error over the whole image, with one random mask and step per sample; of g, regression."""
        source, target, device = batch.source, batch.target, batch.source.device
        hidden = self.training_masks[torch.randint(len(self.training_masks), (len(source),), device=device)][:, None]
        t = torch.randint(len(self.schedule), (len(source),), device=device)
        noisy = self.schedule.add_noise(target, torch.randn_like(target), t)
        condition = hide(source, hidden, torch.randn_like(source))
        return {
            "forward": batch.squared_error(self.to_target(torch.cat([noisy, condition], dim=1), t), target),
            "backward": batch.squared_error(self.to_source(target), source),
        }

    def translate(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """A translation of the whole, unhidden slice, and its way back."""
        noise = self._noise(source)
        nothing = torch.zeros_like(source, dtype=torch.bool)
        start = noise(source.expand(-1, self.targets, -1, -1))
        target = sample_target(source, nothing, start, self.to_target, self.schedule, self.steps, randn_like=noise)
        return target, self.to_source(target)

    def restorations(self, source: Tensor) -> Iterator[Restoration]:
        """What is restored under each mask; masks that hide no brain in this batch are left out."""
        brain = (source > BACKGROUND).any(dim=0)
        masks = self.masks[(self.masks & brain).any(dim=(1, 2))]
        return masked_restorations(
            source, masks, self.to_target, self.to_source, self.schedule, self.steps, targets=self.targets,
            masks_at_once=self.masks_at_once, randn_like=self._noise(source),
        )  # fmt: skip

    def quick(self) -> "MaskedCycle":
        """Four combs, and one step from pure noise: eight evaluations."""
        size_px = self.masks.shape[-1]
        combs = comb_masks(size_px, width_px=max(1, size_px // 8), combs=2).to(self.masks.device)
        return MaskedCycle(
            self.to_target, self.to_source, masks=combs, training_masks=self.training_masks, schedule=self.schedule,
            steps=[len(self.schedule) - 1], targets=self.targets, masks_at_once=len(combs),
        )  # fmt: skip

    def _noise(self, source: Tensor) -> Noise:
        return shared_noise(source, self.targets, len(self.steps))


def masked_restorations(
    source: Tensor, masks: Tensor, to_target: Callable[[Tensor, Tensor], Tensor], to_source: Callable[[Tensor], Tensor],
    schedule: NoiseSchedule, steps: Sequence[int], *, targets: int = 1, masks_at_once: int = 1,
    randn_like: Noise = torch.randn_like,
) -> Iterator[Restoration]:  # fmt: skip
    """x_hat_m = g(y_hat_m) under each mask, with y_hat_m drawn from what the mask leaves visible of x.

    Args: as of `MaskedCycle`; ``randn_like`` gives noise once for the start y_T, which all masks share, then as
        `sample_target` draws it.
    """
    start = randn_like(source.expand(-1, targets, -1, -1))
    for hidden in torch.split(masks, masks_at_once):
        count = len(hidden)
        x, y_t = (image.repeat(count, 1, 1, 1) for image in (source, start))
        stripes = hidden.repeat_interleave(len(source), dim=0)[:, None]
        target = sample_target(x, stripes, y_t, to_target, schedule, steps, randn_like=randn_like)
        yield Restoration(hidden[:, None, None], to_source(target).reshape(count, *source.shape))


def sample_target(
    source: Tensor, hidden: Tensor, start: Tensor, to_target: Callable[[Tensor, Tensor], Tensor],
    schedule: NoiseSchedule, steps: Sequence[int], *, randn_like: Noise = torch.randn_like,
) -> Tensor:  # fmt: skip
    """Draw y ~ p(y | visible part of x), beginning with the noise ``start``."""

    def predict(noisy: Tensor, t: Tensor) -> Tensor:
        condition = hide(source, hidden, randn_like(source))  # fresh at every step
        return to_target(torch.cat([noisy, condition], dim=1), t)

    return denoise(start, predict, schedule, steps)


def hide(source: Tensor, hidden: Tensor, noise: Tensor) -> Tensor:
    """The condition c: x where it is visible, noise where it is hidden."""
    return torch.where(hidden, noise, source)
