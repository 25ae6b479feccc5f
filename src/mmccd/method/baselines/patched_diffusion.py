"""Patched diffusion: only a patch is noised, and is restored from itself and all that is around it."""

from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from mmccd.method import references
from mmccd.method.anomaly_map import Restoration, anomaly_map
from mmccd.method.baselines.diffusion_reconstruction import DiffusionReconstruction
from mmccd.method.baselines.reconstruction import RECONSTRUCTION
from mmccd.method.diffusion import NoiseSchedule, denoise
from mmccd.method.method import About, Batch, Parts
from mmccd.method.noise import simplex


class PatchedDiffusion(DiffusionReconstruction):
    """pDDPM (Behrendt et al., MIDL 2023), https://arxiv.org/abs/2303.03758.

    As in the authors' code: simplex noise, the clean image predicted, loss in the patch alone. Differs: squared instead
    of absolute loss; the step is a setting (theirs is 500).

    Args:
        network: Of the slice with a noisy patch, and of the step; predicts the clean slice.
        patches: (patches, size, size) bool.
        schedule: Noise schedule.
        steps: Steps that the sampler visits, from high to low; the first says how much noise a patch gets.
    """

    about: ClassVar[About] = About(
        label="pDDPM",
        phrase="patched DDPM",
        references=(references.PDDPM, references.DDIM),
        losses={"reconstruction": RECONSTRUCTION},
    )
    draw = staticmethod(simplex)
    patches: Tensor

    def __init__(self, network: nn.Module, *, patches: Tensor, schedule: NoiseSchedule, steps: Sequence[int]) -> None:
        super().__init__(network, schedule=schedule, steps=steps)
        self.register_buffer("patches", patches, persistent=False)

    @classmethod
    def build(cls, parts: Parts) -> Self:
        """Untrained, for slices of one size."""
        steps = parts.restoring_steps()
        return cls(parts.unet(1, 1), patches=patch_masks(parts.size_px), schedule=parts.schedule, steps=steps)

    @property
    def evaluations(self) -> int:
        """One a step, for each patch."""
        return len(self.patches) * len(self.steps)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of the predicted patch, at a random step and one random patch per sample."""
        source = batch.source
        patch = self.patches[torch.randint(len(self.patches), (len(source),), device=source.device)][:, None]
        noisy, t = self.noised(source)
        restored = self.network(torch.where(patch, noisy, source), t)
        return {"reconstruction": batch.squared_error(restored, source, patch)}

    def restorations(self, source: Tensor) -> Iterator[Restoration]:
        """Each patch and what is restored in it; the rest of x_hat is x itself."""
        noisy = self.at_first_step(source)
        for patch in self.patches:

            def predict(image: Tensor, t: Tensor, patch: Tensor = patch) -> Tensor:
                clean: Tensor = self.network(torch.where(patch, image, source), t)
                return clean

            restored = torch.where(patch, denoise(noisy, predict, self.schedule, self.steps), source)
            yield Restoration(patch[None, None, None], restored[None])

    def restore(self, source: Tensor) -> Tensor:
        """All patches put together; the mean where they overlap."""
        return anomaly_map(source, self.restorations(source), error=lambda _, restoration: restoration.restored)

    def quick(self) -> "PatchedDiffusion":
        """In one step."""
        return type(self)(self.network, patches=self.patches, schedule=self.schedule, steps=self.steps[:1])


def patch_masks(size_px: int) -> Tensor:
    """Four overlapping squares, one in each corner, with sides of 5/8 of the slice as pDDPM's 60 of 96 pixels.

    Returns:
        (4, size, size) bool, True = hidden.
    """
    side = round(5 / 8 * size_px)
    near = torch.arange(size_px) < side
    lines = torch.stack([near, near.flip(0)])
    return (lines[:, None, :, None] & lines[None, :, None, :]).flatten(0, 1)
