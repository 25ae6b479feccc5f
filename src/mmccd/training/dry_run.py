"""`mmccd train --dry-run`: what a training will cost, measured by its own steps, batches and networks."""

import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.flop_counter import FlopCounterMode

from mmccd.data.healthy import HealthyTissue
from mmccd.data.own_folders import kind_of
from mmccd.data.store import Store
from mmccd.errors import ConfigError
from mmccd.method.method import Method
from mmccd.model.build import build_error
from mmccd.model.config import Config
from mmccd.model.scorer import ModelScorer
from mmccd.scoring.evidence import no_pairs
from mmccd.system.devices import choose_device, uses_bf16
from mmccd.system.peak_memory import peak_memory_gb, reset_peak_memory
from mmccd.system.progress import ProgressCallback, duration, no_progress
from mmccd.training.calibration import BATCH, Run, count_run, healthy_runs, healthy_tissue, intensity_baselines
from mmccd.training.checkpoints import CHECKPOINT, state_of
from mmccd.training.fitting import (
    WHATEVER_IS_THERE,
    Hardware,
    fit,
    fitting_of,
    silence_lightning,
    with_half_the_batch,
)
from mmccd.training.train import check_training

WARM_UP, TIMED = 5, 20
"""Steps."""
SCORED = 16
"""Healthy slices that are scored to tell what scoring takes."""


@dataclass(frozen=True)
class Scoring:
    """What it takes to score slices, in seconds.

    Attributes:
        count_s: To count the healthy pairs of one slice for evidence; 0 for the squared error.
        errors_s: For the networks to restore one slice, and for its errors.
        smoothing_s: To smooth the map of one slice.
        intensity_s: To score the intensity of one slice, as a calibration does.
    """

    count_s: float
    errors_s: float
    smoothing_s: float
    intensity_s: float

    @property
    def slice_s(self) -> float:
        """Of one slice of a scan."""
        return self.errors_s + self.smoothing_s

    @property
    def calibration_s(self) -> float:
        """Of one slice of a calibration."""
        return self.count_s + self.slice_s + self.intensity_s


@dataclass(frozen=True)
class Cost:
    """What a training costs on one device.

    Attributes:
        device: Where it was measured.
        precision: ``bf16`` or ``float32``.
        threads: Of PyTorch on the CPU.
        batch_size: Slices per step.
        steps: Of the whole training.
        steps_done: Those that an unfinished training has behind it.
        validations_left: Those that the rest of the steps brings.
        start_s: From the call to the first step, with what the first steps take longer than later ones.
        step_s: One step.
        validation_s: One validation, with its pictures and its checkpoint.
        scoring: What it takes to score.
        calibration_slices: Healthy validation slices.
        scan_slices: Of a scan of the store, on average.
        peak_memory_gb: Of the GPU, or resident memory of the process.
        flops_per_step: Floating-point operations, forward and backward.
        parameters: Of all networks.
        checkpoint_bytes: Size of the checkpoint.
        model_bytes: Size of the weights of the model.
    """

    device: str
    precision: str
    threads: int
    batch_size: int
    steps: int
    steps_done: int
    validations_left: int
    start_s: float
    step_s: float
    validation_s: float
    scoring: Scoring
    calibration_slices: int
    scan_slices: int
    peak_memory_gb: float
    flops_per_step: int
    parameters: int
    checkpoint_bytes: int
    model_bytes: int

    @property
    def steps_left(self) -> int:
        """Steps that are to be done."""
        return max(0, self.steps - self.steps_done)

    @property
    def training_s(self) -> float:
        """All steps that are left, with their validations."""
        return self.start_s + self.steps_left * self.step_s + self.validations_left * self.validation_s

    @property
    def calibration_s(self) -> float:
        """The calibration after the last step."""
        return self.calibration_slices * self.scoring.calibration_s

    @property
    def whole_s(self) -> float:
        """All that is left of the run."""
        return self.training_s + self.calibration_s

    @property
    def scan_s(self) -> float:
        """To score one scan of the store, once it is read."""
        return self.scan_slices * self.scoring.slice_s

    def table(self) -> list[tuple[str, str]]:
        """A header, and what is measured, with the value in words."""
        done = f", {self.steps_done:,} of {self.steps:,} are done" if self.steps_done else ""
        where = f"{self.device}, {self.precision}" + (
            f", {self.threads} thread{'s'[: self.threads > 1]}" if self.device == "cpu" else ""
        )
        return [
            ("cost", "measured or estimated here"),
            ("device", where),
            ("steps left", f"{self.steps_left:,} of {self.batch_size} slices each{done}"),
            ("steps per second", f"{1 / self.step_s:.3g}"),
            ("FLOPs per step", f"{self.flops_per_step / 1e9:,.1f} G"),
            ("one validation", f"{duration(self.validation_s)}, {self.validations_left:,} left"),
            ("all steps and validations", duration(self.training_s)),
            ("calibration", f"{duration(self.calibration_s)}, {self.calibration_slices:,} slices"),
            ("whole run", duration(self.whole_s)),
            ("one scan to score", f"{self.scan_s:.3g} s, {self.scan_slices} slices"),
            ("peak memory", f"{self.peak_memory_gb:.2f} GB {'resident' if self.device == 'cpu' else 'of the device'}"),
            ("parameters", f"{self.parameters / 1e6:.2f} M"),
            ("checkpoint", f"{self.checkpoint_bytes / 1e6:.1f} MB"),
            ("model", f"{self.model_bytes / 1e6:.1f} MB"),
        ]


def dry_run(
    store: Store,
    output: Path,
    config: Config,
    *,
    resume: bool = False,
    hardware: Hardware = WHATEVER_IS_THERE,
    progress: ProgressCallback = no_progress,
) -> Cost:
    """Check what `train` checks, then time a few of its steps, one validation, and the scoring of a few slices.

    Nothing is written to ``output``. An unfinished training there is not refused: the cost is that of what is left.
    Where the device runs out of memory, half the batch is measured, with a warning, as `train` would go on.

    Args:
        store: Prepared slices.
        output: Folder that the model is meant for.
        config: Method, modalities, network, training, scoring.
        resume: Whether the training would be gone on with.
        hardware: Device; only one is measured.
        progress: Called with the losses, the step, and the number of steps that are timed.

    Raises:
        ConfigError: as `train`; or several devices are asked for.
        DataError: as `train`.
    """
    if hardware.devices not in ("auto", "1") or hardware.num_nodes != 1:
        raise ConfigError(
            f"a dry run measures one device, not {hardware.devices} devices of {hardware.num_nodes} machines",
            "leave --devices and --num-nodes out",
        )
    started = time.perf_counter()
    tissue = healthy_tissue(store, config)
    healthy = {part: tissue.rows(part) for part in ("train", "validation")}
    checkpoint = output / "training" / CHECKPOINT
    unfinished = checkpoint.is_file() and (resume or kind_of(output) != "model")
    check_training(tissue, output, config, healthy, resume or unfinished)
    config, steps_done, finished = state_of(checkpoint, config, store) if unfinished else (config, 0, False)
    device = choose_device(hardware.device)
    reset_peak_memory(device)
    training = config.training
    every = min(training.validate_every, training.steps)
    clock, method, checkpoint_bytes = _timed(tissue, config, replace(hardware, devices="1"), device, progress)
    batch_size = clock.batch_size
    scoring = scoring_of(method, tissue, config, device)
    scans = store.index.groupby("subject").size()
    weights = sum(tensor.numel() for tensor in method.state_dict().values())
    evidence = no_pairs().nbytes if config.scoring.error == "tail" else 0
    return Cost(
        device=str(device),
        precision="bf16" if uses_bf16(training.precision, device) else "float32",
        threads=torch.get_num_threads(),
        batch_size=batch_size,
        steps=training.steps,
        steps_done=training.steps if finished else steps_done,
        validations_left=0 if finished else training.steps // every - steps_done // every,
        start_s=clock.warm_at - started - clock.counting_s - (WARM_UP - 1) * clock.step_s,
        step_s=clock.step_s,
        validation_s=clock.validation_s,
        scoring=scoring,
        calibration_slices=int(healthy["validation"].size),
        scan_slices=round(float(scans.mean())),
        peak_memory_gb=peak_memory_gb(device),
        flops_per_step=clock.flops,
        parameters=sum(weight.numel() for weight in method.parameters()),
        checkpoint_bytes=checkpoint_bytes,
        model_bytes=4 * weights + evidence,
    )


def scoring_of(method: Method, tissue: HealthyTissue, config: Config, device: torch.device) -> Scoring:
    """What it takes to score, told by a few healthy validation slices and the cheapest sampler of the method.

    Args:
        method: Networks, trained or not: that changes no time.
        tissue: Its validation part is used.
        config: Source modality and scoring.
        device: Where to compute.
    """
    tail = config.scoring.error == "tail"
    error = build_error(config, no_pairs() + 1 if tail else None)
    quick = method.to(device).eval().quick()
    scorer = ModelScorer(quick, error, config, device, BATCH)
    run = _middle(max(healthy_runs(tissue), key=lambda run: len(run.rows)))
    brain = tissue.store.array("brain")[run.rows]
    region = scorer.region(brain, run.spacing_mm) & tissue.mask(run.rows)
    source = tissue.store.slices(config.source, run.rows)
    errors = partial(scorer.errors, source, region)

    def intensities() -> None:
        for baseline in intensity_baselines(config.source, config.scoring):
            baseline.anomaly_map({config.source: source}, brain, run.spacing_mm, healthy=region)

    per_slice, more = 1 / len(run.rows), method.evaluations / quick.evaluations
    return Scoring(
        count_s=more * per_slice * _seconds(partial(count_run, scorer, tissue, run)) if tail else 0.0,
        errors_s=more * per_slice * _seconds(errors),
        smoothing_s=per_slice * _seconds(partial(scorer.smoothed, errors(), region, run.spacing_mm)),
        intensity_s=per_slice * _seconds(intensities),
    )


def _timed(
    tissue: HealthyTissue, config: Config, hardware: Hardware, device: torch.device, progress: ProgressCallback
) -> "tuple[_Clock, Method, int]":
    """Steps as `train` does them, and a validation after the last, in a folder that is removed."""
    clock, steps = _Clock(device, config.training.batch_size), WARM_UP + TIMED
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        silence_lightning()
        logs = Path(folder)
        fitting = fitting_of(
            tissue, config, logs, hardware, device, steps=range(steps), validate_every=steps,
            first=[clock], last=[], check=lambda: None, progress=progress,
        )  # fmt: skip
        if fit(fitting, None, logs):
            return clock, fitting.task.method, (logs / CHECKPOINT).stat().st_size
    del fitting
    return _timed(tissue, with_half_the_batch(config, device), hardware, device, progress)


class _Clock(Callback):
    """Looks at the clock after the warm-up, after the timed steps, and after the validation that follows them."""

    def __init__(self, device: torch.device, batch_size: int) -> None:
        self.device, self.batch_size = device, batch_size
        self.warm_at = self.last_at = self.end_at = 0.0
        self.counting_s, self.flops = 0.0, 0
        self._counter: FlopCounterMode | None = None
        self._counting = ExitStack()

    @property
    def step_s(self) -> float:
        return (self.last_at - self.warm_at) / TIMED

    @property
    def validation_s(self) -> float:
        return self.end_at - self.last_at

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 1:  # one of the warm-up: counting takes time
            self.counting_s = -self._now()
            self._counter = self._counting.enter_context(FlopCounterMode(display=False))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._counter is not None:
            self._counting.close()
            self.flops, self._counter = self._counter.get_total_flops(), None
            self.counting_s += self._now()
        if batch_idx + 1 == WARM_UP:
            self.warm_at = self._now()
        elif batch_idx + 1 == WARM_UP + TIMED:
            self.last_at = self._now()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.end_at = self._now()

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def _middle(run: Run) -> Run:
    """Some neighbours in the middle of a run, where there is most brain."""
    start = max(0, (len(run.rows) - SCORED) // 2)
    return replace(run, rows=run.rows[start : start + SCORED])


def _seconds(work: Callable[[], object]) -> float:
    """The least of two times; every piece of work ends on the CPU, so that the device is waited for."""
    found = []
    for _ in range(2):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found)
