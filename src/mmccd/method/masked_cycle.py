"""MMCCD: the modality cycle with a masked conditional diffusion model as its forward half."""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmccd.method.cycle import Restoration, masked_restorations
from mmccd.method.diffusion import NoiseSchedule
from mmccd.method.inpainting import Noise, inpainting_loss, sample_target
from mmccd.method.intensity import BACKGROUND
from mmccd.method.noise import shared_noise


class MaskedDiffusionCycle(nn.Module):
    """Modality Cycles with Masked Conditional Diffusion (Liang et al., 2023, section 2.2).

    Args:
        to_target: Forward network f of [y_t, condition] and step; predicts the clean target.
        to_source: Backward network g: y to x.
        masks_for: Side of the slices in pixels to the masks, (masks, size, size) bool, True = hidden.
        training_masks_for: The same for training, which hides one of them per slice.
        schedule: Noise schedule.
        steps: Steps that the sampler visits, from high to low.
        training_steps: Steps that training draws from: all of the schedule, or those that the sampler visits.
        targets: Modalities that f makes.
        ancestral: DDPM sampling instead of DDIM.
        masks_at_once: Masks per batch of the networks.
    """

    training_steps: Tensor

    def __init__(
        self,
        to_target: nn.Module,
        to_source: nn.Module,
        *,
        masks_for: Callable[[int], Tensor],
        training_masks_for: Callable[[int], Tensor],
        schedule: NoiseSchedule,
        steps: Sequence[int],
        training_steps: Sequence[int],
        targets: int = 1,
        ancestral: bool = False,
        masks_at_once: int = 1,
    ) -> None:
        super().__init__()
        self.to_target = to_target
        self.to_source = to_source
        self.masks_for = masks_for
        self.training_masks_for = training_masks_for
        self.schedule = schedule
        self.steps = tuple(steps)
        self.targets = targets
        self.ancestral = ancestral
        self.masks_at_once = masks_at_once
        self.register_buffer("training_steps", torch.tensor(training_steps), persistent=False)

    def losses(self, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Inpainting loss of f with one random mask and step per sample, and regression loss of g."""
        masks = self.training_masks_for(source.shape[-1]).to(source.device)
        hidden = masks[torch.randint(len(masks), (len(source),), device=source.device)][:, None]
        drawn = torch.randint(len(self.training_steps), (len(source),), device=source.device)
        t = self.training_steps[drawn]
        return {
            "forward": inpainting_loss(self.to_target, source, target, hidden, t, self.schedule),
            "backward": F.mse_loss(self.to_source(target), source),
        }

    def cycle(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """A translation of the whole, unhidden slice, and its way back: for pictures."""
        noise = self._noise(source)
        nothing = torch.zeros_like(source, dtype=torch.bool)
        start = noise(source.expand(-1, self.targets, -1, -1))
        target = sample_target(source, nothing, start, self.to_target, self.schedule, self.steps, randn_like=noise)
        return target, self.to_source(target)

    def restorations(self, source: Tensor) -> Iterator[Restoration]:
        """What is restored under each mask; masks that hide no brain in this batch are left out."""
        brain = (source > BACKGROUND).any(dim=0)
        masks = self.masks_for(source.shape[-1]).to(source.device)
        return masked_restorations(
            source,
            masks[(masks & brain).any(dim=(1, 2))],
            self.to_target,
            self.to_source,
            self.schedule,
            self.steps,
            targets=self.targets,
            masks_at_once=self.masks_at_once,
            ancestral=self.ancestral,
            randn_like=self._noise(source),
        )

    def _noise(self, source: Tensor) -> Noise:
        return shared_noise(source, self.targets, len(self.steps) * (2 if self.ancestral else 1))
