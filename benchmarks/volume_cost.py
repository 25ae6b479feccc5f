"""What a full scan costs with the published-size network and the sampler of `fast`, on the CPU.

    MMCCD_DATA=/path/to/scans python benchmarks/volume_cost.py [torch|openvino] [combs]

Scores one 240 x 240 x 155 FLAIR of `brats_full`, all brain slices, at 128 x 128. The weights are random: cost does not
depend on them. Prints one Markdown row; run each runtime in a process of its own, peak memory is that of the process.
"""

import os
import resource
import sys
import time
from pathlib import Path

import torch
from measure import machine

from mmccd.data.volumes import read_volume
from mmccd.model.build import build_error, build_method
from mmccd.model.config import load_config
from mmccd.model.model import Model
from mmccd.prediction.detector import Detector

GFLOP_PER_EVALUATION = 10.9


def main() -> None:
    runtime = sys.argv[1] if len(sys.argv) > 1 else "torch"
    settings = {"diffusion.combs": int(sys.argv[2])} if len(sys.argv) > 2 else {}
    config = load_config(["published", "fast"], settings)
    torch.manual_seed(0)
    card = {
        "grid": {"protocol": "volume", "size_px": 128, "pixel_mm": 1.875},
        "threshold": {"value": 1.0},
        "intensity_baseline": {"polarity": "bright", "smooth_mm": 0.0, "threshold": {"plain": 0.0, "smoothed": 0.0}},
        "healthy_scores": [],
    }
    method = build_method(config).eval().requires_grad_(False)
    passed = [0]
    for network in method.children():
        network.register_forward_hook(lambda _m, args, _o: passed.__setitem__(0, passed[0] + len(args[0])))
    detector = Detector(Model(method, build_error(config, None), config, card), device="cpu", runtime=runtime)
    scan = sorted((Path(os.environ["MMCCD_DATA"]) / "brats_full").glob("*/*flair.nii.gz"))[0]
    volume = read_volume(scan)
    if runtime == "openvino":  # compiling is paid once, not per scan
        detector.detect(volume)
        passed[0] = 0
    started = time.perf_counter()
    detector.detect(volume)
    seconds = time.perf_counter() - started
    masks = len(method.masks_for(128))
    evaluations = passed[0] or 2 * masks * int((volume.data > 0).any(axis=(0, 1)).sum())
    rate = evaluations * GFLOP_PER_EVALUATION / seconds
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    limit = ceiling()
    print(f"{machine()}; matrix product in bf16: {limit:.0f} GFLOP/s\n")
    print("| runtime | voxels | masks | evaluations | wall time | peak memory | GFLOP/s | share of matrix product |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    print(
        f"| {runtime} | {' x '.join(map(str, volume.data.shape))} | {masks} | {evaluations:,} | {seconds:.0f} s "
        f"| {peak_gb:.2f} GB | {rate:.0f} | {rate / limit:.0%} |"
    )


def ceiling() -> float:
    """GFLOP/s of a large matrix product in bf16."""
    a, b = torch.randn(2, 4096, 4096).bfloat16()
    durations = []
    for _ in range(3):
        started = time.perf_counter()
        a @ b
        durations.append(time.perf_counter() - started)
    return 2 * 4096**3 / min(durations) / 1e9


if __name__ == "__main__":
    main()
