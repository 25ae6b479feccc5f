"""The page of a model: what it learnt from, how its losses fell, what it restores, what its threshold guarantees."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mmccd.data.own_folders import CARD, WEIGHTS
from mmccd.model.card import THRESHOLD_KINDS, Card
from mmccd.model.config import Config
from mmccd.model.folder import load_any, read_card
from mmccd.model.losses import LossCurve, loss_curves
from mmccd.reporting.charts import Line, Mark, line_chart, strip_chart
from mmccd.reporting.methods_text import methods_of_model
from mmccd.reporting.page import write_page
from mmccd.reporting.planes import data_address


def report_model(folder: Path, name: str, output: Path, *, names: bool = True) -> int:
    """Write the page of a model's folder or package; returns its size in bytes.

    Without ``names`` the picture of the training, in which subjects are named, is left out.

    Raises:
        ModelError: the card cannot be read, or the package of a fusion is damaged.
    """
    card = read_card(folder)
    text, references = methods_of_model(card)
    thresholds = [(kind, one) for kind in THRESHOLD_KINDS if (one := card.threshold_of(kind))]
    marks = [
        Mark(f"{kind} threshold", one.value, one.value, one.value, "marked")
        for kind, one in thresholds if one.added_to is None
    ]  # fmt: skip
    config = card.config
    values = {
        "name": name,
        "card": card,
        "config": config,
        "settings": [] if config is None else sorted(_flat(config.model_dump(mode="json"))),
        "thresholds": thresholds,
        "members": _members(folder, card),
        "curves": [] if config is None else _charts(folder / "training", config),
        "picture": _last_picture(folder / "training" / "pictures") if names else None,
        "weights_there": folder.is_file() or (folder / WEIGHTS).is_file() or bool(card.members),
        "healthy": strip_chart(marks, card.healthy_scores, axis="anomaly"),
        "data": card.training_data,
        "versions": card.provenance.get("versions", {}),
        "methods": text,
        "references": references,
    }
    return write_page(output, "model", values)


def _members(folder: Path, card: Card) -> list[Card]:
    """Cards of the models of a fusion, as far as they are there."""
    if card.members and folder.is_file():  # a package, which is whole or refused
        return [member.card for member in load_any(folder).members]
    return [read_card(folder / name) for name in card.members if (folder / name / CARD).is_file()]


def _charts(training: Path, config: Config) -> list[tuple[str, Markup]]:
    return [(curve.title, _chart(curve)) for curve in loss_curves(training, config)]


def _chart(curve: LossCurve) -> Markup:
    parts = (("training", curve.training, "quiet"), ("validation", curve.validation, "marked"))
    lines = [Line(label, *points, kind=style) for label, points, style in parts if points[0]]
    positive = all(min(line.y) > 0 for line in lines)
    return line_chart(lines, x_axis="step", y_axis=curve.quantity, log=positive)


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
