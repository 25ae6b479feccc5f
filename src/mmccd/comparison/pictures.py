"""Pictures of a benchmark: precision against recall, Dice by lesion size, and the same cases by all methods."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmccd.comparison.contenders import BEST, INTENSITIES, OURS
from mmccd.comparison.record import BenchmarkRecord, Row, read_maps, record_path
from mmccd.comparison.scores import CURVE_RECALLS
from mmccd.data.store import Store
from mmccd.figures import BACKGROUND, INK, LESION, MAP_COLOURS, MUTED, Panel, grid_png, png_of
from mmccd.system.files import write_atomically

CASES = 4


def write_curves(path: Path, records: Sequence[BenchmarkRecord], source: str) -> None:
    """Precision against recall, mean over subjects; the left panel holds the squared error, the right one evidence."""
    figure, axes = _figure(2, f"{source.upper()}: precision against recall, mean over test subjects")
    for axis, scoring in zip(axes, ("squared", "evidence"), strict=True):
        shown = [r for r in records if r.precision_at_recalls and (_intensity(r) or r.scoring == scoring)]
        for record, colour in zip(shown, _colours(shown), strict=True):
            width, style = 2.4 if record.contender in OURS else 1.2, ":" if _intensity(record) else "-"
            precision = record.precision_at_recalls
            axis.plot(CURVE_RECALLS, precision, label=record.contender, color=colour, lw=width, ls=style)
        axis.set_title(f"scored by {scoring}{' error' * (scoring == 'squared')}", color=INK, fontsize=9)
        axis.set_xlabel("recall (share of the lesion that is marked)", color=INK, fontsize=8)
        axis.set_ylabel("precision (share of the marked that is lesion)", color=INK, fontsize=8)
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
        axis.legend(facecolor=BACKGROUND, edgecolor=MUTED, labelcolor=INK, fontsize=7, ncols=4, loc="upper center",
                    bbox_to_anchor=(0.5, -0.14))  # fmt: skip
    write_atomically(path, png_of(figure))


def write_sizes(path: Path, records: Sequence[BenchmarkRecord], source: str) -> None:
    """Label-free Dice in thirds of the test subjects by lesion volume."""
    figure, (axis,) = _figure(1, f"{source.upper()}: Dice by lesion volume, threshold chosen without labels")
    shown = [record for record in records if record.rows]
    width = 0.8 / max(1, len(shown))
    ticks: list[str] = []
    for i, (record, colour) in enumerate(zip(shown, _colours(shown), strict=True)):
        parts = thirds(record.rows)
        means = [float(np.mean([row["dice"] for row in third])) for third in parts]
        axis.bar(np.arange(len(parts)) + i * width - 0.4, means, width, label=record.contender, color=colour)
        ticks = [f"{third[0]['lesion_ml']:.0f} to {third[-1]['lesion_ml']:.0f} ml\n{len(third)} subjects"
                 for third in parts]  # fmt: skip
    axis.set_xticks(range(len(ticks)), ticks, color=INK, fontsize=8)
    axis.set_ylabel("Dice", color=INK, fontsize=8)
    axis.legend(facecolor=BACKGROUND, edgecolor=MUTED, labelcolor=INK, fontsize=6, ncols=2, loc="upper left",
                bbox_to_anchor=(1.0, 1.0))  # fmt: skip
    write_atomically(path, png_of(figure))


def write_montage(path: Path, records: Sequence[BenchmarkRecord], store: Store, source: str) -> None:
    """The slices with most lesion of a few subjects, small to large: the scan, then each contender's map."""
    shown = [record for record in records if record.paper]
    cases, volume_ml = shown[0].paper, shown[0].volume_ml
    order = sorted(range(len(cases)), key=lambda i: volume_ml[cases[i]["case"]])
    chosen = [order[i] for i in np.unique(np.linspace(0, len(order) - 1, CASES).round().astype(int))]
    maps = [read_maps(record_path(path.parent, source, record.contender)) for record in shown]
    rows, names = [], []
    for i in chosen:
        image, brain, lesion = _slice(store, source, cases[i]["case"], cases[i]["z"])
        outline = ((LESION, lesion),)
        panels = [Panel(image, -3, 4, outlines=outline)]
        for found in maps:
            inside = found[i][brain]
            panels.append(Panel(np.where(brain, found[i], inside.min()), float(inside.min()),
                                float(np.quantile(inside, 0.995)), MAP_COLOURS, outline))  # fmt: skip
        rows.append(panels)
        names.append(f"{cases[i]['case']}\n{volume_ml[cases[i]['case']]:.0f} ml")
    picture = grid_png(
        rows,
        columns=[source, *(record.contender.replace(" ", "\n", 1) for record in shown)],
        names=names,
        title="The same slices by all methods",
        caption="Cyan: expert's outline. Each map is shown from its least value in the brain to its 99.5th percentile.",
        inches=1.25,
    )
    write_atomically(path, picture)


def thirds(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows that have a Dice, by lesion volume in three parts as equal as can be; none of them is empty."""
    defined = sorted((row for row in rows if row["dice"] is not None), key=lambda row: float(row["lesion_ml"]))
    return [list(third) for third in np.array_split(np.array(defined, dtype=object), 3) if len(third)]


def _slice(store: Store, source: str, subject: str, z: int) -> tuple[Any, Any, Any]:
    """The slice of a scan with this number, which need not be the z-th that is stored."""
    table = store.index
    (row,) = np.flatnonzero((table["subject"] == subject) & (table["slice"] == z))
    image, brain, lesion = (np.asarray(store.array(name)[row]) for name in (source, "brain", "lesion"))
    return image.astype(np.float32), brain, lesion


def _intensity(record: BenchmarkRecord) -> bool:
    return record.contender in INTENSITIES


def _colours(records: Sequence[BenchmarkRecord]) -> list[Any]:
    palette = matplotlib.colormaps["tab20"]
    return ["#ffca28" if record.contender == BEST else palette(i % 20) for i, record in enumerate(records)]


def _figure(panels: int, title: str) -> tuple[Figure, Any]:
    figure = Figure((5.4 * panels + (2.5 if panels == 1 else 0), 4.4), facecolor=BACKGROUND, dpi=110,
                    layout="constrained")  # fmt: skip
    FigureCanvasAgg(figure)
    figure.suptitle(title, color=INK, fontsize=11, weight="bold", x=0.012, ha="left")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for axis in axes:
        axis.set_facecolor(BACKGROUND)
        axis.tick_params(colors=MUTED, labelsize=7)
        axis.grid(color=MUTED, alpha=0.2)
        axis.spines[:].set_color(MUTED)
    return figure, axes
