import numpy as np
import pytest
from scipy import ndimage

from mmccd.comparison.artefacts import ARTEFACTS, plant
from mmccd.errors import ConfigError
from mmccd.method.intensity import BACKGROUND

PIXEL_MM = 3.0
SEEDS = range(8)
WHOLE = sorted(set(ARTEFACTS) - {"missing block"})
K_SPACE = ["ghosting", "motion", "spike"]


def _head(seed):
    """Four slices of 64 x 80 pixels, alike on the left and the right (second axis); the last one is empty."""
    x, y = np.meshgrid(np.arange(64) - 31.5, np.arange(80) - 39.5, indexing="ij")
    brain = np.stack([(x / 23) ** 2 + (y / 29) ** 2 < size for size in (1, 0.9, 0.8, 0)])
    texture = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=brain.shape), (0, 2, 2))
    ventricles = np.hypot((np.abs(x) - 4) / 3, y / 9) < 1
    signal = np.where(ventricles, 0.25, 0.8) + 1.5 * (texture + texture[:, ::-1])
    return np.where(brain, 6 * np.clip(signal, 0, None) + BACKGROUND, BACKGROUND).astype(np.float32), brain


SCAN, BRAIN = _head(seed=0)
OTHER, _ = _head(seed=1)


def _plant(kind, seed=0, scan=SCAN, brain=BRAIN, other=OTHER):
    return plant(kind, scan, brain, np.random.default_rng(seed), pixel_mm=PIXEL_MM, other=other)


def _percentile(scan, rank):
    return np.percentile((scan[BRAIN] - BACKGROUND) / 6, rank)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ARTEFACTS)
def test_the_brain_changes_where_the_mask_says_and_nowhere_else(kind, seed):
    before = SCAN.copy()
    found, spoiled = _plant(kind, seed)
    assert found.dtype == np.float32
    assert (spoiled.dtype, spoiled.shape) == (bool, BRAIN.shape)
    assert spoiled.any()
    assert not (spoiled & ~BRAIN).any()
    assert np.abs(found - SCAN)[spoiled].mean() > 0.15
    np.testing.assert_array_equal(found[~spoiled], SCAN[~spoiled])
    np.testing.assert_array_equal(SCAN, before)
    assert not np.shares_memory(spoiled, BRAIN)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ARTEFACTS)
def test_the_result_is_still_a_magnitude_image(kind, seed):
    found, _ = _plant(kind, seed)
    assert found.min() >= BACKGROUND
    assert (found[~BRAIN] == BACKGROUND).all()
    assert _percentile(found, 99.9) < 3
    assert 0.5 < (found - BACKGROUND).mean() / (SCAN - BACKGROUND).mean() < 1.5


@pytest.mark.parametrize("kind", ARTEFACTS)
def test_a_seed_fixes_everything(kind):
    for first, second in zip(_plant(kind, 1), _plant(kind, 1), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("kind", sorted(set(ARTEFACTS) - {"wrong modality"}))
def test_seeds_differ(kind):
    assert len({_plant(kind, seed)[0].tobytes() for seed in SEEDS}) > len(SEEDS) / 2


@pytest.mark.parametrize("kind", WHOLE)
def test_all_of_the_brain_is_spoiled(kind):
    np.testing.assert_array_equal(_plant(kind)[1], BRAIN)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", K_SPACE)
def test_what_k_space_spoils_remains_recognisable_and_on_its_scale(kind, seed):
    found, _ = _plant(kind, seed)
    for clean, spoiled, brain in zip(SCAN[:3], found, BRAIN, strict=False):
        assert 0.6 < np.corrcoef(clean[brain], spoiled[brain])[0, 1] < 0.999
    assert _percentile(found, 90) == pytest.approx(_percentile(SCAN, 90), rel=1e-4)


def test_ghosts_are_displaced_along_the_last_axis():
    bands = np.where(np.arange(64) % 20 < 5, 3, 0).astype(np.float32)
    across, along = (np.broadcast_to(bands.reshape(shape), (1, 64, 64)) for shape in ((1, 64, 1), (1, 1, 64)))
    whole = np.ones((1, 64, 64), bool)
    np.testing.assert_allclose(_plant("ghosting", scan=across, brain=whole, other=across)[0], across, atol=1e-4)
    assert np.abs(_plant("ghosting", scan=along, brain=whole, other=along)[0] - along).mean() > 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_stripes_are_as_wide_as_said(seed):
    flat = np.full((1, 80, 80), 2.0, np.float32)
    found, _ = _plant("spike", seed, scan=flat, brain=np.ones(flat.shape, bool), other=flat)
    spectrum = np.abs(np.fft.fft2(found[0] - found[0].mean()))
    cycles_per_mm = np.hypot(*(np.fft.fftfreq(80, PIXEL_MM)[i] for i in np.unravel_index(spectrum.argmax(), (80, 80))))
    assert 5.5 < 1 / cycles_per_mm < 17


def test_a_head_that_moves_keeps_its_place():
    found, _ = _plant("motion")
    centre = [ndimage.center_of_mass(scan[0] - BACKGROUND) for scan in (SCAN, found)]
    np.testing.assert_allclose(*centre, atol=1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_block_of_the_said_size_is_without_signal(seed):
    found, block = _plant("missing block", seed)
    assert (found[block] == BACKGROUND).all()
    shadow = block.any(axis=0)
    for axis in (0, 1):
        lines = np.flatnonzero(shadow.any(axis=1 - axis))
        assert 30 - PIXEL_MM <= (lines[-1] - lines[0] + 1) * PIXEL_MM <= 60 + PIXEL_MM
    rows, columns = (np.flatnonzero(shadow.any(axis=1 - axis)) for axis in (0, 1))
    np.testing.assert_array_equal(block[:, rows[:, None], columns], BRAIN[:, rows[:, None], columns])


def test_the_wrong_modality_is_the_other_one():
    np.testing.assert_allclose(_plant("wrong modality")[0], np.where(BRAIN, OTHER, BACKGROUND), atol=1e-5)


def test_an_intensity_shift_keeps_order_symmetry_and_the_fixed_points():
    curves = [_plant("intensity shift", seed)[0] for seed in SEEDS]
    for found in curves:
        order = np.argsort(SCAN[BRAIN])
        assert (np.diff(found[BRAIN][order]) >= -1e-5).all()
        np.testing.assert_allclose(found, found[:, ::-1], atol=1e-5)
    assert {bool(found[BRAIN].mean() > SCAN[BRAIN].mean()) for found in curves} == {True, False}
    line = np.array([[[-3, 0, 3]]], np.float32)
    found, _ = _plant("intensity shift", scan=line, brain=np.ones(line.shape, bool), other=line)
    np.testing.assert_allclose(found[0, 0, [0, 2]], [-3, 3], atol=1e-5)


@pytest.mark.parametrize("kind", ARTEFACTS)
@pytest.mark.parametrize("brain", [np.zeros_like(BRAIN), BRAIN])
def test_slices_without_signal_survive(kind, brain):
    nothing = np.full_like(SCAN, BACKGROUND)
    found, spoiled = _plant(kind, scan=nothing, brain=brain, other=nothing)
    np.testing.assert_array_equal(found, nothing)
    assert not (spoiled & ~brain).any()


def test_what_lies_outside_the_brain_is_ignored_and_removed():
    littered = np.where(BRAIN, SCAN, 7).astype(np.float32)
    for kind in ARTEFACTS:
        np.testing.assert_array_equal(_plant(kind, scan=littered)[0], _plant(kind)[0])


def test_unknown_kinds_are_refused():
    with pytest.raises(ConfigError, match="no artefact named 'zipper'") as caught:
        _plant("zipper")
    assert "ghosting, spike, motion, missing block, wrong modality, intensity shift" in caught.value.hint
