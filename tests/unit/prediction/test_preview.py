"""The picture of a case: which slices it shows, and what it says."""

import dataclasses

import numpy as np

from mmccd.data.volumes import new_volume
from mmccd.figures import frame
from mmccd.prediction.detector import Detector
from mmccd.prediction.preview import write_preview


def draw(_, found, path):
    write_preview(path, "case", "flair", found)


def slices(seen):
    return [int(name.removeprefix("slice ")) for name in seen["columns"]]


def test_preview_goes_through_the_strongest_finding(detector, lesioned_scan, tmp_path, drawn):
    found = detector.detect(lesioned_scan)
    draw(detector, found, tmp_path / "a.png")
    strongest = np.where(found.mask, found.anomaly, 0).sum(axis=(0, 1)).argmax()
    assert strongest in slices(drawn)
    assert len(slices(drawn)) == 5
    assert slices(drawn) == sorted(set(slices(drawn)))
    brain = found.brain.any(axis=(0, 1))
    assert brain[slices(drawn)].all()
    scans, maps = drawn["rows"]
    z = slices(drawn)[2]
    x, y = frame(found.brain.any(axis=2), found.volume.spacing_mm[:2])
    assert found.brain.sum() == found.brain[x, y].sum()
    np.testing.assert_array_equal(scans[2].image, found.volume.data[x, y, z])
    np.testing.assert_array_equal(scans[2].outlines[0][1], found.mask[x, y, z])
    np.testing.assert_array_equal(maps[2].image, found.anomaly[x, y, z])
    assert drawn["title"] == f"case: {found.lesion_volume_ml:.1f} ml above the threshold"
    assert drawn["threshold"] == found.threshold
    assert {(panel.low, panel.high) for panel in maps} == {(0, 2 * found.threshold)}
    assert (tmp_path / "a.png").read_bytes() == b"png"


def test_preview_of_a_scan_without_findings_shows_its_brain(detector, healthy_scan, tmp_path, drawn):
    found = detector.detect(healthy_scan)
    draw(detector, dataclasses.replace(found, mask=np.zeros_like(found.mask)), tmp_path / "a.png")
    assert found.brain.any(axis=(0, 1))[slices(drawn)].all()


def test_the_smallest_finding_stands_beside_the_volume(model_folder, lesioned_scan, tmp_path, drawn):
    detector = Detector.load(model_folder, min_lesion_ml=0.25)
    found = detector.detect(lesioned_scan)
    draw(detector, found, tmp_path / "a.png")
    assert drawn["title"] == f"case: {found.lesion_volume_ml:.1f} ml above the threshold, in parts from 0.25 ml"


def test_preview_of_one_slice(detector, tmp_path):
    block = np.zeros((60, 60, 1), np.float32)
    block[10:50, 10:50] = np.random.default_rng(0).gamma(9, 10, (40, 40, 1)) + 1
    draw(detector, detector.detect(new_volume(block, np.diag([4.0, 4.0, 4.0, 1]))), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
