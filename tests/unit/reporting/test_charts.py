"""Charts: what is drawn lies where its value is, and no name becomes markup."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from mmccd.reporting.charts import Line, Mark, finite_pairs, forest, histogram, line_chart, small_strip, strip_chart

HOSTILE = '</text><script>alert("x")</script>'


def mark(label, value, low=None, high=None, kind="plain"):
    return Mark(label, value, value if low is None else low, value if high is None else high, kind)


def circles(chart):
    root = ElementTree.fromstring(str(chart))
    return {float(one.get("cx")): one for one in root.iter("circle")}


def test_scores_lie_in_order_beside_the_healthy_range():
    chart = strip_chart([mark("a", 9.0), mark("b", 3.0)], [2.0, 4.0], axis="score")
    root = ElementTree.fromstring(str(chart))

    right, left = sorted(circles(chart))[::-1]
    band = next(one for one in root.iter("rect"))
    low, high = float(band.get("x")), float(band.get("x")) + float(band.get("width"))
    assert low < left < high < right
    assert len([one for one in root.iter("line") if one.get("class") == "healthy"]) == 2


def test_many_scans_become_a_cloud_with_their_names_as_tips():
    chart = strip_chart([mark(f"scan {i}", float(i)) for i in range(60)], [2.0], axis="score")
    root = ElementTree.fromstring(str(chart))

    assert len(list(root.iter("circle"))) == 60
    assert [one.text for one in root.iter("title")][:2] == ["scan 0: 0", "scan 1: 1"]


def test_thousands_of_scans_are_counted_where_their_scores_lie():
    random = np.random.default_rng(0)
    plain, marked = random.normal(3, 0.5, 20_000).tolist(), [9.0, 9.0, 9.5]
    chart = histogram(plain, marked, [2.0, 4.0], axis="score")
    root = ElementTree.fromstring(str(chart))
    bars = {
        kind: [one for one in root.iter("rect") if one.get("class") == f"bar-{kind}"] for kind in ("plain", "marked")
    }

    counted = {kind: sum(int(bar.find("title").text.split()[0].replace(",", "")) for bar in found)
               for kind, found in bars.items()}  # fmt: skip
    assert counted == {"plain": 20_000, "marked": 3}
    (band,) = (one for one in root.iter("rect") if one.get("class") == "healthy-range")
    end = float(band.get("x")) + float(band.get("width"))
    assert all(float(bar.get("x")) > end and float(bar.get("height")) >= 2 for bar in bars["marked"])
    highest = max(bars["plain"], key=lambda bar: float(bar.get("height")))
    assert float(band.get("x")) < float(highest.get("x")) < end
    assert "20,003 scans" in root.get("aria-label")
    assert "half of them up to 3, nine of ten from 2.19 to 3.82" in root.get("aria-label")
    assert len(str(chart)) < 30_000


def test_a_score_that_is_no_number_is_not_drawn():
    root = ElementTree.fromstring(str(histogram([1.0, math.nan, 2.0], [], [], axis="score")))

    assert len([one for one in root.iter("rect") if one.get("class") == "bar-plain"]) == 2


@pytest.mark.parametrize(
    "chart",
    [
        histogram([1.0, 2.0], [3.0], [0.5], axis=HOSTILE),
        strip_chart([mark(HOSTILE, 1.0)], [0.5], axis=HOSTILE),
        forest([mark(HOSTILE, 0.5, 0.4, 0.6)], axis=HOSTILE),
        line_chart([Line(HOSTILE, [1, 2], [1, 2], "quiet")], x_axis=HOSTILE, y_axis=HOSTILE),
        small_strip(1.0, [0.5], [1.0]),
    ],
)
def test_charts_are_well_formed_whatever_the_names(chart):
    root = ElementTree.fromstring(str(chart))

    assert not list(root.iter("script"))
    assert "style=" not in str(chart)
    assert root.get("aria-label")


def test_intervals_span_their_values_and_the_guide_lies_at_its_value():
    chart = forest([mark("ours", 0.8, 0.7, 0.9, "marked"), mark("theirs", 0.4, 0.2, 0.6)], axis="AUPRC", guide=0.8)
    root = ElementTree.fromstring(str(chart))

    lines = [one for one in root.iter("line") if one.get("class", "").startswith("interval")]
    lengths = [float(one.get("x2")) - float(one.get("x1")) for one in lines]
    assert lengths[1] == pytest.approx(2 * lengths[0], abs=0.3)
    guides = [one for one in root.iter("line") if one.get("class") == "guide"]
    assert [float(one.get("x1")) for one in guides] == [max(circles(chart))]


def test_losses_fall_on_a_logarithmic_axis():
    chart = line_chart([Line("loss", [1, 2, 3], [100, 10, 1], "quiet")], x_axis="step", y_axis="error", log=True)
    heights = [float(y) for y in re.findall(r"[\d.]+,([\d.]+)", str(chart).split('points="')[1].split('"')[0])]

    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=0.2)
    assert heights[0] < heights[2]  # y runs downwards


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [1e-9, 1e9], [-5.0, 5.0]])
def test_any_range_of_scores_can_be_drawn(values):
    chart = strip_chart([mark(str(i), value) for i, value in enumerate(values)], [], axis="score")

    assert all(0 <= x <= 900 for x in circles(chart))
    assert "nan" not in str(chart)


def test_points_that_are_not_defined_are_left_out():
    assert finite_pairs([0, 1, 2], [1.0, float("nan"), 3.0]) == ([0.0, 2.0], [1.0, 3.0])
