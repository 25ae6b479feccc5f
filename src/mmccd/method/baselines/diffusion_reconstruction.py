"""Diffusion reconstruction: drown a slice partly in noise, and let a model of healthy slices swim back."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmccd.method.baselines.reconstruction import Reconstruction
from mmccd.method.diffusion import NoiseSchedule
from mmccd.method.noise import Draw, shared_noise


class DiffusionReconstruction(Reconstruction):
    """DDPM reconstruction; with simplex noise it is AnoDDPM (Wyatt et al., CVPR Workshops 2022).

    Differs from AnoDDPM: the network predicts the clean image instead of the noise, and sampling is deterministic and
    may take fewer steps than 250.

    Args:
        network: Of x_t and step; predicts the clean slice.
        schedule: Noise schedule.
        steps: Steps that the sampler visits, from high to low; the first says how deep the slice is drowned.
        draw: The noise: `mmccd.method.noise.gaussian`, or `mmccd.method.noise.simplex` for AnoDDPM.
    """

    def __init__(self, network: nn.Module, *, schedule: NoiseSchedule, steps: Sequence[int], draw: Draw) -> None:
        super().__init__()
        self.network = network
        self.schedule = schedule
        self.steps = tuple(steps)
        self.draw = draw

    def losses(self, source: Tensor, _target: Tensor) -> dict[str, Tensor]:
        """Mean squared error of the predicted clean slice, at a random step."""
        t = torch.randint(len(self.schedule.alpha_bar), (len(source),), device=source.device)
        batch, channels, height, width = source.shape
        noise = self.draw((batch, channels, height, width), None, source.device)
        return {"reconstruction": F.mse_loss(self.network(self.schedule.add_noise(source, noise, t), t), source)}

    def restore(self, source: Tensor) -> Tensor:
        """Add noise up to the first step, then DDIM back (Song et al., 2021)."""
        noise = shared_noise(source, 1, 0, self.draw)(source)
        noisy = self.schedule.add_noise(source, noise, self._at(source, self.steps[0]))
        for t, t_next in zip(self.steps, [*self.steps[1:], None], strict=True):
            noisy = self.schedule.ddim(noisy, self.network(noisy, self._at(source, t)), t, t_next)
        return noisy

    def _at(self, source: Tensor, t: int) -> Tensor:
        return torch.full((len(source),), t, device=source.device)
