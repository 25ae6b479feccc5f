"""OpenVINO in place of PyTorch for trained networks on a CPU; an optional extra."""

import copy
import sys
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from mmccd.errors import ConfigError
from mmccd.method.method import Method
from mmccd.method.unet import UNet


def accelerate(method: Method, *, bf16: bool) -> Method:
    """A copy of a method on the CPU whose U-Nets are compiled; takes seconds per network.

    Args:
        method: Trained, and in evaluation mode.
        bf16: Multiply in bf16 instead of float32, where the hardware can.

    Raises:
        ConfigError: OpenVINO is not installed.
    """
    accelerated = copy.deepcopy(method)
    for name, network in method.named_children():
        if isinstance(network, UNet):
            setattr(accelerated, name, CompiledUNet(network, bf16=bf16))
    return accelerated


class CompiledUNet(nn.Module):
    """A trained `UNet` as OpenVINO runs it: the same function for any number and size of images, in float32 outside."""

    def __init__(self, network: UNet, *, bf16: bool) -> None:
        super().__init__()
        openvino = _import_openvino()
        side = 2 * network.divisor_px
        example = torch.zeros(2, network.in_channels, side, side), torch.zeros(2, dtype=torch.long)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tracing: MONAI's checks of shapes are not kept, and need not be
            # Traced here, because OpenVINO would have PyTorch check the trace: half of the time that all of this takes.
            traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
            graph = openvino.convert_model(traced, example_input=example)
        hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32"}
        self._compiled = openvino.compile_model(graph, "CPU", hints)

    def forward(self, images: Tensor, timesteps: Tensor | None = None) -> Tensor:
        """(batch, in_channels, height, width) to (batch, out_channels, height, width); no timestep means t = 0."""
        if timesteps is None:
            timesteps = torch.zeros(len(images), dtype=torch.long)
        (result,) = self._compiled([images.contiguous().numpy(), timesteps.numpy()]).values()
        return torch.from_numpy(result)


def _import_openvino() -> Any:
    # Unless asked not to, OpenVINO tells a statistics service that it was imported. Without this package it cannot.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise ConfigError(
            f"OpenVINO cannot be imported: {error}", "pip install 'mmccd[openvino]', or leave --runtime out"
        ) from error
    return openvino
