import pytest
import torch

from mmccd.errors import ConfigError
from mmccd.system.devices import choose_device, has_bf16


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(False, False, "cpu"), (True, False, "cuda"), (False, True, "mps"), (True, True, "cuda")],
)
def test_auto_takes_the_first_that_is_there(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.mps, "is_available", lambda: mps)
    assert choose_device("auto").type == expected


def test_one_of_several(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    assert choose_device("cpu") == torch.device("cpu")


def test_devices_that_are_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.mps, "is_available", lambda: False)
    for name in ("cuda", "cuda:0", "mps"):
        with pytest.raises(ConfigError, match=f"device {name} is not on this machine"):
            choose_device(name)
    with pytest.raises(ConfigError, match="device is 'tpu', expected one of auto, cpu, cuda, mps"):
        choose_device("tpu")


@pytest.mark.parametrize("name", ["auto:1", "cpu:x"])
def test_names_that_are_almost_right(name):
    with pytest.raises(ConfigError):
        choose_device(name)


def test_bf16_is_a_matter_of_hardware(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert has_bf16(torch.device("cuda"))
    assert has_bf16(torch.device("cpu")) in (True, False)
    assert not has_bf16(torch.device("mps"))
