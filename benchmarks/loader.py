"""How long a batch takes from the store to a tensor, beside a training step of the preset that it feeds.

    python benchmarks/loader.py STORE PRESET

Prints one Markdown row per batch size; the loader keeps a device busy while a batch takes less than a step.
"""

import sys
import time
from pathlib import Path

import torch
from measure import machine

from mmccd.data.store import open_store
from mmccd.model.config import load_config
from mmccd.training.batches import SlicePairs, StepSampler, batch_loader
from mmccd.training.task import TranslationTask

BATCHES = 50


def main() -> None:
    store, config = open_store(Path(sys.argv[1])), load_config(sys.argv[2])
    rows = store.rows("train", healthy=True)
    print(f"{machine()}; {len(rows)} slices of {store.size_px} px; preset {sys.argv[2]}\n")
    print("| batch | loader, ms per batch | slices per second | training step, ms | ratio |")
    print("| --- | --- | --- | --- | --- |")
    for batch_size in (config.training.batch_size, 256):
        sampler = StepSampler(rows, batch_size=batch_size, steps=BATCHES, seed=0)
        loader = batch_loader(SlicePairs(store, config.source, config.targets), sampler, 0, pin_memory=False)
        list(loader)  # from the disk into the page cache, where a store of this size stays
        started = time.perf_counter()
        batches = list(loader)
        seconds = (time.perf_counter() - started) / BATCHES
        rate, beside = batch_size / seconds, " | "
        if batch_size == config.training.batch_size:
            step = _step_seconds(config, batches[0])
            beside = f"{1000 * step:.0f} | {step / seconds:.0f}"
        print(f"| {batch_size} | {1000 * seconds:.1f} | {rate:.0f} | {beside} |")


def _step_seconds(config, batch) -> float:
    """Forward, backward and update of both networks, in bf16 as they train."""
    task = TranslationTask(config).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(task.parameters(), lr=1e-4)
    source, target = (batch[name].float().to(memory_format=torch.channels_last) for name in ("source", "target"))
    durations = []
    for _ in range(4):
        started = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            loss = torch.stack(list(task.method.losses(source, target).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        durations.append(time.perf_counter() - started)
    return min(durations)


if __name__ == "__main__":
    main()
