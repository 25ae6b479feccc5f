"""Slices in batches, also when memory runs out, and whole scans to maps."""

import numpy as np
import pytest
import torch
from torch import nn

from mmccd.errors import ConfigError, MmccdWarning
from mmccd.method.anomaly_map import squared_error
from mmccd.method.cyclic_unet import CyclicUNet
from mmccd.model.config import load_config
from mmccd.model.folder import load_model
from mmccd.model.scorer import FusedScorer, ModelScorer, batches_of
from mmccd.scoring.maps import scored_region, smoothed
from mmccd.scoring.total_variation import total_variation

CPU = torch.device("cpu")
SLICES = np.random.default_rng(0).normal(size=(7, 48, 48)).astype(np.float32)


def run(function, slices=SLICES, *, batch_size, bf16=False):
    """What a function gives for each batch, by its rows."""
    found = []
    for batch in batches_of(slices, CPU, batch_size=batch_size, bf16=bf16):
        with batch as source:
            found.append((batch.rows, function(source)))
    return found


def same(source):
    return source.clone()


def joined(found):
    return torch.cat([values for _, values in found])[:, 0].numpy()


# --- batches ---


def test_batches_cover_all_slices_in_order():
    found = run(same, batch_size=3)
    assert [rows for rows, _ in found] == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert [values.shape for _, values in found] == [(3, 1, 48, 48), (3, 1, 48, 48), (1, 1, 48, 48)]
    np.testing.assert_array_equal(joined(found), SLICES)
    assert run(same, SLICES[:0], batch_size=3) == []


def test_half_precision_slices_of_a_store_are_taken_and_no_gradient_is_kept():
    ((_, found),) = run(same, SLICES.astype(np.float16), batch_size=7)
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(found[:, 0].numpy(), SLICES.astype(np.float16).astype(np.float32))
    ((_, inference),) = run(lambda _: torch.is_inference_mode_enabled(), batch_size=7)
    assert inference


@pytest.mark.parametrize(("bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bf16_is_used_where_it_is_asked_for(bf16, dtype):
    ((_, found),) = run(lambda source: source @ source, batch_size=7, bf16=bf16)
    assert found.dtype == dtype


# --- out of memory ---


class Full:
    """Memory for a few slices only; `tried` lists the sizes of the batches."""

    def __init__(self, *room):
        self.room, self.tried = list(room), []

    def __call__(self, source):
        self.tried.append(len(source))
        room = self.room.pop(0) if len(self.room) > 1 else self.room[0]
        if len(source) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return source.clone()


def test_out_of_memory_halves_the_batch_and_no_slice_is_lost():
    function = Full(2)
    with pytest.warns(MmccdWarning) as warned:
        found = run(function, batch_size=8)
    assert [str(warning.message) for warning in warned] == [
        f"cpu is out of memory: going on with batches of {count}" for count in (4, 2)
    ]
    assert function.tried == [7, 4, 2, 2, 2, 1]  # and stays so
    assert [rows for rows, _ in found] == [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 7)]
    np.testing.assert_array_equal(joined(found), SLICES)


def test_out_of_memory_in_the_middle_begins_that_batch_again():
    function = Full(9, 1, 9)
    with pytest.warns(MmccdWarning, match="going on with batches of 1"):
        found = run(function, batch_size=3)
    assert function.tried == [3, 3, 1, 1, 1, 1]
    np.testing.assert_array_equal(joined(found), SLICES)


def test_memory_for_less_than_one_slice_is_an_error():
    function = Full(0)
    with pytest.warns(MmccdWarning), pytest.raises(ConfigError, match="cpu is out of memory with one slice") as caught:
        run(function, batch_size=4)
    assert "--device" in caught.value.hint
    assert function.tried == [4, 2, 1]
    with pytest.raises(ConfigError):  # and no warning, which would be an error here
        run(Full(0), batch_size=1)


@pytest.mark.parametrize("words", ["DefaultCPUAllocator: can't allocate memory: you tried", "not enough memory: you"])
def test_a_cpu_that_runs_out_of_memory_halves_the_batch_too(words):
    def narrow(source):
        if len(source) > 3:
            raise RuntimeError(words)
        return source.clone()

    with pytest.warns(MmccdWarning, match="cpu is out of memory: going on with batches of 3"):
        found = run(narrow, batch_size=7)
    np.testing.assert_array_equal(joined(found), SLICES)


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    def broken(_):
        raise RuntimeError("shape")

    with pytest.raises(RuntimeError, match="shape"):
        run(broken, batch_size=4)


# --- a whole scan ---


class Zero(nn.Module):
    """Restores nothing, so that the squared error is x squared; notes how many slices it saw."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, image):
        self.seen += len(image)
        return torch.zeros_like(image)


@pytest.fixture
def method():
    return CyclicUNet(Zero(), Zero())


@pytest.fixture
def brain():
    """Slice 0 is empty, slice 1 too small to have anything but rim, the others hold a square."""
    brain = np.zeros((7, 48, 48), bool)
    brain[1, 20:22, 20:22] = True
    brain[2:, 10:38, 10:38] = True
    return brain


def volume(method, slices, brain, *, error=squared_error, batch_size=4, bf16=False, slice_mm=5.0, **scoring):
    precision = {"precision": "bf16" if bf16 else "float32"}
    config = load_config("tiny", {"scoring": scoring, "training": precision})
    scorer = ModelScorer(method, error, config, CPU, batch_size)
    return scorer.anomaly_map({"flair": slices}, brain, (slice_mm, 5.0, 5.0))


def test_the_rim_and_what_lies_outside_are_zero(method, brain):
    found = volume(method, SLICES, brain, edge_mm=10)
    scored = scored_region(brain, edge_mm=10, pixel_mm=5)
    assert scored[2].sum() == 24 * 24
    np.testing.assert_allclose(found, np.where(scored, SLICES**2, 0), rtol=1e-6)
    assert found.dtype == np.float32
    assert method.to_target.seen == 5  # slices without anything to score cost nothing
    whole = volume(method, SLICES, brain, edge_mm=0)
    np.testing.assert_allclose(whole, np.where(brain, SLICES**2, 0), rtol=1e-6)


def test_the_error_function_decides_the_map(method, brain):
    found = volume(method, SLICES, brain, error=lambda x, made: (x - made.restored).abs(), edge_mm=0)
    np.testing.assert_allclose(found, np.where(brain, np.abs(SLICES), 0), rtol=1e-6)


def test_smoothing_goes_across_slices_after_the_rim_is_left_out(method, brain):
    slices = np.zeros_like(SLICES)
    slices[4, 24, 24] = 10
    slices[4, 10, 10] = 1000  # in the rim
    near, far = (volume(method, slices, brain, edge_mm=10, smooth_mm=6, slice_mm=mm) for mm in (5.0, 10.0))
    assert near[4, 24, 24] > near[3, 24, 24] > near[2, 24, 24] > 0
    assert near[3, 24, 24] == pytest.approx(near[5, 24, 24], rel=1e-3)
    assert near[3, 24, 24] / near[4, 24, 24] > far[3, 24, 24] / far[4, 24, 24]
    scored = scored_region(brain, edge_mm=10, pixel_mm=5)
    errors = np.where(scored, slices**2, 0)
    np.testing.assert_allclose(near, smoothed(errors, scored, smooth_mm=6, spacing_mm=(5.0, 5.0, 5.0)), rtol=1e-5)
    assert near[4, 24, 24] < 100
    assert near.max() < 100  # nothing of the rim
    assert (near[~scored] == 0).all()


def test_total_variation_goes_in_place_of_the_gaussian_and_of_several_weights_the_mean_counts(method, brain):
    spacing_mm = (5.0, 5.0, 5.0)
    settings = {"edge_mm": 10, "smooth_mm": 6, "total_variation": [1, 4]}
    found = volume(method, SLICES, brain, **settings)
    scored = scored_region(brain, edge_mm=10, pixel_mm=5)
    errors = np.where(scored, SLICES**2, 0)
    one, four = (total_variation(errors, scored, weight=weight, spacing_mm=spacing_mm) for weight in (1, 4))
    np.testing.assert_allclose(found, (one + four) / 2, rtol=1e-4, atol=1e-5)
    assert np.abs(one - four).max() > 0.1
    assert found.dtype == np.float32
    assert (found[~scored] == 0).all()


@pytest.mark.parametrize("smoothing", [{"smooth_mm": 0.0}, {"smooth_mm": 4.0}, {"total_variation": [4.0]}])
def test_a_brain_with_nothing_to_score_has_an_empty_map(method, brain, smoothing):
    for nothing in (np.zeros_like(brain), brain & (np.arange(7) < 2)[:, None, None]):
        found = volume(method, SLICES, nothing, edge_mm=10, **smoothing)
        np.testing.assert_array_equal(found, np.zeros_like(SLICES))
    assert method.to_target.seen == 0


def test_the_batch_size_does_not_matter(model_folder, brain):
    trained = load_model(model_folder).method
    whole, single = (volume(trained, SLICES, brain, batch_size=size) for size in (16, 1))
    assert whole.std() > 0.1
    np.testing.assert_allclose(whole, single, rtol=1e-4, atol=1e-5)


def test_bf16_is_close_to_float32(model_folder, brain):
    trained = load_model(model_folder).method
    low, full = (volume(trained, SLICES, brain, bf16=used) for used in (True, False))
    assert low.dtype == np.float32
    assert np.abs(low - full).max() > 0  # it was used
    assert np.corrcoef(low.ravel(), full.ravel())[0, 1] > 0.99


def test_a_scan_goes_on_with_less_memory(brain):
    class Narrow(Zero):
        def forward(self, image):
            if len(image) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(image)

    with pytest.warns(MmccdWarning, match="going on with batches of 2"):
        found = volume(CyclicUNet(Narrow(), Zero()), SLICES, brain, edge_mm=0)
    np.testing.assert_allclose(found, np.where(brain, SLICES**2, 0), rtol=1e-6)


def test_what_a_lack_of_memory_leads_to_is_let_go(brain):
    """The error holds the frames in which it came up, and these all tensors of the batch: no room for a smaller one."""
    batches = batches_of(SLICES, CPU, batch_size=2, bf16=False)
    batch = next(batches)
    with batch:
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert batch.out_of_memory is True
    assert not any(isinstance(value, BaseException) for value in vars(batch).values())


def test_evidence_of_modalities_is_added_and_that_of_trainings_of_one_averaged(method, brain):
    class Fixed:
        def __init__(self, value):
            self.value = value

        def anomaly_map(self, slices, brain, spacing_mm, *, healthy=None):
            return np.where(brain, slices["flair"] * self.value, 0).astype(np.float32)

    both = FusedScorer([("flair", Fixed(1.0)), ("t2", Fixed(0.5))])
    found = both.anomaly_map({"flair": SLICES}, brain, (5.0, 5.0, 5.0))
    np.testing.assert_allclose(found, np.where(brain, 1.5 * SLICES, 0), rtol=1e-6)
    assert found.dtype == np.float32
    whole = FusedScorer([("flair", Fixed(1.0)), ("t2", Fixed(0.5)), ("flair", Fixed(4.0))])
    found = whole.anomaly_map({"flair": SLICES}, brain, (5.0, 5.0, 5.0))
    np.testing.assert_allclose(found, np.where(brain, 3 * SLICES, 0), rtol=1e-6)
    assert found.dtype == np.float32
