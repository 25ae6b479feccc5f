"""Pictures at every validation: what the networks make of the same slices, and how their losses fell."""

from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray

from mmccd.data.store import Store
from mmccd.figures import LESION, MAP_COLOURS, MASK, MUTED, Curve, CurvePanel, Panel, curves_png, grid_png
from mmccd.model.losses import loss_curves
from mmccd.system.files import write_atomically
from mmccd.training.task import TranslationTask


class PictureCallback(Callback):
    """Writes ``pictures/step_NNNNNN.png``: x, y, y_hat, x_hat and the error, on healthy and lesioned slices.

    Looking at lesions of validation subjects decides nothing: neither weights nor thresholds depend on them.
    """

    def __init__(self, store: Store, logs: Path, *, healthy: int = 3, lesioned: int = 3) -> None:
        self.store, self.folder = store, logs / "pictures"
        self.rows = np.concatenate(
            [_spread(store, healthy=True, count=healthy), _spread(store, healthy=False, count=lesioned)]
        )

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw with the averaged weights, which are in place until `EMAWeightAveraging` hears of the same hook."""
        if not trainer.is_global_zero or trainer.state.fn != "fit" or not isinstance(pl_module, TranslationTask):
            return
        config, step = pl_module.config, trainer.global_step
        x, *y = (np.asarray(self.store.array(name)[self.rows], np.float32) for name in (config.source, *config.targets))
        with torch.inference_mode():
            target, restored = pl_module.method.quick().translate(torch.from_numpy(x)[:, None].to(pl_module.device))
        y_hat, x_hat = target.float().cpu().numpy(), restored[:, 0].float().cpu().numpy()
        lesion, index = self.store.array("lesion")[self.rows], self.store.index.iloc[self.rows]
        panels = [
            [
                *(Panel(image[i], -3, 4) for image in (x, *y, *y_hat.swapaxes(0, 1), x_hat)),
                Panel((x[i] - x_hat[i]) ** 2, 0, 4, MAP_COLOURS, ((LESION, np.asarray(lesion[i])),)),
            ]
            for i in range(len(self.rows))
        ]
        names = [f"{subject}\nslice {z}" for subject, z in zip(index["subject"], index["slice"], strict=True)]
        png = grid_png(
            panels,
            columns=[
                f"{config.source} x",
                *(f"{name} y" for name in config.targets),
                *(f"{name} ŷ = f(x)" for name in config.targets),
                "x̂ = g(ŷ)" if config.targets else "x̂",
                "(x − x̂)²",
            ],
            names=names,
            title=f"Validation slices after {step:,} steps",
            caption="Cyan: expert's lesion, drawn for the eye only. Error shown from 0 (black) to 4 (white).",
        )
        write_atomically(self.folder / f"step_{step:06d}.png", png)


class CurveCallback(Callback):
    """Writes ``curves.png``: the losses of training and validation against steps, drawn anew at each validation."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw from the CSV logs, which hold this validation by now."""
        if not trainer.is_global_zero or trainer.state.fn != "fit" or not isinstance(pl_module, TranslationTask):
            return
        panels = [
            CurvePanel(
                curve.title,
                curve.quantity,
                tuple(
                    Curve(label, colour, np.array(steps), np.array(values))
                    for label, colour, (steps, values) in (
                        ("training", MUTED, curve.training),
                        ("validation", MASK, curve.validation),
                    )
                    if steps
                ),
            )
            for curve in loss_curves(self.logs, pl_module.config)
        ]
        write_atomically(
            self.logs / "curves.png", curves_png(panels, title=f"Losses after {trainer.global_step:,} steps")
        )


def _spread(store: Store, *, healthy: bool, count: int) -> NDArray[np.int64]:
    """Slices of different subjects where possible, with as much brain (or lesion) as theirs have."""
    rows = store.rows("validation", healthy=healthy)
    table = store.index.iloc[rows]
    largest = table.groupby("subject")["brain_px" if healthy else "lesion_px"].idxmax()
    return np.asarray(largest.to_numpy()[:count], dtype=np.int64)
