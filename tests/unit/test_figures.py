from io import BytesIO

import numpy as np
import pytest
from matplotlib import image as png
from scipy import ndimage

from mmccd.figures import INK, LESION, MAP_COLOURS, MASK, Curve, CurvePanel, Panel, curves_png, grid_png


def draw(*panels, **labels):
    given = {"columns": [""] * len(panels), "names": [""], "title": ""} | labels
    content = grid_png([list(panels)], **given)
    assert content.startswith(b"\x89PNG")
    return png.imread(BytesIO(content))[:, :, :3]


def coloured(page, colour):
    return np.abs(page - [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]).max(axis=2) < 0.1


def test_left_is_on_the_right_and_front_on_top():
    """In RAS the first index runs to the patient's right, the second to the front."""
    slice_ = np.zeros((40, 60))
    slice_[:10, -10:] = 1  # left, front
    page = draw(Panel(slice_, 0, 1))
    bright = np.argwhere((page > 0.97).all(axis=2))
    black = np.argwhere((page < 0.02).all(axis=2))
    centre = (black.min(axis=0) + black.max(axis=0)) / 2
    assert len(bright) > 100
    assert bright[:, 0].max() < centre[0]
    assert bright[:, 1].min() > centre[1]


def test_pixels_are_as_high_and_wide_as_they_are_in_the_head():
    """Sagittal slices of 5 mm, turned to axial pixels of 5 x 1 mm: a square of 40 mm is a square on the page."""
    slice_ = np.zeros((16, 80))
    slice_[4:12, 20:60] = 1
    sides = {}
    for sides_mm in ((5.0, 1.0), (1.0, 1.0)):
        bright = np.argwhere((draw(Panel(slice_, 0, 1, sides_mm=sides_mm), inches=3.0) > 0.97).all(axis=2))
        sides[sides_mm] = np.ptp(bright, axis=0) + 1
    high, wide = sides[5.0, 1.0]
    assert high == pytest.approx(wide, rel=0.06)
    high, wide = sides[1.0, 1.0]
    assert high == pytest.approx(5 * wide, rel=0.1)


def test_outlines_and_notes_are_drawn():
    slice_, mask = np.zeros((40, 40)), np.zeros((40, 40), bool)
    mask[10:20, 10:20] = True
    plain = draw(Panel(slice_, 0, 1))
    outlined = draw(Panel(slice_, 0, 1, outlines=((LESION, mask), ("#ff0000", np.zeros_like(mask)))))
    assert coloured(outlined, LESION).sum() > 20
    assert coloured(plain, LESION).sum() == 0
    assert (draw(Panel(slice_, 0, 1, note="Dice 0.50")) != plain).any()


def test_a_threshold_is_shown_on_a_colour_bar(monkeypatch):
    seen = []
    monkeypatch.setattr("mmccd.figures.png_of", lambda figure: seen.append(figure) or b"")
    panel = [[Panel(np.zeros((8, 8)), 0, 6, MAP_COLOURS)]]
    labels = {"columns": [""], "names": [""], "title": ""}
    grid_png(panel, **labels, threshold=3.0)
    grid_png(panel, **labels)
    shown, plain = (figure.axes for figure in seen)
    assert len(shown) == len(plain) + 1
    assert [tick.get_text() for tick in shown[-1].get_xticklabels()] == ["0", "threshold 3", "6"]
    assert list(shown[-1].get_xticks()) == [0, 3, 6]


def test_the_sides_of_the_patient_are_named_on_the_first_panel(monkeypatch):
    seen = []
    monkeypatch.setattr("mmccd.figures.png_of", lambda figure: seen.append(figure) or b"")
    panels = [[Panel(np.zeros((8, 8)), 0, 1)] * 2] * 2
    grid_png(panels, columns=["", ""], names=["", ""], title="")
    letters = [[(text.get_text(), text.get_position()[0]) for text in axis.texts] for axis in seen[0].axes]
    assert letters == [[("R", 0.02), ("L", 0.98)], [], [], []]


def test_the_same_values_give_the_same_bytes():
    panels = [[Panel(np.eye(8), 0, 1)]]
    labels = {"columns": ["a"], "names": ["b"], "title": "c", "caption": "d"}
    assert grid_png(panels, **labels) == grid_png(panels, **labels)


@pytest.mark.parametrize("rows", [1, 3])
def test_pages_grow_with_their_rows(rows):
    panels = [[Panel(np.eye(8), 0, 1)] * 2] * rows
    page = png.imread(BytesIO(grid_png(panels, columns=["a", "b"], names=["n"] * rows, title="t", inches=1.0)))
    assert page.shape[0] == pytest.approx(110 * (rows + 1.15), abs=1)
    assert page.shape[1] == pytest.approx(110 * (2 + 1.35), abs=1)


def plot(*values, panels=1):
    """A page with one curve in each panel, over the steps 100, 200, ..., and where the curve is."""
    curve = Curve("validation", MASK, 100 * np.arange(1, len(values) + 1), np.array(values))
    shown = [CurvePanel(f"p{i}", "error", (curve,)) for i in range(panels)]
    page = png.imread(BytesIO(curves_png(shown, title="t")))[:, :, :3]
    return page, np.argwhere(coloured(page, MASK))


@pytest.mark.parametrize("values", [(0.5,), (0.5, 0.25), np.geomspace(1, 1e-3, 60)], ids=len)
def test_curves_of_any_length_are_drawn_and_labelled(values):
    page, drawn = plot(*values)
    assert len(drawn) > 30
    _, pieces = ndimage.label(coloured(page, MASK))
    assert pieces > 1  # the curve, and its mark in the legend
    assert coloured(page, INK).sum() > 60  # what stands at the axes


def test_curves_lie_on_a_logarithmic_axis():
    """Equal factors are equal ways down the page: the curve is straight, until the legend."""
    page, drawn = plot(100.0, 10.0, 1.0, 0.1)
    y, x = drawn[drawn[:, 1] < 0.6 * page.shape[1]].T
    slope, start = np.polyfit(x, y, 1)
    assert slope > 0.5
    assert np.abs(start + slope * x - y).max() < 6


@pytest.mark.parametrize("lowest", [0.0, -1.0])
def test_values_that_have_no_logarithm_lie_on_a_linear_axis(lowest):
    """Equal differences are equal ways down the page."""
    page, drawn = plot(3 + lowest, 2 + lowest, 1 + lowest, lowest)
    y, x = drawn[drawn[:, 1] < 0.6 * page.shape[1]].T
    slope, start = np.polyfit(x, y, 1)
    assert slope > 0.5
    assert np.abs(start + slope * x - y).max() < 6


def test_each_panel_has_its_title_its_quantity_and_its_own_axis(monkeypatch):
    seen = []
    monkeypatch.setattr("mmccd.figures.png_of", lambda figure: seen.append(figure) or b"")
    steps = np.array([1.0, 2.0])
    panels = [
        CurvePanel("cycle", "error", (Curve("train", MASK, steps, np.array([1.0, 2.0])),)),
        CurvePanel("density", "nats", (Curve("train", MASK, steps, np.array([-1.0, 2.0])),)),
    ]
    curves_png(panels, title="t")
    axes = seen[0].axes
    assert [axis.get_title() for axis in axes] == ["cycle", "density"]
    assert [axis.get_ylabel() for axis in axes] == ["error", "nats"]
    assert [axis.get_yscale() for axis in axes] == ["log", "linear"]


def test_panels_stand_side_by_side():
    assert plot(1.0, panels=3)[0].shape[1] == 3 * plot(1.0)[0].shape[1]


@pytest.mark.parametrize("name", ["a$^$", "$x", "$\\frac$", "漢字"])
def test_a_name_with_dollars_is_no_formula_and_no_warning_is_given_for_letters_without_a_font(name):
    panel = Panel(np.ones((4, 4)), 0, 1)
    assert grid_png([[panel]], columns=[name], names=[name], title=name).startswith(b"\x89PNG")
