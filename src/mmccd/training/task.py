"""The Lightning shell around a method: optimiser, augmentation, validation; the maths stays in the method."""

import math
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from numpy.typing import NDArray
from torch import Tensor

from mmccd.method.anomaly_map import anomaly_map
from mmccd.method.method import Batch, Method
from mmccd.model.build import build_method
from mmccd.model.config import Config, TrainingConfig

CURVE_SLICES = 128
"""A validation looks at no more slices: curves and early stopping need a handful, thresholds get all."""
FEWEST_CURVE_SLICES = 4
VALIDATION_SHARE = 0.1
"""Of the work between two validations that one of them may take."""


class TranslationTask(pl.LightningModule):
    """Trains all networks of a method at once; each has its own gradient clipping."""

    def __init__(self, config: Config, size_px: int) -> None:
        super().__init__()
        self.config = config
        self.method = build_method(config, size_px)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Weighted sum of the method's losses; each is logged without its weight."""
        slices = _slices(batch)
        if self.config.training.flip_left_right:
            mirrored = torch.rand(len(slices.source), 1, 1, 1, device=self.device) < 0.5
            images = (slices.source, slices.target, slices.brain, slices.healthy)
            slices = Batch(*(torch.where(mirrored, image.flip(2), image) for image in images))
        losses = self.method.losses(slices)
        self.log_dict({f"train/{name}": loss for name, loss in losses.items()}, prog_bar=True)
        weights = self.method.about.losses
        return torch.stack([weights[name].weight * loss for name, loss in losses.items()]).sum()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """The losses, and the error of healthy slices restored by the cheapest sampler."""
        slices = _slices(batch)
        losses = self.method.losses(slices)
        error = anomaly_map(slices.source, self.method.quick().restorations(slices.source))
        losses["cycle"] = (error * slices.healthy).sum() / slices.healthy.sum().clamp(min=1)
        self.log_dict(
            {f"validation/{name}": loss for name, loss in losses.items()},
            prog_bar=True,
            batch_size=len(slices.source),
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


def curve_rows(rows: NDArray[np.int64], method: Method, training: TrainingConfig) -> NDArray[np.int64]:
    """The slices that validations look at, always the same: spread evenly, and few enough for `VALIDATION_SHARE`.

    A step costs three times what its forward pass does, and a validation passes each slice through the networks for the
    losses, and then as often as the cheapest sampler does.

    Args:
        rows: Healthy validation slices.
        method: To be trained.
        training: How often it is validated, and in which batches it is trained.
    """
    networks = len(list(method.children()))
    between = 3 * networks * training.batch_size * min(training.validate_every, training.steps)
    affordable = VALIDATION_SHARE * between / (networks + method.quick().evaluations)
    count = min(len(rows), CURVE_SLICES, max(FEWEST_CURVE_SLICES, int(affordable)))
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]


def _slices(batch: dict[str, Tensor]) -> Batch:
    source, target = (batch[name].to(torch.float32, memory_format=torch.channels_last) for name in ("source", "target"))
    return Batch(source, target, batch["brain"], batch["healthy"])
