"""Pictures at every validation: what the networks make of the same slices, and how their losses fell."""

from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray

from mmccd.data.store import Store
from mmccd.figures import LESION, MAP_COLOURS, MASK, MUTED, Curve, Panel, curves_png, grid_png
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
            target, restored = pl_module.method.cycle(torch.from_numpy(x)[:, None].to(pl_module.device))
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
        source, targets = pl_module.config.source, ", ".join(pl_module.config.targets)
        titles = {
            "forward": f"Forward network, {source} → {targets}",
            "backward": f"Backward network, {targets} → {source}",
            "reconstruction": f"Reconstruction of {source}",
            "divergence": "Divergence of the code",
            "cycle": "Restored whole, healthy validation slices",
        }
        losses = logged_losses(self.logs)
        titles = {name: title for name, title in titles.items() if f"validation/{name}" in losses}
        panels = {
            title: [
                Curve(label, colour, column.index.to_numpy(), column.to_numpy())
                for part, label, colour in (("train", "training", MUTED), ("validation", "validation", MASK))
                if f"{part}/{name}" in losses
                for column in (losses[f"{part}/{name}"].dropna(),)
            ]
            for name, title in titles.items()
        }
        title = f"Losses after {trainer.global_step:,} steps"
        write_atomically(self.logs / "curves.png", curves_png(panels, title=title, quantity="mean squared error"))


def logged_losses(logs: Path) -> pd.DataFrame:
    """The CSV logs of a training and of all its resumptions as one table; the index is the number of steps done.

    Where a resumed run did steps again, its values count.
    """
    files = sorted(logs.glob("log_from_step_*/metrics.csv"))
    table = pd.concat([pd.read_csv(file) for file in files]).groupby("step").last()
    return table.set_index(table.index + 1)  # Lightning counts steps from 0


def _spread(store: Store, *, healthy: bool, count: int) -> NDArray[np.int64]:
    """Slices of different subjects where possible, with as much brain (or lesion) as theirs have."""
    rows = store.rows("validation", healthy=healthy)
    table = store.index.iloc[rows]
    largest = table.groupby("subject")["brain_px" if healthy else "lesion_px"].idxmax()
    return np.asarray(largest.to_numpy()[:count], dtype=np.int64)
