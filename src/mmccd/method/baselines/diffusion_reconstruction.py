"""Diffusion reconstruction: noise a slice in part, and let a model of healthy slices denoise it."""

from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from mmccd.method import references
from mmccd.method.baselines.reconstruction import RECONSTRUCTION, Reconstruction
from mmccd.method.diffusion import NoiseSchedule, denoise
from mmccd.method.method import About, Batch, Parts
from mmccd.method.noise import gaussian, shared_noise, simplex


class DiffusionReconstruction(Reconstruction):
    """DDPM reconstruction: add noise up to a step, and denoise from there.

    Args:
        network: Of x_t and step; predicts the clean slice.
        schedule: Noise schedule.
        steps: Steps that the sampler visits, from high to low; the first says how much noise a slice gets.
    """

    about: ClassVar[About] = About(
        label="DDPM",
        phrase="DDPM reconstruction",
        references=(references.DDPM, references.DDIM),
        losses={"reconstruction": RECONSTRUCTION},
    )
    draw = staticmethod(gaussian)

    def __init__(self, network: nn.Module, *, schedule: NoiseSchedule, steps: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.schedule = schedule
        self.steps = tuple(steps)

    @classmethod
    def build(cls, parts: Parts) -> Self:
        """Untrained."""
        return cls(parts.unet(1, 1), schedule=parts.schedule, steps=parts.restoring_steps())

    @property
    def evaluations(self) -> int:
        """One a step."""
        return len(self.steps)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of the predicted clean slice, at a random step."""
        noisy, t = self.noised(batch.source)
        return {"reconstruction": batch.squared_error(self.network(noisy, t), batch.source)}

    def noised(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Each slice at a random step under noise of its own, and these steps, (batch,)."""
        t = torch.randint(len(self.schedule), (len(source),), device=source.device)
        batch, channels, height, width = source.shape
        noise = self.draw((batch, channels, height, width), None, source.device)
        return self.schedule.add_noise(source, noise, t), t

    def restore(self, source: Tensor) -> Tensor:
        """Add noise up to the first step, then denoise (Song et al., 2021)."""
        return denoise(self.at_first_step(source), self.network, self.schedule, self.steps)

    def at_first_step(self, source: Tensor) -> Tensor:
        """All slices under the same noise, as much as the sampler begins with."""
        noise = shared_noise(source, 1, 0, self.draw)(source)
        t = torch.full((len(source),), self.steps[0], device=source.device)
        return self.schedule.add_noise(source, noise, t)

    def quick(self) -> "DiffusionReconstruction":
        """In one step."""
        return type(self)(self.network, schedule=self.schedule, steps=self.steps[:1])


class AnoDDPM(DiffusionReconstruction):
    """DDPM reconstruction with simplex noise (Wyatt et al., CVPR Workshops 2022).

    Differs: the network predicts the clean image instead of the noise, and sampling is deterministic and may take fewer
    steps than 250.
    """

    about: ClassVar[About] = About(
        label="AnoDDPM",
        phrase="AnoDDPM (simplex noise)",
        references=(references.ANODDPM, references.DDIM),
        losses={"reconstruction": RECONSTRUCTION},
    )
    draw = staticmethod(simplex)
