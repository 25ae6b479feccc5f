"""Pictures: what a translation does, how its losses fell, and what a detector finds."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

BACKGROUND = "#101418"
INK = "#e8eaed"
MUTED = "#9aa0a6"
LESION = "#4dd0e1"
MASK = "#ffca28"
MAP_COLOURS = "inferno"


@dataclass(frozen=True)
class Panel:
    """One picture of a grid: an axial slice, (x, y) in RAS.

    Attributes:
        image: Values to show.
        low: Value shown darkest.
        high: Value shown brightest.
        colours: Name of a matplotlib colour map.
        outlines: Colour to mask, drawn as contours.
        note: Small text in the corner.
        sides_mm: Of a pixel, along x and along y.
    """

    image: NDArray[np.floating]
    low: float
    high: float
    colours: str = "gray"
    outlines: tuple[tuple[str, NDArray[np.bool_]], ...] = ()
    note: str = ""
    sides_mm: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Curve:
    """One line of a plot.

    Attributes:
        name: What the legend says.
        colour: Name or code.
        steps: (n,), from low to high.
        values: (n,).
    """

    name: str
    colour: str
    steps: NDArray[np.floating]
    values: NDArray[np.floating]


@dataclass(frozen=True)
class CurvePanel:
    """Curves on one axis, which is logarithmic where all values are above zero."""

    title: str
    quantity: str
    curves: tuple[Curve, ...]


def grid_png(
    rows: Sequence[Sequence[Panel]],
    *,
    columns: Sequence[str],
    names: Sequence[str],
    title: str,
    caption: str = "",
    inches: float = 1.9,
    threshold: float | None = None,
) -> bytes:
    """A labelled grid of axial slices as PNG, patient's left on the right as radiologists read them.

    Args:
        rows: Panels, row by row.
        columns: Titles above the first row.
        names: Titles left of the rows.
        title: Above all.
        caption: Below all.
        inches: Side of a panel.
        threshold: Of maps that run from 0 to twice this; a colour bar then says so.
    """
    height, width = len(rows), len(columns)
    label_inches = 1.35
    figure = Figure((width * inches + label_inches, height * inches + 1.15), facecolor=BACKGROUND, dpi=110)
    FigureCanvasAgg(figure)
    figure.text(0.012, 1 - 0.32 / figure.get_figheight(), title, color=INK, fontsize=11, weight="bold", va="center")
    top = 1 - 0.75 / figure.get_figheight()
    axes = figure.subplots(height, width, squeeze=False)
    figure.subplots_adjust(
        left=label_inches / figure.get_figwidth(), right=0.995, top=top, bottom=0.4 / figure.get_figheight(),
        wspace=0.03, hspace=0.03,
    )  # fmt: skip
    for i, row in enumerate(rows):
        for j, panel in enumerate(row):
            _draw(axes[i, j], panel)
            if i == 0:
                axes[i, j].set_title(columns[j], color=INK, fontsize=9, pad=5)
        axes[i, 0].set_ylabel(names[i], color=INK, fontsize=8, rotation=0, ha="right", va="center", labelpad=6)
    for text in figure.findobj(Text):  # a name with dollars is no formula
        text.set_parse_math(False)
    figure.text(0.012, 0.16 / figure.get_figheight(), caption, color=MUTED, fontsize=7.5, va="center")
    for place, letter in ((0.02, "R"), (0.98, "L")):
        _mark_side(axes[0, 0], place, letter)
    if threshold is not None:
        _colour_bar(figure, threshold)
    return png_of(figure)


def curves_png(panels: Sequence[CurvePanel], *, title: str) -> bytes:
    """Curves against steps as PNG, side by side."""
    width, height = 4.2 * len(panels), 3.6
    figure = Figure((width, height), facecolor=BACKGROUND, dpi=110)
    FigureCanvasAgg(figure)
    # Margins in inches, as matplotlib's own layout takes as long as the drawing.
    figure.subplots_adjust(
        left=0.8 / width, right=1 - 0.15 / width, bottom=0.5 / height, top=1 - 0.72 / height, wspace=0.3
    )
    figure.suptitle(title, color=INK, fontsize=11, weight="bold", x=0.012, ha="left")
    for axis, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for curve in panel.curves:
            marker = "o" if len(curve.steps) < 40 else ""  # a single point has no line
            axis.plot(
                curve.steps, curve.values, color=curve.colour, label=curve.name, marker=marker, ms=3.5, linewidth=1.2
            )
        axis.set_title(panel.title, color=INK, fontsize=9)
        if all((curve.values > 0).all() for curve in panel.curves):
            axis.set_yscale("log")
        axis.set_xlim(left=0)
        axis.set_xlabel("step", color=INK, fontsize=8)
        axis.set_ylabel(panel.quantity, color=INK, fontsize=8)
        axis.set_facecolor(BACKGROUND)
        axis.tick_params(which="both", colors=MUTED, labelsize=7)
        axis.grid(color=MUTED, alpha=0.2)
        axis.spines[:].set_color(MUTED)
        axis.legend(facecolor=BACKGROUND, edgecolor=MUTED, labelcolor=INK, fontsize=8)
    return png_of(figure)


def window(data: NDArray[np.float32], brain: NDArray[np.bool_]) -> tuple[float, float]:
    """Darkest and brightest value of a picture: from 0 to the 99.5th percentile of the brain."""
    return 0.0, float(np.quantile(data[brain], 0.995))


def frame(brain: NDArray[np.bool_], sides_mm: tuple[float, float], margin_mm: float = 4.0) -> tuple[slice, slice]:
    """The square, in millimetres, around the brain of a slice, so that pictures of different fields of view compare.

    Where a lesion lies in a slice without brain, the whole slice.
    """
    if not brain.any():
        return slice(None), slice(None)
    occupied = [np.flatnonzero(brain.any(axis=axis)) for axis in (1, 0)]
    extents_mm = [(pixels[-1] - pixels[0]) * side for pixels, side in zip(occupied, sides_mm, strict=True)]
    sizes = [math.ceil((max(extents_mm) + 2 * margin_mm) / side) for side in sides_mm]
    starts = [
        max(0, int(pixels[0] + pixels[-1]) // 2 - size // 2) for pixels, size in zip(occupied, sizes, strict=True)
    ]
    return slice(starts[0], starts[0] + sizes[0]), slice(starts[1], starts[1] + sizes[1])


def png_of(figure: Figure) -> bytes:
    """A figure as PNG, the same bytes for the same figure."""
    stream = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # a box stands in the name of a case
        figure.savefig(stream, format="png", facecolor=BACKGROUND, metadata={"Software": None})
    return stream.getvalue()


def _mark_side(axis: "matplotlib.axes.Axes", place: float, letter: str) -> None:
    ends = {"R": "left", "L": "right"}
    axis.text(place, 0.5, letter, color=INK, fontsize=7, ha=ends[letter], va="center", transform=axis.transAxes)


def _colour_bar(figure: Figure, threshold: float) -> None:
    """Below the last column, from 0 to twice the threshold."""
    width, height = 1.5 / figure.get_figwidth(), 0.07 / figure.get_figheight()
    axis = figure.add_axes((0.975 - width, 0.27 / figure.get_figheight(), width, height))
    scale = ScalarMappable(Normalize(0, 2 * threshold), MAP_COLOURS)
    bar = figure.colorbar(scale, axis, orientation="horizontal", ticks=[0, threshold, 2 * threshold])
    bar.ax.set_xticklabels(["0", f"threshold {threshold:.3g}", f"{2 * threshold:.3g}"])
    bar.ax.tick_params(colors=MUTED, labelsize=6.5, length=2, pad=1)
    bar.outline.set_visible(False)


def _draw(axis: "matplotlib.axes.Axes", panel: Panel) -> None:
    # x runs to the patient's right-to-left on the page, y upwards to the front: the radiological convention.
    axis.imshow(
        panel.image.T[:, ::-1],
        origin="lower",
        cmap=panel.colours,
        vmin=panel.low,
        vmax=panel.high,
        interpolation="nearest",
        aspect=panel.sides_mm[1] / panel.sides_mm[0],
    )
    for colour, mask in panel.outlines:
        if mask.any():
            axis.contour(mask.T[:, ::-1].astype(float), levels=[0.5], colors=[colour], linewidths=1.0)
    if panel.note:
        axis.text(0.03, 0.03, panel.note, color=INK, fontsize=7, transform=axis.transAxes)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_facecolor("black")
    for spine in axis.spines.values():
        spine.set_visible(False)
