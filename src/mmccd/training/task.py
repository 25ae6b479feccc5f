"""The Lightning shell around a method: optimiser, augmentation, validation; the maths stays in the method."""

import math
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from mmccd.method.cycle import cycle_map
from mmccd.model.build import build_method
from mmccd.model.config import Config


class TranslationTask(pl.LightningModule):
    """Trains all networks of a method at once; each has its own gradient clipping."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.method = build_method(config)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Sum of the networks' losses; their gradients do not mix, but in the veiled cycle."""
        source, target = self._slices(batch)
        if self.config.training.flip_left_right:
            mirrored = torch.rand(len(source), 1, 1, 1, device=self.device) < 0.5
            source, target = (torch.where(mirrored, image.flip(2), image) for image in (source, target))
        losses = self.method.losses(source, target)
        self.log_dict({f"train/{name}": loss for name, loss in losses.items()}, prog_bar=True)
        return torch.stack(list(losses.values())).sum()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """The networks' losses and the cycle error on healthy validation slices."""
        source, target = self._slices(batch)
        losses = self.method.losses(source, target)
        losses["cycle"] = cycle_map(source, self.method.restorations(source)).mean()
        self.log_dict(
            {f"validation/{name}": loss for name, loss in losses.items()},
            prog_bar=True,
            batch_size=len(source),
            sync_dist=True,
        )

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed by the step, so that a resumed run draws what the uninterrupted one would have drawn."""
        entropy = np.random.SeedSequence([self.config.seed, self.global_step, self.global_rank])
        torch.manual_seed(int(entropy.generate_state(1)[0]))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW over all networks, with the schedule of the config."""
        training = self.config.training
        optimiser = torch.optim.AdamW(
            self.method.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self._rate)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
        """Clip each network on its own, as if it were trained on its own."""
        for network in self.method.children():
            torch.nn.utils.clip_grad_norm_(network.parameters(), self.config.training.gradient_clip)

    def _rate(self, step: int) -> float:
        training = self.config.training
        if training.schedule == "constant":
            return 1.0
        warmup = max(1, training.steps // 20)
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, training.steps - warmup))))

    def _slices(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        source, target = (
            batch[name].to(torch.float32, memory_format=torch.channels_last) for name in ("source", "target")
        )
        return source, target
