"""Patched diffusion: only a patch drowns in noise, and is restored from itself and all that is around it."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from mmccd.method.baselines.reconstruction import Reconstruction
from mmccd.method.cycle import Restoration, cycle_map
from mmccd.method.diffusion import NoiseSchedule
from mmccd.method.noise import Draw, shared_noise


class PatchedDiffusion(Reconstruction):
    """pDDPM (Behrendt et al., MIDL 2023), https://arxiv.org/abs/2303.03758.

    As in the authors' code: simplex noise, the clean image predicted, loss in the patch alone. Differs: squared instead
    of absolute loss; the step is a setting (theirs is 500).

    Args:
        network: Of the slice with a noisy patch, and of the step; predicts the clean slice.
        masks_for: Side of the slices in pixels to the patches, (patches, size, size) bool.
        schedule: Noise schedule.
        steps: Steps that the sampler visits, from high to low; the first says how deep a patch is drowned.
        draw: The noise; simplex in the authors' code.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        masks_for: Callable[[int], Tensor],
        schedule: NoiseSchedule,
        steps: Sequence[int],
        draw: Draw,
    ) -> None:
        super().__init__()
        self.network = network
        self.masks_for = masks_for
        self.schedule = schedule
        self.steps = tuple(steps)
        self.draw = draw

    def losses(self, source: Tensor, _target: Tensor) -> dict[str, Tensor]:
        """Mean squared error of the predicted patch, at a random step and one random patch per sample."""
        patches = self.masks_for(source.shape[-1]).to(source.device)
        patch = patches[torch.randint(len(patches), (len(source),), device=source.device)][:, None]
        t = torch.randint(len(self.schedule.alpha_bar), (len(source),), device=source.device)
        batch, channels, height, width = source.shape
        noise = self.draw((batch, channels, height, width), None, source.device)
        noisy = self.schedule.add_noise(source, noise, t)
        error = (self.network(torch.where(patch, noisy, source), t) - source).square()
        return {"reconstruction": (error * patch).sum() / patch.sum()}

    def restorations(self, source: Tensor) -> Iterator[Restoration]:
        """Each patch and what is restored in it; the rest of x_hat is x itself."""
        noise = shared_noise(source, 1, 0, self.draw)(source)
        for patch in self.masks_for(source.shape[-1]).to(source.device):
            drowned = self.schedule.add_noise(source, noise, self._at(source, self.steps[0]))
            noisy = torch.where(patch, drowned, source)
            for t, t_next in zip(self.steps, [*self.steps[1:], None], strict=True):
                clean = self.network(noisy, self._at(source, t))
                noisy = torch.where(patch, self.schedule.ddim(noisy, clean, t, t_next), source)
            yield patch[None, None, None], noisy[None]

    def restore(self, source: Tensor) -> Tensor:
        """All patches put together; the mean where they overlap."""
        return cycle_map(source, self.restorations(source), error=lambda _, restored: restored)

    def _at(self, source: Tensor, t: int) -> Tensor:
        return torch.full((len(source),), t, device=source.device)
