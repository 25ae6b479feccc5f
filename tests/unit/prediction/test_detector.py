"""One scan to a map: the same in every orientation, on the scan's own grid."""

import itertools
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.orientations import apply_orientation

import mmccd
from mmccd.data.volumes import new_volume, read_volume, write_volume
from mmccd.errors import ConfigError, DataError, GridError
from mmccd.model.folder import load_model
from mmccd.model.scorer import ModelScorer
from mmccd.prediction.detector import Detector
from mmccd.prediction.preview import write_preview
from mmccd.scoring.maps import scan_score
from mmccd.scoring.thresholds import own_level

SPACING = (3.9, 4.1, 4.3)


@pytest.fixture(scope="module")
def base(healthy_scan):
    """The phantom with unequal sides and voxels, a little off the scanner's axes."""
    voxels = nib.load(healthy_scan).get_fdata(dtype=np.float32)[1:, :-2, 5:41:2]
    return nib.Nifti1Image(voxels, turned(0.1))


def turned(angle):
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = rotation @ np.diag(SPACING), (-100, -110, -60)
    return affine


@pytest.fixture(scope="module")
def base_map(base, detector):
    found = detector.detect(new_volume(base.get_fdata(dtype=np.float32), base.affine)).anomaly
    assert found.std() > 0.1  # there is something to compare
    return found


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("flips", list(itertools.product((1, -1), repeat=3)), ids=str)
def test_map_does_not_depend_on_the_orientation(base, base_map, detector, tmp_path, order, flips):
    orientation = np.array([[axis, flip] for axis, flip in zip(order, flips, strict=True)], float)
    path = tmp_path / "scan.nii.gz"
    nib.save(base.as_reoriented(orientation), path)

    detection = detector.detect(path)
    write_volume(tmp_path / "map.nii.gz", detection.anomaly, detection.volume)

    np.testing.assert_allclose(detection.anomaly, base_map, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(detection.affine, base.affine, atol=1e-4)
    source, written = nib.load(path), nib.load(tmp_path / "map.nii.gz")
    assert written.shape == source.shape
    assert np.array_equal(written.affine, source.affine)
    for code in ("qform_code", "sform_code"):
        assert written.header[code] == source.header[code]
    np.testing.assert_allclose(written.get_fdata(), apply_orientation(base_map, orientation), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("angle", [-0.6, 0.0, 0.5])
def test_map_does_not_depend_on_a_rotation_of_the_head_in_the_scanner(base, base_map, detector, angle):
    detection = detector.detect(new_volume(base.get_fdata(dtype=np.float32), turned(angle)))
    np.testing.assert_allclose(detection.anomaly, base_map, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("thick_axis", [0, 1, 2])
def test_map_of_slices_of_1_by_1_by_5_mm_lies_on_the_grid_of_the_file(base, detector, tmp_path, thick_axis):
    voxels = np.kron(base.get_fdata(dtype=np.float32)[:, :, ::3], np.ones((4, 4, 1), np.float32))
    thick = nib.Nifti1Image(voxels, np.diag([1.0, 1.0, 5.0, 1.0]))
    expected = detector.detect(new_volume(voxels, thick.affine)).anomaly
    assert expected.std() > 0.1
    axes = np.roll(
        [[0, -1], [1, -1], [2, 1]], thick_axis, axis=0
    )  # LPS, with the slices along another axis of the file
    nib.save(thick.as_reoriented(axes), tmp_path / "scan.nii.gz")

    detection = detector.detect(tmp_path / "scan.nii.gz")
    write_volume(tmp_path / "map.nii.gz", detection.anomaly, detection.volume)

    assert detection.volume.spacing_mm == (1, 1, 5)
    np.testing.assert_allclose(detection.anomaly, expected, rtol=1e-5, atol=1e-5)
    source, written = nib.load(tmp_path / "scan.nii.gz"), nib.load(tmp_path / "map.nii.gz")
    assert written.shape == source.shape
    assert np.array_equal(written.affine, source.affine)
    np.testing.assert_allclose(nib.as_closest_canonical(written).get_fdata(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stored", ["u1", "<i2", ">i2", "<u4", "<f4", ">f4", "<f8", ">f8", "slope", "nifti2"])
def test_map_does_not_depend_on_how_voxels_are_stored(base, detector, tmp_path, stored):
    voxels = np.round(base.get_fdata() * (250 / base.get_fdata().max()))
    expected = detector.detect(new_volume(voxels, base.affine)).anomaly
    assert expected.std() > 0.1
    kind = nib.Nifti2Image if stored == "nifti2" else nib.Nifti1Image
    dtype = "<i2" if stored in ("slope", "nifti2") else stored
    header = kind.header_class(endianness=">" if dtype[0] == ">" else "<")
    header.set_data_dtype(dtype)
    image = kind((voxels * 16 - 512 if stored == "slope" else voxels).astype(dtype), base.affine, header)
    if stored == "slope":
        image.header.set_slope_inter(1 / 16, 32)
    nib.save(image, tmp_path / "scan.nii.gz")

    found = detector.detect(tmp_path / "scan.nii.gz").anomaly

    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_map_does_not_depend_on_the_scale_of_the_intensities(base, base_map, detector):
    scaled = (base.get_fdata() * 37).astype(np.int32)
    detection = detector.detect(new_volume(scaled, base.affine))
    np.testing.assert_allclose(detection.anomaly, base_map, rtol=2e-3, atol=2e-3)


def test_detection_is_what_it_is_said_to_be(detector, lesioned_scan):
    found = detector.detect(str(lesioned_scan))
    volume = read_volume(lesioned_scan)
    assert found.anomaly.dtype == np.float32
    assert found.mask.dtype == found.brain.dtype == bool
    assert found.anomaly.shape == found.mask.shape == found.brain.shape == volume.data.shape
    assert np.isfinite(found.anomaly).all()
    assert (found.anomaly[~found.brain] == 0).all()
    assert (found.anomaly >= 0).all()
    np.testing.assert_array_equal(found.brain, volume.data > 0)
    np.testing.assert_array_equal(found.mask, found.anomaly > found.threshold)
    assert found.mask.any()
    assert found.threshold == detector.model.card.threshold.value
    assert 0 < found.p_value <= 1
    assert found.lesion_volume_ml == pytest.approx(found.mask.sum() * 0.064)
    assert sum(one.volume_ml for one in found.findings) == pytest.approx(found.lesion_volume_ml)
    assert found.findings[0].peak <= found.anomaly.max()
    assert all(one.mean > found.threshold and one.mni_mm is None for one in found.findings)
    assert found.brain_volume_ml == pytest.approx(found.brain.sum() * 0.064)
    np.testing.assert_array_equal(found.affine, volume.affine)
    assert found.warnings == ("axial pixels of 4.0 mm are coarse and slices are 4.0 mm thick: small lesions are lost",)


def test_small_findings_are_removed_from_mask_volume_and_list_alone(detector, model_folder, lesioned_scan):
    usual = detector.detect(lesioned_scan)
    assert len(usual.findings) > 1
    least_ml = usual.findings[0].volume_ml
    found = Detector.load(model_folder, min_lesion_ml=least_ml).detect(lesioned_scan)

    kept = [one for one in usual.findings if one.volume_ml >= least_ml]
    assert list(found.findings) == kept
    assert found.lesion_volume_ml == pytest.approx(found.mask.sum() * 0.064) == sum(one.volume_ml for one in kept)
    assert found.lesion_volume_ml < usual.lesion_volume_ml
    assert not (found.mask & ~usual.mask).any()  # so that what the threshold guarantees holds
    np.testing.assert_array_equal(found.anomaly, usual.anomaly)
    for name in ("score", "p_value", "threshold", "brain_volume_ml"):
        assert getattr(found, name) == getattr(usual, name), name
    assert (usual.min_lesion_ml, found.min_lesion_ml) == (0, least_ml)


@pytest.mark.parametrize("volume", [-0.1, float("nan"), float("inf")])
def test_a_smallest_volume_that_is_none_is_refused(detector, volume):
    with pytest.raises(ConfigError, match=r"min_lesion_ml is (-0\.1|nan|inf), expected millilitres from 0"):
        Detector(detector.model, min_lesion_ml=volume)


def test_findings_have_a_place_in_mni_space_where_the_header_says_so(detector, lesioned_scan):
    image = nib.load(lesioned_scan)
    plain = detector.detect(image).findings
    image.set_sform(image.affine, 4)
    placed = detector.detect(image).findings

    assert [one.centre_mm for one in placed] == [one.centre_mm for one in plain] != []
    assert {one.mni_mm for one in plain} == {None}
    assert all(one.mni_mm == one.centre_mm for one in placed)


def test_score_and_p_value_are_those_of_the_store_that_the_healthy_scores_come_from(
    detector, lesioned_scan, phantom_store
):
    rows = np.flatnonzero(phantom_store.index["subject"] == "Phantom_0007")
    slices, brain = (np.asarray(phantom_store.array(name)[rows]) for name in ("flair", "brain"))
    errors = detector.scorer.anomaly_map({"flair": slices.astype(np.float32)}, brain, (4.0, 5.0, 5.0))
    found = detector.detect(lesioned_scan)
    assert found.score == pytest.approx(scan_score(errors[brain]), rel=0.02)  # the store keeps float16
    healthy = detector.model.card.healthy_scores
    assert len(healthy) == 1
    assert found.p_value == (0.5 if found.score > healthy[0] else 1)


def test_the_threshold_for_scans_marks_less(detector, lesioned_scan, model_folder):
    strict = Detector.load(model_folder, threshold="scan").detect(lesioned_scan)
    usual = detector.detect(lesioned_scan)
    assert strict.threshold == detector.model.card.scan_threshold.value > usual.threshold
    np.testing.assert_array_equal(strict.anomaly, usual.anomaly)
    assert strict.mask.sum() < usual.mask.sum()


def test_a_relative_threshold_is_counted_from_the_level_of_the_scan(detector, lesioned_scan, model_folder):
    usual = detector.detect(lesioned_scan)
    chosen = Detector.load(model_folder, threshold="relative")
    found = chosen.detect(lesioned_scan)
    np.testing.assert_array_equal(found.anomaly, usual.anomaly)
    np.testing.assert_array_equal(found.mask, found.brain & (found.anomaly > found.threshold))
    level = own_level(found.anomaly[found.brain])  # on the scan's own pixels, a little lower than on the model's grid
    assert level > 0
    assert found.threshold - chosen.threshold.value == pytest.approx(level, rel=0.05)
    assert found.score == usual.score
    assert found.p_value == usual.p_value


@pytest.fixture
def lifted(monkeypatch):
    """All maps are higher by five, also where nothing is scored."""
    made = ModelScorer.anomaly_map
    monkeypatch.setattr(ModelScorer, "anomaly_map", lambda self, *args: made(self, *args) + np.float32(5))


def test_a_scan_whose_map_is_lifted_as_a_whole_is_marked_alike(lesioned_scan, model_folder, request):
    relative, voxel = (Detector.load(model_folder, threshold=name) for name in ("relative", "voxel"))
    before = [one.detect(lesioned_scan).mask for one in (relative, voxel)]
    request.getfixturevalue("lifted")
    after = [one.detect(lesioned_scan).mask for one in (relative, voxel)]
    assert (before[0] != after[0]).mean() < 1e-5
    assert after[1].sum() > 2 * before[1].sum()


def test_a_threshold_below_the_least_score_is_that_and_marks_nothing_outside_the_brain(
    lesioned_scan, model_folder, tmp_path
):
    relative = Detector.load(model_folder, threshold="relative")
    relative.threshold = replace(relative.threshold, value=-100.0)
    found = relative.detect(lesioned_scan)
    assert found.threshold == 0
    assert not found.mask[~found.brain].any()
    assert found.mask.sum() > 0.5 * found.brain.sum()
    write_preview(tmp_path / "a.png", "case", "flair", found)
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert any(text.endswith("(another scanner or contrast: `mmccd calibrate`)") for text in found.warnings)


def test_what_scores_as_low_as_can_be_is_never_marked(lesioned_scan, model_folder, lifted):
    """The rim of the brain is not scored: it holds the least value of the map, which here is far above zero."""
    relative = Detector.load(model_folder, threshold="relative")
    relative.threshold = replace(relative.threshold, value=-100.0)
    found = relative.detect(lesioned_scan)
    least = found.anomaly[found.brain].min()
    assert found.threshold == 5
    assert least == pytest.approx(5, abs=1e-5)
    lowest = found.brain & (found.anomaly <= 5)
    assert lowest.sum() > 1000
    assert not (found.mask & lowest).any()
    assert found.mask.sum() > 0.5 * found.brain.sum()


def test_thresholds_that_are_not_there_are_refused_and_not_proposed(model_folder, lesioned_scan, monkeypatch):
    with pytest.raises(ConfigError, match="threshold is 'guess', expected one of voxel, scan, relative"):
        Detector.load(model_folder, threshold="guess")
    model = load_model(model_folder)
    older = replace(model, card=model.card.model_copy(update={"relative_threshold": None}))
    with pytest.raises(ConfigError, match="the model has no threshold 'relative'") as caught:
        Detector(older, threshold="relative")
    assert caught.value.hint == "leave it out, or `mmccd calibrate` it anew"
    monkeypatch.setattr("mmccd.prediction.detector.MUCH_MARKED", 0.0)
    assert "(another scanner or contrast: `mmccd calibrate`)" in Detector(older).detect(lesioned_scan).warnings[-1]
    assert Detector(older).threshold == model.card.threshold


@pytest.mark.parametrize("axes", [[[0, -1], [1, -1], [2, 1]], [[2, 1], [0, -1], [1, 1]]], ids=["LPS", "sagittal"])
def test_a_detection_is_saved_on_the_grid_of_its_scan(base, base_map, detector, tmp_path, axes):
    nib.save(base.as_reoriented(np.array(axes, float)), tmp_path / "scan.nii.gz")

    found = detector.detect(tmp_path / "scan.nii.gz")
    found.save(tmp_path / "new", "p1")

    source = nib.load(tmp_path / "scan.nii.gz")
    anomaly, mask = (nib.load(tmp_path / "new" / f"p1_{kind}.nii.gz") for kind in ("anomaly", "mask"))
    for image in (anomaly, mask):
        assert image.shape == source.shape
        assert np.array_equal(image.affine, source.affine)
    assert (anomaly.get_data_dtype(), mask.get_data_dtype()) == (np.float32, np.uint8)
    expected = apply_orientation(base_map, np.array(axes, float))
    np.testing.assert_allclose(anomaly.get_fdata(), expected, rtol=1e-5, atol=1e-5)
    assert found.mask.any()
    np.testing.assert_array_equal(mask.get_fdata(), anomaly.get_fdata() > np.float32(found.threshold))


def test_the_rim_is_not_scored(detector, healthy_scan):
    found = detector.detect(healthy_scan)
    centre = found.brain.sum(axis=(0, 1)).argmax()
    brain, anomaly = found.brain[:, :, centre], found.anomaly[:, :, centre]
    assert (anomaly[brain] > 0).mean() > 0.5
    first = np.argmax(brain.any(axis=1))
    assert (anomaly[first] == 0).all()


def test_batch_size_does_not_matter(model_folder, healthy_scan):
    one, sixteen = (
        Detector.load(model_folder, device="cpu", batch_size=size).detect(healthy_scan).anomaly for size in (1, 16)
    )
    np.testing.assert_allclose(one, sixteen, rtol=1e-4, atol=1e-5)


@pytest.mark.openvino
def test_openvino_finds_the_same(model_folder, healthy_scan, detector):
    other = Detector.load(model_folder, device="cpu", runtime="openvino")
    assert [type(network).__name__ for network in other.scorer.method.children()] == ["CompiledUNet", "CompiledUNet"]
    found, expected = (one.detect(healthy_scan).anomaly for one in (other, detector))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_runtimes_that_cannot_work(detector, monkeypatch):
    with pytest.raises(ConfigError, match="runtime is 'onnx', expected one of torch, openvino"):
        Detector(detector.model, device="cpu", runtime="onnx")
    monkeypatch.setattr("mmccd.prediction.detector.choose_device", lambda name: torch.device("cuda"))
    with pytest.raises(ConfigError, match="on the CPU, not on cuda") as caught:
        Detector(detector.model, runtime="openvino")
    assert "--device cpu" in caught.value.hint


def test_the_package_offers_the_detector(model_folder, healthy_scan, detector):
    found = mmccd.Detector.load(str(model_folder), device="cpu").detect(healthy_scan)
    assert isinstance(found, mmccd.Detection)
    np.testing.assert_array_equal(found.anomaly, detector.detect(read_volume(healthy_scan)).anomaly)


def test_a_brain_mask_replaces_skull_stripping(detector, healthy_scan, tmp_path):
    scan = read_volume(healthy_scan)
    head = new_volume(scan.data + 50, scan.affine)
    mask = new_volume((scan.data > 0).astype(np.uint8), scan.affine)
    with pytest.raises(DataError, match="not skull-stripped"):
        detector.detect(head)
    write_volume(tmp_path / "mask.nii.gz", (scan.data > 0).astype(np.uint8), scan)
    found = detector.detect(head, brain=tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(found.brain, scan.data > 0)
    np.testing.assert_array_equal(found.anomaly, detector.detect(head, brain=mask).anomaly)
    with pytest.raises(GridError, match="not co-registered"):
        detector.detect(head, brain=new_volume(mask.data[1:], scan.affine))
