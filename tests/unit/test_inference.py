import numpy as np
import pytest
import torch

from mmccd import inference
from mmccd.cycle import cycle_map
from mmccd.model_file import load_model

CPU = torch.device("cpu")
SLICES = np.random.default_rng(0).normal(size=(7, 48, 48)).astype(np.float32)


def anomaly_maps(method, slices, batch_size, *, bf16=False):
    return inference.anomaly_maps(method, slices, CPU, batch_size=batch_size, bf16=bf16)


@pytest.fixture(scope="module")
def method(model_folder):
    return load_model(model_folder).method


def test_batches_cover_all_slices_in_order(method):
    found = list(anomaly_maps(method, SLICES, 3))
    assert [rows for rows, _ in found] == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert [maps.shape for _, maps in found] == [(3, 48, 48), (3, 48, 48), (1, 48, 48)]
    assert all(maps.dtype == np.float32 for _, maps in found)
    assert list(anomaly_maps(method, SLICES[:0], 3)) == []


def test_the_batch_size_does_not_matter(method):
    whole, single = (np.concatenate([maps for _, maps in anomaly_maps(method, SLICES, size)]) for size in (16, 1))
    assert whole.std() > 0.1
    np.testing.assert_allclose(whole, single, rtol=1e-4, atol=1e-5)


def test_bf16_is_close_to_float32(method):
    maps = {used: next(anomaly_maps(method, SLICES, 7, bf16=used))[1] for used in (True, False)}
    assert np.abs(maps[True] - maps[False]).max() > 0  # it was used
    assert np.corrcoef(maps[True].ravel(), maps[False].ravel())[0, 1] > 0.99


def test_half_precision_slices_of_a_store_are_taken(method):
    ((_, maps),) = anomaly_maps(method, SLICES.astype(np.float16), 7)
    expected = cycle_map(
        x := torch.from_numpy(SLICES.astype(np.float16).astype(np.float32))[:, None], method.restorations(x)
    )
    np.testing.assert_allclose(maps, expected[:, 0].detach().numpy(), rtol=1e-4, atol=1e-5)
