"""What `--runtime openvino` changes: seconds to start, and per batch of slices, beside PyTorch.

    python benchmarks/runtime.py PRESET

Prints one Markdown row per runtime and precision, for the forward network of the preset with random weights.
"""

import sys
import time

import torch
from measure import machine

from mmccd.method.unet import UNet
from mmccd.model.config import load_config
from mmccd.model.openvino import CompiledUNet

BATCH, SIZE_PX, REPEATS = 8, 128, 12


def main() -> None:
    config = load_config(sys.argv[1])
    torch.manual_seed(0)
    network = UNet(1, **config.network.model_dump()).eval().requires_grad_(False)
    for weight in network.parameters():
        weight.add_(0.02 * torch.randn_like(weight))  # the last layer starts at zero
    network = network.to(memory_format=torch.channels_last)
    images = torch.randn(BATCH, 1, SIZE_PX, SIZE_PX).to(memory_format=torch.channels_last)
    print(f"{machine()}, {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads; "
          f"preset {sys.argv[1]}, {BATCH} slices of {SIZE_PX} px\n")  # fmt: skip
    print("| runtime | precision | start, s | per batch, s | largest difference |\n| --- | --- | --- | --- | --- |")
    expected = _run(network, images, bf16=False)[0]
    for runtime in ("torch", "openvino"):
        for bf16 in (False, True):
            started = time.perf_counter()
            runner = network if runtime == "torch" else CompiledUNet(network, bf16=bf16)
            start = time.perf_counter() - started
            found, seconds = _run(runner, images, bf16=bf16)
            difference = (found - expected).abs().max() / expected.std()
            print(
                f"| {runtime} | {'bf16' if bf16 else 'float32'} | {start:.1f} | {seconds:.3f} | {difference:.1e} SD |"
            )


def _run(network, images, *, bf16):
    """Its output, and the median seconds of a batch after two that warm it up."""
    durations = []
    for _ in range(REPEATS + 2):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            started = time.perf_counter()
            output = network(images).float()
            durations.append(time.perf_counter() - started)
    return output, sorted(durations[2:])[REPEATS // 2]


if __name__ == "__main__":
    main()
