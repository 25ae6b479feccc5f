"""How the losses of a training fell, from the logs beside the model."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from mmccd.method.method import Loss
from mmccd.method.registry import METHODS
from mmccd.model.config import Config

CYCLE = Loss("Healthy tissue, restored by the cheapest sampler")
"""Of ``validation/cycle``, which every method has beside its own losses."""
Points = tuple[list[float], list[float]]
"""Steps and values."""


@dataclass(frozen=True)
class LossCurve:
    """One loss against steps.

    Attributes:
        title: What it is of.
        quantity: What it is.
        training: Steps and values on training slices; empty where it has none.
        validation: The same on validation slices.
    """

    title: str
    quantity: str
    training: Points
    validation: Points


def loss_curves(logs: Path, config: Config) -> list[LossCurve]:
    """The losses of a method that were logged and validated, in its own order, then ``validation/cycle``."""
    logged = logged_losses(logs)
    names = {"source": config.source, "targets": ", ".join(config.targets)}
    losses = {**METHODS[config.method].about.losses, "cycle": CYCLE}
    nothing: Points = ([], [])
    return [
        LossCurve(
            loss.title.format(**names),
            loss.quantity,
            logged.get(f"train/{name}", nothing),
            logged[f"validation/{name}"],
        )
        for name, loss in losses.items()
        if logged.get(f"validation/{name}", nothing)[0]
    ]


def logged_losses(logs: Path) -> dict[str, Points]:
    """Steps and values of each logged loss, ``train/forward`` and so on; of steps that were done again, the later.

    Args:
        logs: The folder ``training`` of a model; of one that was copied without, there is nothing.
    """
    found: dict[str, dict[int, float]] = {}
    for path in sorted(logs.glob("log_from_step_*/metrics.csv")):
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                step = int(row["step"]) + 1  # Lightning counts steps from 0
                for key, text in row.items():
                    if "/" in key and text and math.isfinite(value := float(text)):
                        found.setdefault(key, {})[step] = value
    return {
        key: ([float(step) for step in sorted(values)], [values[step] for step in sorted(values)])
        for key, values in found.items()
    }
