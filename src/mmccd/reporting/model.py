"""The page of a model: what it learnt from, how its losses fell, what it restores, and what its threshold promises."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mmccd.model.files import CARD, WEIGHTS
from mmccd.model.model import load_any, read_card
from mmccd.reporting.charts import Line, Mark, finite_pairs, line_chart, strip_chart
from mmccd.reporting.methods_text import methods_of_model
from mmccd.reporting.page import write_page
from mmccd.reporting.planes import data_address

_TITLES = {
    "forward": "Forward network, {source} → {targets}",
    "backward": "Backward network, {targets} → {source}",
    "reconstruction": "Reconstruction of {source}",
    "divergence": "Divergence of the code",
    "cycle": "Restored whole, healthy validation slices",
}


def report_model(folder: Path, name: str, output: Path, *, names: bool = True) -> int:
    """Write the page of a model's folder or package; returns its size in bytes.

    Without ``names`` the picture of the training, in which subjects are named, is left out.

    Raises:
        ModelError: the card cannot be read, or the package of a fusion is damaged.
    """
    card = read_card(folder)
    config = card.get("config") or {}
    text, references = methods_of_model(card)
    scores = [float(score) for score in card["healthy_scores"]]
    threshold, of_scans = card["threshold"], card["scan_threshold"]
    values = {
        "name": name,
        "card": card,
        "config": config,
        "settings": sorted(_flat(config)),
        "members": _members(folder, card),
        "curves": _curves(folder / "training", config),
        "picture": _last_picture(folder / "training" / "pictures") if names else None,
        "weights_there": folder.is_file() or (folder / WEIGHTS).is_file() or bool(card.get("members")),
        "healthy": strip_chart(
            [
                Mark("threshold for voxels", threshold["value"], threshold["value"], threshold["value"], "marked"),
                Mark("threshold for scans", of_scans["value"], of_scans["value"], of_scans["value"], "marked"),
            ],
            scores,
            axis="anomaly",
        ),
        "data": card.get("training_data") or {},
        "versions": card.get("provenance", {}).get("versions", {}),
        "methods": text,
        "references": references,
    }
    return write_page(output, "model", values)


def _members(folder: Path, card: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Cards of the models of a fusion, as far as they are there."""
    names = card.get("members", [])
    if names and folder.is_file():  # a package, which is whole or refused
        return [member.card for member in load_any(folder).members]
    return [read_card(folder / name) for name in names if (folder / name / CARD).is_file()]


def losses_of(training: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Steps and values of each logged loss, ``train/forward`` and so on; of steps that were done again, the later.

    Without logs, as of a model that was copied, there is none.
    """
    found: dict[str, dict[int, float]] = {}
    for path in sorted(training.glob("log_from_step_*/metrics.csv")):
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                step = int(row["step"]) + 1  # Lightning counts steps from 0
                for key, text in row.items():
                    if "/" in key and text:
                        found.setdefault(key, {})[step] = float(text)
    return {
        key: finite_pairs([float(step) for step in sorted(values)], [values[step] for step in sorted(values)])
        for key, values in found.items()
    }


def _curves(training: Path, config: Mapping[str, Any]) -> list[tuple[str, Markup]]:
    losses = losses_of(training)
    names = {"source": config.get("source", "x"), "targets": ", ".join(config.get("targets", []))}
    charts = []
    for kind, title in _TITLES.items():
        parts = (("train", "training", "quiet"), ("validation", "validation", "marked"))
        lines = [
            Line(label, *losses[f"{part}/{kind}"], kind=style)
            for part, label, style in parts
            if losses.get(f"{part}/{kind}", ([], []))[0]
        ]
        lines = [line for line in lines if min(line.y) > 0]
        if f"validation/{kind}" in losses and lines:
            chart = line_chart(lines, x_axis="step", y_axis="mean squared error", log=True)
            charts.append((title.format(**names), chart))
    return charts


def _last_picture(folder: Path) -> dict[str, str] | None:
    pictures = sorted(folder.glob("step_*.png"))
    if not pictures:
        return None
    step = pictures[-1].stem.removeprefix("step_").lstrip("0") or "0"
    return {"address": data_address(pictures[-1].read_bytes()), "step": f"{int(step):,}" if step.isdigit() else step}


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return rows
