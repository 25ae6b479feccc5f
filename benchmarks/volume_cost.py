"""What a full scan costs with a network of the paper's size and the sampler of `fast`, on the CPU.

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

from mmccd.data.grid import FIELD_OF_VIEW_MM, ModelGrid
from mmccd.data.volumes import read_volume
from mmccd.method.anomaly_map import squared_error
from mmccd.model.build import build_method
from mmccd.model.card import FORMAT, Card, IntensityThresholds, IntensityValues
from mmccd.model.config import load_config
from mmccd.model.model import Model
from mmccd.prediction.detector import Detector
from mmccd.scoring.maps import SCORE_DEFINITION
from mmccd.scoring.thresholds import Threshold

GFLOP_PER_EVALUATION = 10.9
SIZE_PX = 128


def main() -> None:
    runtime = sys.argv[1] if len(sys.argv) > 1 else "torch"
    settings = {"diffusion.combs": int(sys.argv[2])} if len(sys.argv) > 2 else {}
    config = load_config(["paper", "fast"], settings)
    torch.manual_seed(0)
    method = build_method(config, SIZE_PX).eval().requires_grad_(False)
    passed = [0]
    for network in method.children():
        network.register_forward_hook(lambda _m, args, _o: passed.__setitem__(0, passed[0] + len(args[0])))
    detector = Detector(Model(method, squared_error, config, card()), device="cpu", runtime=runtime)
    scan = sorted((Path(os.environ["MMCCD_DATA"]) / "brats_full").glob("*/*flair.nii.gz"))[0]
    volume = read_volume(scan)
    if runtime == "openvino":  # compiling is paid once, not per scan
        detector.detect(volume)
        passed[0] = 0
    started = time.perf_counter()
    detector.detect(volume)
    seconds = time.perf_counter() - started
    masks = len(method.masks)
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


def card() -> Card:
    """Of a model that nobody trained: it marks what is above 1."""
    cut, none = Threshold(1.0, "none", "none"), IntensityValues(plain=0.0, smoothed=0.0)
    intensity = IntensityThresholds(polarity="bright", smooth_mm=0.0, threshold=none, scan_threshold=none)
    grid = ModelGrid("volume", SIZE_PX, FIELD_OF_VIEW_MM / SIZE_PX)
    return Card(
        format=FORMAT, grid=grid, threshold=cut, scan_threshold=cut, healthy_scores=(),
        score_definition=SCORE_DEFINITION, intensity_baseline=intensity,
    )  # fmt: skip


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
