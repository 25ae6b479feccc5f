"""The most memory in use, and where the system does not say."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from mmccd.system import peak_memory
from mmccd.system.peak_memory import peak_memory_gb, reset_peak_memory

CPU = torch.device("cpu")


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
    monkeypatch.setattr(peak_memory, "Path", lambda name: tmp_path / "nowhere" / name.lstrip("/"))
    reset_peak_memory(CPU)
    assert math.isnan(peak_memory_gb(CPU))
