"""A training step of both networks: as it trains here, against plain eager float32, in one run.

    python benchmarks/training_step.py PRESET SIZE [compiled]

Forward, backward and update of MMCCD's f and g on random slices; the least of five steps. Prints Markdown rows.
"""

import sys
import time

import torch
from measure import machine

from mmccd.method.method import Batch
from mmccd.model.build import build_method
from mmccd.model.config import load_config
from mmccd.system.devices import choose_device


def step_seconds(config, size_px, device, *, bf16: bool, channels_last: bool, compiled: bool) -> float:
    torch.manual_seed(0)
    method = build_method(config, size_px).to(device)
    source, target = torch.randn(2, config.training.batch_size, 1, size_px, size_px, device=device)
    if channels_last:
        method = method.to(memory_format=torch.channels_last)
        source, target = (image.to(memory_format=torch.channels_last) for image in (source, target))
    everywhere = torch.ones_like(source, dtype=torch.bool)
    batch = Batch(source, target, everywhere, everywhere)
    if compiled:
        for network in method.children():
            network.compile()
    optimiser = torch.optim.AdamW(method.parameters(), lr=1e-4)
    durations = []
    for _ in range(6):
        started = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = torch.stack(list(method.losses(batch).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        float(loss.detach())  # waits for the device
        durations.append(time.perf_counter() - started)
    return min(durations[1:])


def main() -> None:
    preset, size_px = sys.argv[1], int(sys.argv[2])
    config, device = load_config([preset], {"method": "mmccd"}), choose_device("auto")
    ways = {
        "float32, eager": {"bf16": False, "channels_last": False, "compiled": False},
        "float32, channels last": {"bf16": False, "channels_last": True, "compiled": False},
        "bf16, channels last (default)": {"bf16": True, "channels_last": True, "compiled": False},
    }
    if "compiled" in sys.argv:
        ways["bf16, channels last, torch.compile"] = {"bf16": True, "channels_last": True, "compiled": True}
    print(f"{machine()}, {device}; preset {preset}, {size_px} px, batch {config.training.batch_size}\n")
    print("| step of f and g | seconds | times as fast as float32, eager |\n| --- | --- | --- |")
    plain = None
    for name, way in ways.items():
        seconds = step_seconds(config, size_px, device, **way)
        plain = plain or seconds
        print(f"| {name} | {seconds:.3f} | {plain / seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
