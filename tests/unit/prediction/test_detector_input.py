"""Scans that are odd, known, or in memory."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from mmccd.data.volumes import new_volume, read_volume
from mmccd.errors import DataError
from mmccd.model.card import Data
from mmccd.prediction.detector import TRAINED_ON, Detector


def test_thin_small_and_single_slices(detector):
    block = np.zeros((60, 60, 1), np.float32)
    block[10:50, 10:50] = np.random.default_rng(0).gamma(9, 10, (40, 40, 1)) + 1
    single = detector.detect(new_volume(block, np.diag([4.0, 4.0, 4.0, 1])))
    assert single.anomaly.shape == (60, 60, 1)
    assert single.anomaly.any()
    assert "the brain measures only 102 ml" in single.warnings[0]

    tiny = detector.detect(new_volume(block, np.diag([0.4, 0.4, 4.0, 1])))
    assert not tiny.mask.any()
    assert tiny.score == 0
    assert "nothing was scored" in tiny.warnings[-1]


def test_a_brain_that_the_grid_of_the_model_loses_is_refused(detector, healthy_scan):
    volume = read_volume(healthy_scan)
    speck = np.zeros(volume.data.shape, np.float32)
    speck[tuple(np.argwhere(volume.data > 0)[0])] = 1
    with pytest.raises(DataError, match="the brain has 1 voxels, none of which is left on a grid of 5 mm"):
        detector.detect(volume, brain=new_volume(speck, volume.affine))


def test_a_brain_that_is_marked_as_a_whole_is_doubted(detector, healthy_scan, monkeypatch):
    assert not any("is marked" in text for text in detector.detect(healthy_scan).warnings)
    monkeypatch.setattr(detector, "threshold", replace(detector.threshold, value=0.0))
    (text,) = (text for text in detector.detect(healthy_scan).warnings if "of the brain is marked" in text)
    assert text.endswith("(another scanner or contrast: --threshold relative, or `mmccd calibrate`)")
    monkeypatch.setattr(detector, "min_lesion_ml", 1e6)  # nothing is marked, and the scan is as unlike others as before
    (text,) = (
        text for text in detector.detect(healthy_scan).warnings if "of the brain lies above the threshold" in text
    )
    assert text.endswith("(another scanner or contrast: --threshold relative, or `mmccd calibrate`)")


def test_a_scan_of_the_training_is_known_whatever_its_file_is(
    detector, phantom_folder, healthy_scan, lesioned_scan, tmp_path
):
    """Of training and validation, copied, compressed and turned; never one of the test part."""
    trained_on = phantom_folder / "Phantom_0001" / "Phantom_0001_flair.nii.gz"
    scan = nib.load(trained_on)
    turned = scan.as_reoriented(np.array([[1, -1], [0, 1], [2, -1]], float))
    nib.save(nib.Nifti1Image(turned.get_fdata(dtype=np.float32), turned.affine), tmp_path / "other_name.nii")
    for path in (trained_on, tmp_path / "other_name.nii", healthy_scan):
        found = detector.detect(path)
        assert found.trained_on
        assert TRAINED_ON in found.warnings
    found = detector.detect(lesioned_scan)
    assert not found.trained_on
    assert TRAINED_ON not in found.warnings


def test_a_model_that_names_no_scans_knows_none(detector, healthy_scan):
    card = detector.model.card.model_copy(update={"training_data": Data()})
    assert not Detector(replace(detector.model, card=card), device="cpu").detect(healthy_scan).trained_on


def test_outliers_that_no_store_would_hold_are_refused(detector, healthy_scan):
    """They made restorations NaN, which then counted as ordinary."""
    volume = read_volume(healthy_scan)
    data = volume.data.copy()
    data[tuple(np.argwhere(data > 0)[500])] = 1e25
    with pytest.raises(DataError, match=r"has voxels of up to 1e\+25, allowed: 10,000 times"):
        detector.detect(new_volume(data, volume.affine))


def test_a_scan_in_memory_is_scored_as_its_file(detector, healthy_scan):
    image = nib.load(healthy_scan)
    mask = nib.Nifti1Image((image.get_fdata() > 0).astype(np.uint8), image.affine)
    expected = detector.detect(healthy_scan).anomaly

    for scan in (image, new_volume(image.get_fdata(dtype=np.float32), image.affine)):
        np.testing.assert_array_equal(detector.detect(scan, brain=mask).anomaly, expected)
    with pytest.raises(DataError, match=r"does not say how its voxels lie"):
        detector.detect(image.get_fdata())
