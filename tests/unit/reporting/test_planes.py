"""Planes as radiologists look at them: sides, directions and millimetres."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from mmccd.reporting.planes import MARGIN_MM, outline, planes_through, png


def pixels(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,")))))


@pytest.fixture
def planes():
    """Voxels of 2 x 3 x 4 mm; a bright corner that is right, front and top, inside a brain of 10 x 8 x 6 voxels."""
    shape = (14, 12, 10)
    brain = np.zeros(shape, dtype=bool)
    brain[2:12, 2:10, 2:8] = True
    scan = np.where(brain, np.float32(10), np.float32(500))  # what lies outside is brighter, and must not show
    scan[11, 9, 7] = 100
    scan[11, :, 7][brain[11, :, 7]] = 100
    mask = np.zeros(shape, dtype=bool)
    mask[11, 9, 7] = True
    return planes_through(
        (11, 9, 7), affine=np.diag([2.0, 3.0, 4.0, 1.0]), anomaly=mask.astype(np.float32) * 4, mask=mask, brain=brain,
        threshold=1.0, scan=scan, expert=None,
    )  # fmt: skip


def test_page_left_is_the_patients_right_and_the_front_is_up(planes):
    axial, coronal, sagittal = planes

    for plane in planes:
        image = pixels(plane.anomaly)
        lit = np.argwhere(
            np.asarray(Image.open(io.BytesIO(base64.b64decode(plane.anomaly.split(",")[1]))).convert("L")) > 99
        )
        assert lit.tolist() == [[1, 1]], plane.name  # top left, within the voxel of margin around the brain
        assert image.shape == pixels(plane.scan).shape
    assert [plane.letters for plane in planes] == ["RLAP", "RLSI", "APSI"]
    # The brain has 10 x 8 x 6 voxels of 2 x 3 x 4 mm: from its middle to the centre of its last voxel.
    assert [axial.position, coronal.position, sagittal.position] == ["S 10 mm", "A 10 mm", "R 9 mm"]


def test_frames_lie_side_by_side_in_millimetres(planes):
    assert [(plane.width_mm, plane.height_mm) for plane in planes] == [(24, 30), (24, 32), (30, 32)]
    assert [plane.left_mm for plane in planes] == [0, 24 + 2 * MARGIN_MM, 48 + 4 * MARGIN_MM]
    assert {plane.high_mm for plane in planes} == {32 + 2 * MARGIN_MM}


def test_outline_and_cross_lie_on_the_voxel(planes):
    axial = planes[0]
    x, y = axial.cross

    assert (x, y) == (MARGIN_MM + 1.5 * 2, axial.y_mm + 1.5 * 3)
    corners = np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", axial.outlines["mask"]), dtype=float)
    np.testing.assert_allclose(corners.mean(axis=0), (x, y), atol=0.06)


def test_nothing_outside_the_brain_is_shown(planes):
    for plane in planes:
        image = pixels(plane.scan)
        assert (image[0] == 0).all()
        assert (image[:, 0] == 0).all()
        assert image.max() == 255


def test_an_empty_mask_has_no_outline():
    assert outline(np.zeros((4, 4), dtype=bool), 1, 1, 0, 0) == ""


def test_the_lowest_colour_of_a_map_is_black():
    image = Image.open(io.BytesIO(base64.b64decode(png(np.array([[0, 255]], np.uint8), "inferno").split(",")[1])))

    assert image.convert("RGB").getpixel((0, 0)) == (0, 0, 0)
    assert sum(image.convert("RGB").getpixel((1, 0))) > 600
