from io import BytesIO

import numpy as np
import pytest
from matplotlib import image as png

from mmccd.figures import LESION, Panel, grid_png


def draw(*panels, **labels):
    given = {"columns": [""] * len(panels), "names": [""], "title": ""} | labels
    content = grid_png([list(panels)], **given)
    assert content.startswith(b"\x89PNG")
    return png.imread(BytesIO(content))[:, :, :3]


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


def test_outlines_and_notes_are_drawn():
    slice_, mask = np.zeros((40, 40)), np.zeros((40, 40), bool)
    mask[10:20, 10:20] = True
    plain = draw(Panel(slice_, 0, 1))
    outlined = draw(Panel(slice_, 0, 1, outlines=((LESION, mask), ("#ff0000", np.zeros_like(mask)))))
    colour = np.array([int(LESION[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    assert (np.abs(outlined - colour).max(axis=2) < 0.1).sum() > 20
    assert (np.abs(plain - colour).max(axis=2) < 0.1).sum() == 0
    assert (draw(Panel(slice_, 0, 1, note="Dice 0.50")) != plain).any()


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
