"""Charts as SVG whose colours come from the page's style sheet, so that they fit light, dark and paper."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from matplotlib.ticker import LogLocator, MaxNLocator

from mmccd.system.plain_text import on_page

WIDTH = 900
NARROW = 620
ROW = 24
MOST_ROWS = 40
MOST_MARKS = 400
"""More scans are counted, not marked one by one."""
_BAR = 10.0  # width of a bar, with the gap
_COUNTS = 56  # width of the numbers beside bars
_LABELS = 235  # width of the labels of rows
_LETTERS = 25  # that fit there, in bold
_BOTTOM = 46


@dataclass(frozen=True)
class Mark:
    """One row of a chart: a value, with an interval where there is one.

    Attributes:
        label: Name of the row.
        value: Where its point lies.
        low: Lower end of the interval; the value itself without one.
        high: Upper end.
        kind: CSS class of the point: `plain`, `marked`, `baseline`.
        link: Address in the page that the label leads to.
    """

    label: str
    value: float
    low: float
    high: float
    kind: str = "plain"
    link: str = ""


@dataclass(frozen=True)
class Line:
    """One curve: finite points, from left to right; ``kind`` is a CSS class."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    kind: str


def strip_chart(marks: Sequence[Mark], healthy: Sequence[float], *, axis: str) -> Markup:
    """Scores of scans beside those of healthy reference subjects, whose range is shaded."""
    rows = list(marks) if len(marks) <= MOST_ROWS else []
    values = [mark.value for mark in marks] + list(healthy)
    place, ticks = _scale(values, 0 if not rows else _LABELS)
    top = 40.0
    bottom = top + (len(rows) * ROW if rows else 90)
    parts = [_frame(place, ticks, top - 14, bottom, axis)]
    parts += _healthy(place, healthy, top, bottom)
    for index, mark in enumerate(rows):
        parts.append(_row(mark, place, top + (index + 0.5) * ROW))
    if not rows:
        parts += [_svg('<circle class="point {}" cx="{}" cy="{}" r="4"><title>{}: {}</title></circle>', mark.kind,
                       place(mark.value), top + 12 + 61.8 * index % 70, mark.label, f"{mark.value:.3g}")
                  for index, mark in enumerate(marks)]  # fmt: skip
    return _chart(bottom + _BOTTOM, f"{axis}: {len(marks)} scans beside {len(healthy)} healthy subjects", parts)


def histogram(plain: Sequence[float], marked: Sequence[float], healthy: Sequence[float], *, axis: str) -> Markup:
    """How many scans have which score, too many for a mark each: those above all healthy ones stand on the others."""
    every = np.array([*plain, *marked], dtype=np.float64)
    every = every[np.isfinite(every)]
    place, ticks = _scale([*every, *healthy], _COUNTS)
    top, bottom = 40.0, 220.0
    edges = np.arange(_COUNTS, WIDTH + _BAR, _BAR)
    counts = [np.histogram([place(value) for value in values if np.isfinite(value)], edges)[0]
              for values in (plain, marked)]  # fmt: skip
    rungs = [
        float(tick) for tick in MaxNLocator(4, integer=True).tick_values(0, max(1, int((counts[0] + counts[1]).max())))
    ]
    high = rungs[-1]
    parts = [_frame(place, ticks, top - 14, bottom, axis)]
    for count in rungs:
        y = bottom - count / high * (bottom - top)
        parts.append(_svg('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>', _COUNTS, WIDTH, y, y))
        parts.append(_text(_COUNTS - 8, y + 4, f"{count:,.0f}", "tick", "end"))
    parts += _healthy(place, healthy, top, bottom)
    for left, *heights in zip(edges, *counts, strict=False):
        base = bottom
        for kind, count in zip(("plain", "marked"), heights, strict=True):
            if count:  # one scan among thousands is seen, too
                tall = max(count / high * (bottom - top), 2.0)
                base -= tall
                parts.append(_svg('<rect class="bar-{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
                                  kind, round(left + 0.5, 1), round(base, 1), _BAR - 1, round(tall, 1),
                                  f"{count:,} scan" + ("s" if count > 1 else "")))  # fmt: skip
    low, middle, upper = np.quantile(every, (0.05, 0.5, 0.95)) if len(every) else (0.0, 0.0, 0.0)
    name = (
        f"{axis}: {len(plain) + len(marked):,} scans beside {len(healthy)} healthy subjects; half of them up to "
        f"{middle:.3g}, nine of ten from {low:.3g} to {upper:.3g}; {len(marked):,} above all healthy subjects"
    )
    return _chart(bottom + _BOTTOM, name, parts)


def small_strip(value: float, healthy: Sequence[float], every: Sequence[float]) -> Markup:
    """One scan's score on the axis of all, of whom the ends are enough: ticks are healthy subjects, the point is it."""
    place, _ = _scale([*every, *healthy], 0, width=300, edge=8)
    parts = [_svg('<line class="axis" x1="0" x2="300" y1="22" y2="22"/>')]
    parts += [_svg('<line class="healthy" x1="{0}" x2="{0}" y1="12" y2="22"/>', place(one)) for one in healthy]
    kind = "marked" if healthy and value > max(healthy) else "plain"
    parts.append(_svg('<circle class="point {}" cx="{}" cy="22" r="6"/>', kind, place(value)))
    return _chart(32, f"score {value:.3g} beside {len(healthy)} healthy subjects", parts, 300)


def forest(
    marks: Sequence[Mark], *, axis: str, low: float = 0.0, high: float = 1.0, guide: float | None = None
) -> Markup:
    """Means with intervals, one row each, and a line down through all rows at ``guide``, to compare with."""
    place, ticks = _scale([low, high], _LABELS, width=NARROW)
    top = 10.0
    bottom = top + len(marks) * ROW
    parts = [_frame(place, ticks, top, bottom, axis)]
    if guide is not None:
        parts.append(_svg('<line class="guide" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>', place(guide), top, bottom))
    parts += [_row(mark, place, top + (index + 0.5) * ROW, NARROW) for index, mark in enumerate(marks)]
    return _chart(bottom + _BOTTOM, f"{axis} of {len(marks)} methods with intervals", parts, NARROW)


def line_chart(
    lines: Sequence[Line],
    *,
    x_axis: str,
    y_axis: str,
    log: bool = False,
    x_from: Sequence[float] = (0.0,),
    y_from: Sequence[float] = (),
) -> Markup:
    """Curves on common axes, logarithmic upwards if asked for; the axes hold at least ``x_from`` and ``y_from``."""
    xs = [*x_from, *(value for line in lines for value in line.x)]
    ys = [*y_from, *(value for line in lines for value in line.y)]
    width, left, top, bottom = 480, 58, 12.0, 250.0
    across, x_ticks = _scale(xs, left, width=width, edge=10)
    upwards, y_ticks = _scale(ys, 0, width=bottom - top, edge=6, log=log)
    parts: list[Markup] = []
    for value in y_ticks:
        y = bottom - upwards(value)
        parts.append(_svg('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>', left, width, y, y))
        parts.append(_text(left - 8, y + 4, f"{value:g}", "tick", "end"))
    parts += [_text(across(value), bottom + 18, f"{value:g}", "tick", "middle") for value in x_ticks]
    parts.append(_svg('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>', left, width, bottom, bottom))
    for line in lines:
        points = [f"{across(x):.1f},{bottom - upwards(y):.1f}" for x, y in zip(line.x, line.y, strict=True)]
        parts.append(_svg('<polyline class="curve {}" points="{}"><title>{}</title></polyline>', line.kind,
                          " ".join(points), line.label))  # fmt: skip
        if len(points) < 40:
            parts += [_svg('<circle class="dot {}" cx="{}" cy="{}" r="2.6"/>', line.kind, *point.split(","))
                      for point in points]  # fmt: skip
    parts.append(_text((left + width) / 2, bottom + 38, x_axis, "label", "middle"))
    parts.append(_svg('<text class="label" text-anchor="middle" transform="translate(12 {}) rotate(-90)">{}</text>',
                      (top + bottom) / 2, y_axis))  # fmt: skip
    named = ", ".join(line.label for line in lines)
    return _chart(bottom + _BOTTOM, f"{y_axis} against {x_axis}: {named}", parts, width + 6)


def _healthy(place: Callable[[float], float], healthy: Sequence[float], top: float, bottom: float) -> list[Markup]:
    """The range of healthy reference subjects, and a tick for each of them on top of it."""
    if not healthy:
        return []
    low, high = place(min(healthy)), place(max(healthy))
    band = _svg(
        '<rect class="healthy-range" x="{}" y="{}" width="{}" height="{}"/>', low, top - 14, max(high - low, 1.5),
        bottom - top + 14,
    )  # fmt: skip
    ticks = [_svg('<line class="healthy" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>', place(value), top - 14, top - 2)
             for value in healthy]  # fmt: skip
    return [band, *ticks, _text((low + high) / 2, 14, f"healthy reference, n = {len(healthy)}", "note", "middle")]


def _row(mark: Mark, place: Callable[[float], float], y: float, width: float = WIDTH) -> Markup:
    label = mark.label if len(mark.label) <= _LETTERS else mark.label[: _LETTERS - 1] + "…"
    text = _text(_LABELS - 14, y + 4, label, f"row {mark.kind}", "end", mark.label)
    if mark.link:
        text = _svg('<a href="{}">{}</a>', mark.link, text)
    parts = [_svg('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>', _LABELS, width, y, y), text]
    if mark.high > mark.low:
        parts.append(_svg('<line class="interval {}" x1="{}" x2="{}" y1="{}" y2="{}"/>', mark.kind, place(mark.low),
                          place(mark.high), y, y))  # fmt: skip
    tip = f"{mark.label}: {mark.value:.3f}" + (f" [{mark.low:.3f}, {mark.high:.3f}]" if mark.high > mark.low else "")
    parts.append(_svg('<circle class="point {}" cx="{}" cy="{}" r="5"><title>{}</title></circle>', mark.kind,
                      place(mark.value), y, tip))  # fmt: skip
    return Markup("").join(parts)


def _frame(place: Callable[[float], float], ticks: Sequence[float], top: float, bottom: float, axis: str) -> Markup:
    parts = []
    for value in ticks:
        parts.append(_svg('<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>', place(value), top, bottom))
        parts.append(_text(place(value), bottom + 18, f"{value:g}", "tick", "middle"))
    parts.append(_text((place(ticks[0]) + place(ticks[-1])) / 2, bottom + 38, axis, "label", "middle"))
    return Markup("").join(parts)


def _scale(
    values: Sequence[float], left: float, *, width: float = WIDTH, edge: float = 14, log: bool | None = None
) -> tuple[Callable[[float], float], list[float]]:
    """Where values lie between ``left`` and ``width``, and round values for the axis; logarithmic where they spread."""
    finite = np.array([value for value in values if np.isfinite(value)] or [0.0, 1.0], dtype=np.float64)
    low, high = float(finite.min()), float(finite.max())
    logarithmic = low > 0 and (high / low > 30 if log is None else log)
    if logarithmic:
        ticks = [float(tick) for tick in LogLocator(subs=(1.0, 2.0, 5.0)).tick_values(low, high)]
        ticks = [tick for tick in ticks if low / 1.3 <= tick <= high * 1.3]
        if len(ticks) < 2:
            ticks = [float(tick) for tick in MaxNLocator(4).tick_values(low, high) if tick > 0]
        low, high = min(low, ticks[0]), max(high, ticks[-1])
        ends = np.log(low), np.log(max(high, low * 1.001))
        return _placed(ends, left + edge, width - edge, np.log), ticks
    margin = 0.02 * (high - low) or 0.5
    ticks = [float(tick) for tick in MaxNLocator(6).tick_values(low, high)]
    ticks = [tick for tick in ticks if low - margin <= tick <= high + margin]
    if len(ticks) < 2:
        ticks = [low - margin, high + margin]
    return _placed((min(low, ticks[0]), max(high, ticks[-1])), left + edge, width - edge, float), ticks


def _placed(
    ends: tuple[float, float], left: float, right: float, of: Callable[[float], float]
) -> Callable[[float], float]:
    low, high = ends
    return lambda value: round(left + (float(of(value)) - low) / (high - low) * (right - left), 1)


def _text(x: float, y: float, text: str, kind: str, anchor: str, title: str = "") -> Markup:
    tip = _svg("<title>{}</title>", title) if title and title != text else ""
    return _svg('<text class="{}" x="{}" y="{}" text-anchor="{}">{}{}</text>', kind, round(x, 1), round(y, 1), anchor,
                text, tip)  # fmt: skip


def _svg(form: str, *values: object) -> Markup:
    """Fill a piece of SVG; whatever is not markup already is escaped."""
    return Markup(form).format(
        *(value if isinstance(value, Markup) else escape(on_page(str(value))) for value in values)
    )


def _chart(height: float, name: str, parts: Sequence[Markup], width: float = WIDTH) -> Markup:
    return _svg('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>', f"{width:g}",
                f"{height:g}", name, Markup("").join(parts))  # fmt: skip


def finite_pairs(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """Points that can be drawn."""
    kept = [(float(a), float(b)) for a, b in zip(x, y, strict=True) if np.isfinite(a) and np.isfinite(b)]
    return [a for a, _ in kept], [b for _, b in kept]
