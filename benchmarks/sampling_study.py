"""What accuracy needs: AUPRC against network evaluations per slice, for masks and steps of MMCCD on one cohort.

    mmccd prepare DATA STORE --size 64 --modalities flair,t2
    python benchmarks/sampling_study.py STORE WORK NAME [STEPS]

Trains three MMCCD models (stripes, combs, combs for one step) and a Cyclic U-Net of preset `tiny` for STEPS steps each,
scores the test slice with most lesion of each subject with every sampler, and writes sampling_study_NAME.{md,json,png}.
A trained model in WORK is used again.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from measure import machine
from scipy.ndimage import uniform_filter

from mmccd.bootstrap import bootstrap_mean
from mmccd.config import Config, load_config
from mmccd.devices import has_bf16
from mmccd.inference import anomaly_maps
from mmccd.methods import build_method
from mmccd.metrics import auprc
from mmccd.model_file import load_model
from mmccd.progress import reported_progress
from mmccd.provenance import provenance
from mmccd.scoring import POLARITY, intensity_score
from mmccd.store import Store, open_store
from mmccd.training import train

HERE = Path(__file__).parent
STRIPES = {"diffusion.masks": "stripes", "diffusion.stripe_stride_px": 1}
TRAINED = {
    "cyclic-unet": {"method": "cyclic-unet"},
    "stripes": {"method": "mmccd", "diffusion.train_on": "all-steps", **STRIPES},
    "combs": {"method": "mmccd", "diffusion.train_on": "all-steps"},
    "one-step": {"method": "mmccd"},
}
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Sampler:
    """One way to score with the weights of one trained model."""

    trained: str
    name: str
    settings: dict[str, object]


def samplers() -> list[Sampler]:
    found = []
    for stride, label in ((1, "128 stripes"), (4, "32 stripes"), (8, "16 stripes")):
        for steps in (1, 5, 20) if stride > 1 else (100, 5, 1):
            settings = {**STRIPES, "diffusion.stripe_stride_px": stride, "diffusion.sampling_steps": steps}
            settings["diffusion.spacing"] = "leading" if steps == 100 else "trailing"
            found.append(Sampler("stripes", f"{label} x {steps}", settings))
    found += [
        Sampler("combs", f"6 combs x {steps}", {"diffusion.sampling_steps": steps}) for steps in (1, 2, 5, 20, 100)
    ]
    found += [Sampler("one-step", "6 combs x 1, trained for it", {})]
    return [Sampler("cyclic-unet", "Cyclic U-Net", {}), *found]


def config_of(trained: str, steps: int, settings: dict[str, object] | None = None) -> Config:
    return load_config("tiny", {"training.steps": steps, **TRAINED[trained], **(settings or {})})


def largest_lesion_rows(store: Store) -> np.ndarray:
    table = store.index[(store.index["split"] == "test") & (store.index["lesion_px"] > 0)]
    return table.groupby("subject")["lesion_px"].idxmax().to_numpy()


def main() -> None:
    store, work, name = open_store(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
    steps = int(sys.argv[4]) if len(sys.argv) > 4 else 1500
    for trained in TRAINED:
        if not (work / trained / "card.json").exists():
            with reported_progress(f"train {trained}") as progress:
                train(store, work / trained, config_of(trained, steps), resume=True, progress=progress)
    rows = largest_lesion_rows(store)
    x, brain, lesion = (np.asarray(store.array(key)[rows]) for key in ("flair", "brain", "lesion"))
    scores = {"FLAIR intensity": (0, 0.0, intensity_score(x.astype(np.float32), POLARITY["flair"]))}
    for sampler in samplers():
        model = load_model(work / sampler.trained)
        method = build_method(config_of(sampler.trained, steps, {**sampler.settings, "diffusion.masks_at_once": 8}))
        method.load_state_dict(model.method.state_dict())
        count: list[int] = []
        for network in method.eval().children():
            network.register_forward_hook(lambda _, args, __, count=count: count.append(len(args[0])))
        started = time.perf_counter()
        maps = np.concatenate([part for _, part in anomaly_maps(method, x, CPU, batch_size=1, bf16=has_bf16(CPU))])
        seconds = (time.perf_counter() - started) / len(rows)
        scores[sampler.name] = (round(sum(count) / len(rows)), seconds, maps)
        print(sampler.name, sum(count) / len(rows), f"{seconds:.3f} s", flush=True)
    report(name, store, scores, brain, lesion, steps)


def report(name: str, store: Store, scores: dict, brain: np.ndarray, lesion: np.ndarray, steps: int) -> None:
    plain = {key: [auprc(s[b], m[b]) for s, b, m in zip(maps, brain, lesion, strict=True)]
             for key, (_, _, maps) in scores.items()}  # fmt: skip
    smooth = {key: [auprc(uniform_filter(s, 3)[b], m[b]) for s, b, m in zip(maps, brain, lesion, strict=True)]
              for key, (_, _, maps) in scores.items()}  # fmt: skip
    reference = "128 stripes x 100"
    lines = [f"| sampler | evaluations | s per slice | AUPRC | difference from {reference} | AUPRC, 3 x 3 mean |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    record = {}
    for key, (evaluations, seconds, _) in scores.items():
        mean, mean_smooth = bootstrap_mean(plain[key]), bootstrap_mean(smooth[key])
        apart = bootstrap_mean([a - b for a, b in zip(plain[key], plain[reference], strict=True)])
        lines.append(f"| {key} | {evaluations} | {seconds:.3f} | {mean} | {apart} | {mean_smooth} |")
        record[key] = {"evaluations": evaluations, "seconds_per_slice": seconds, "auprc": plain[key],
                       "auprc_smoothed": smooth[key]}  # fmt: skip
    facts = provenance(seed=0, device="cpu", training_steps=steps, store=store.digest, machine=machine())
    (HERE / f"sampling_study_{name}.json").write_text(json.dumps({**facts, "samplers": record}, indent=1) + "\n")
    (HERE / f"sampling_study_{name}.md").write_text(
        f"# Masks and steps: {name}\n\n"
        f"Written by `python benchmarks/sampling_study.py STORE WORK {name} {steps}` on {machine()}. Preset `tiny` "
        f"(64 px, 0.85 M parameters a network), {steps} training steps each, batch 16, seed 0, FLAIR to T2; one slice "
        f"(most lesion) of each of {len(brain)} test subjects; AUPRC over brain pixels of the raw squared error, mean "
        "[95 % bootstrap interval over subjects]; slices one at a time, bf16 where the hardware has it.\n\n"
        + "\n".join(lines)
        + "\n"
    )
    figure(name, scores, plain)


def figure(name: str, scores: dict, plain: dict) -> None:
    drawing = Figure((7.5, 4.2), dpi=120)
    axis = drawing.subplots()
    for key, (evaluations, _, _) in scores.items():
        interval = bootstrap_mean(plain[key])
        if evaluations == 0:
            axis.axhspan(interval.low, interval.high, color="0.92")
            axis.axhline(interval.mean, color="0.4", ls="--", lw=1)
            axis.text(2.2, interval.mean, key, va="bottom", fontsize=8, color="0.3")
            continue
        colour = "C1" if "stripes" in key else "C0" if "combs" in key else "C2"
        bar = [[interval.mean - interval.low], [interval.high - interval.mean]]
        axis.errorbar(evaluations, interval.mean, bar, fmt="o", color=colour, capsize=3, ms=5, lw=1)
        axis.annotate(key, (evaluations, interval.mean), xytext=(5, 4), textcoords="offset points", fontsize=7)
    axis.set_xscale("log")
    axis.set_xlabel("network evaluations per slice")
    axis.set_ylabel("AUPRC over brain pixels")
    axis.set_title(f"What accuracy needs ({name}, FLAIR to T2)", fontsize=10, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    drawing.tight_layout()
    drawing.savefig(HERE / f"sampling_study_{name}.png")


if __name__ == "__main__":
    main()
