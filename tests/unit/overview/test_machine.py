"""What is said of this machine, and of others."""

import sys
from types import SimpleNamespace

import pytest
import torch

from mmccd.overview import machine
from mmccd.overview.machine import device_checks, terminal_check


@pytest.fixture
def devices():
    return lambda: {check.what: check for check in device_checks()}


def test_the_cpu_and_its_threads(devices):
    found = devices()["CPU"].found
    assert f"{torch.get_num_threads()} threads" in found
    assert "bf16 in hardware" in found


def test_gpus_are_named_with_their_memory(devices, monkeypatch):
    facts = SimpleNamespace(name="NVIDIA H100 80GB HBM3", total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: facts)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    found = devices()
    assert found["GPU cuda:1"].found == "NVIDIA H100 80GB HBM3, 80.0 GiB, bf16 in hardware"
    assert "GPU cuda:0" in found


def test_a_gpu_that_pytorch_does_not_see_is_a_warning(devices, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.mps, "is_available", lambda: False)
    monkeypatch.setattr(machine, "_DRIVER", tmp_path / "version")
    assert (devices()["GPU"].state, devices()["GPU"].found) == ("ok", "none")
    (tmp_path / "version").touch()
    assert devices()["GPU"].state == "warning"
    assert "CUDA" in devices()["GPU"].remedy


@pytest.mark.parametrize(
    ("available", "limit", "state"),
    [(20_000, None, "ok"), (2_000, None, "warning"), (20_000, 2_000, "warning"), (None, None, "ok")],
)
def test_little_memory_is_a_warning(devices, monkeypatch, available, limit, state):
    monkeypatch.setattr(machine, "available_mb", lambda: available)
    monkeypatch.setattr(machine, "limit_mb", lambda: limit)
    found = devices()["memory"]
    assert found.state == state
    assert ("ulimit" in found.found) == (limit is not None)


def test_a_system_that_knows_ascii_alone_is_a_warning(monkeypatch):
    assert terminal_check().state == "ok"
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    assert terminal_check().state == "warning"
    assert "UTF-8" in terminal_check().remedy
