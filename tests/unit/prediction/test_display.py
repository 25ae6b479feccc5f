"""What a notebook shows of a detection: planes, table, images."""

import re
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from matplotlib import pyplot

from mmccd.data.volumes import new_volume, read_volume
from mmccd.prediction.detector import Detection
from mmccd.scoring.findings import findings_of

SHAPE, SIDE_MM, THRESHOLD = (24, 20, 16), 4.0, 1.0
AFFINE = np.diag([SIDE_MM, SIDE_MM, SIDE_MM, 1.0])
AFFINE[:3, 3] = (-46, -38, -30)
PLACE = (18, 6, 10)
"""Voxel of the stronger of two findings, which is the smaller one; on the patient's right."""


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    pyplot.close("all")


@pytest.fixture
def detection():
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    brain = sum(axis**2 for axis in axes) < 0.95
    anomaly = np.where(brain, 0.1, 0).astype(np.float32)
    anomaly[5:9, 9:13, 7:9] = 1.5
    anomaly[17:20, 5:8, 9:12] = 1.8
    anomaly[PLACE] = 3.0
    mask = anomaly > THRESHOLD
    scan = new_volume((100 * brain + 20 * mask).astype(np.float32), AFFINE)
    return Detection(
        anomaly=anomaly, mask=mask, brain=brain, affine=AFFINE, score=2.5, p_value=0.1, threshold=THRESHOLD,
        lesion_volume_ml=float(mask.sum()) * SIDE_MM**3 / 1000, brain_volume_ml=float(brain.sum()) * SIDE_MM**3 / 1000,
        volume=scan, warnings=("odd <b>contrast</b>",), trained_on=False,
        findings=findings_of(mask, anomaly, brain, AFFINE, THRESHOLD),
    )  # fmt: skip


def in_mm(voxel):
    return tuple(AFFINE[:3, :3] @ voxel + AFFINE[:3, 3])


def test_the_planes_go_through_the_strongest_finding_as_radiologists_look(detection, tmp_path):
    display = detection.plot(title="a case", output_file=tmp_path / "planes.png")
    assert tuple(display.cut_coords) == pytest.approx(in_mm(PLACE), abs=SIDE_MM / 2)
    assert detection.findings[0].peak == 1.5  # the larger one is not taken
    letters = {text.get_text(): text.get_position()[0] for text in display.axes["z"].ax.texts}
    assert letters["R"] < letters["L"]
    assert pyplot.imread(tmp_path / "planes.png").ndim == 3


def test_the_map_lies_where_it_belongs_and_begins_at_half_the_threshold(detection):
    axial = detection.plot().axes["z"].ax
    overlay = axial.images[-1]
    shown = np.ma.filled(np.ma.masked_invalid(overlay.get_array()), 0)
    left, right, bottom, top = overlay.get_extent()
    rows, columns = np.nonzero(shown > 2 * THRESHOLD)
    x = left + (columns.mean() + 0.5) * (right - left) / shown.shape[1]
    down, up = (top, bottom) if overlay.origin == "upper" else (bottom, top)
    y = down + (rows.mean() + 0.5) * (up - down) / shown.shape[0]
    assert (abs(x), y) == pytest.approx((abs(in_mm(PLACE)[0]), in_mm(PLACE)[1]), abs=SIDE_MM)
    seen = shown[shown > 0]
    assert seen.min() >= THRESHOLD / 2
    assert overlay.get_clim() == (0, 2 * THRESHOLD)


def test_other_planes_can_be_asked_for_and_what_is_marked_is_outlined(detection):
    place = in_mm((6, 10, 8))
    display = detection.plot(cut_coords=place)
    assert tuple(display.cut_coords) == place
    outlined = len(display.axes["z"].ax.collections)
    nothing = replace(detection, mask=np.zeros_like(detection.mask), findings=())
    bare = nothing.plot(cut_coords=place)
    assert outlined > len(bare.axes["z"].ax.collections)


def test_without_a_finding_the_planes_go_through_the_highest_value(detection):
    nothing = replace(detection, mask=np.zeros_like(detection.mask), findings=(), threshold=9.0)
    assert tuple(nothing.plot().cut_coords) == pytest.approx(in_mm(PLACE))


def test_findings_are_a_table(detection):
    table = detection.findings_table()
    assert list(table.columns) == ["number", "volume_ml", "peak", "mean", "x_mm", "y_mm", "z_mm", "side"]
    assert table["peak"].tolist() == [1.5, 3.0]
    assert table["volume_ml"].tolist() == pytest.approx([32 * 0.064, 27 * 0.064])
    assert table["side"].tolist() == ["left", "right"]
    assert table[["x_mm", "y_mm", "z_mm"]].iloc[1].tolist() == pytest.approx(in_mm(PLACE))
    assert len(replace(detection, findings=()).findings_table()) == 0


def test_a_notebook_shows_numbers_planes_and_warnings_as_text(detection):
    shown = detection._repr_html_()
    assert "score <b>2.5</b>" in shown
    assert "in 2 findings" in shown
    assert "odd &lt;b&gt;contrast&lt;/b&gt;" in shown
    assert re.findall(r'(?:src|href)="(?!data:)', shown) == []
    assert pyplot.get_fignums() == []  # the figure would be shown a second time


def test_images_are_those_that_are_saved(detection, tmp_path):
    turned = nib.Nifti1Image(np.asarray(detection.volume.data)[::-1], AFFINE @ np.diag([-1.0, 1, 1, 1]))
    nib.save(turned, tmp_path / "scan.nii.gz")
    of_file = replace(detection, volume=read_volume(tmp_path / "scan.nii.gz"))
    of_file.save(tmp_path, "a")
    for image, end in zip(of_file.to_nibabel(), ("anomaly", "mask"), strict=True):
        saved = nib.load(tmp_path / f"a_{end}.nii.gz")
        np.testing.assert_array_equal(np.asarray(image.dataobj), np.asarray(saved.dataobj))
        np.testing.assert_allclose(image.affine, turned.affine)
        assert image.get_data_dtype() == saved.get_data_dtype()
