"""What scoring costs: passes through networks, and memory."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from mmccd.comparison import cost
from mmccd.comparison.cost import Counter, peak_memory_gb, reset_peak_memory
from mmccd.method.registry import METHODS
from mmccd.model.build import build_method
from mmccd.model.config import load_config

CPU = torch.device("cpu")


def restored(method, slices):
    with torch.no_grad():
        for _ in method.restorations(slices):
            pass


@pytest.mark.parametrize("name", METHODS)
def test_passes_of_every_slice_are_counted_as_the_method_says(name, toy_settings):
    """Of slices full of brain, so that no mask is left out."""
    targets = {"targets": ["t2"]} if METHODS[name].about.targets != "none" else {}
    config = load_config(["tiny", "fast"], {**toy_settings, "method": name, **targets})
    method = build_method(config, 64).eval()
    counter = Counter(method)
    restored(method, torch.ones(3, 1, 64, 64))
    assert counter.passed == 3 * method.evaluations > 0
    counter.close()
    restored(method, torch.ones(1, 1, 64, 64))
    assert counter.passed == 3 * method.evaluations


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system does not say: Linux does")
def test_memory_is_that_of_the_process_and_can_be_measured_anew():
    reset_peak_memory(CPU)
    before = peak_memory_gb(CPU)
    assert 0.01 < before < 1000
    block = np.ones(100_000_000, np.uint8)
    assert peak_memory_gb(CPU) > before + 0.05
    del block
    highest = peak_memory_gb(CPU)
    reset_peak_memory(CPU)
    assert peak_memory_gb(CPU) < highest - 0.05


def test_a_system_that_does_not_say_gives_no_number(monkeypatch, tmp_path):
    monkeypatch.setattr(cost, "Path", lambda name: tmp_path / "nowhere" / name.lstrip("/"))
    reset_peak_memory(CPU)
    assert math.isnan(peak_memory_gb(CPU))
