"""Lightning at work: networks, batches, callbacks and the trainer of one training, and how its end is told."""

import gc
import logging
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from mmccd.data.healthy import HealthyTissue
from mmccd.errors import ConfigError, DataError, MmccdWarning, WriteError
from mmccd.model.config import Config, TrainingConfig
from mmccd.system.devices import uses_bf16
from mmccd.system.progress import Doing, ProgressCallback
from mmccd.training.batches import SlicePairs, StepSampler, batch_loader
from mmccd.training.checkpoints import CHECKPOINT, WholeCheckpoints
from mmccd.training.pictures import CurveCallback, PictureCallback
from mmccd.training.processes import environment
from mmccd.training.task import TranslationTask, curve_rows

VALIDATION_BATCH = 32
Batches = DataLoader[dict[str, torch.Tensor]]


@dataclass(frozen=True)
class Hardware:
    """Where Lightning trains; the names are Lightning's own.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        devices: Number of devices, or ``auto``.
        num_nodes: Number of machines.
        strategy: ``auto``, ``ddp``, ...
    """

    device: str = "auto"
    devices: str = "auto"
    num_nodes: int = 1
    strategy: str = "auto"


WHATEVER_IS_THERE = Hardware()


@dataclass(frozen=True)
class Fitting:
    """All that Lightning needs for one training.

    Attributes:
        task: The networks.
        trainer: With its callbacks.
        training: A batch per step.
        validation: The slices that validations look at.
    """

    task: TranslationTask
    trainer: pl.Trainer
    training: Batches
    validation: Batches


def fitting_of(
    tissue: HealthyTissue,
    config: Config,
    logs: Path,
    hardware: Hardware,
    device: torch.device,
    *,
    steps: range,
    validate_every: int,
    first: Sequence[Callback],
    last: Sequence[Callback],
    check: Callable[[], None],
    progress: ProgressCallback,
) -> Fitting:
    """Untrained networks, and what trains them.

    Args:
        tissue: What to learn from.
        config: Method, network, training.
        logs: Folder of logs, checkpoints and pictures.
        hardware: Devices, nodes, strategy.
        device: The first of them.
        steps: Those that are run.
        validate_every: Steps from one validation to the next.
        first: Callbacks that are asked before all others.
        last: Callbacks that are asked after all others but the one that saves.
        check: Asked before a checkpoint is put in place.
        progress: Called with the losses, the step, and the number of steps.

    Raises:
        ConfigError: Lightning knows no such hardware.
    """
    training = config.training
    torch.manual_seed(config.seed)
    task = TranslationTask(config, tissue.store.size_px).to(memory_format=torch.channels_last)
    reports = [_Report(progress, training), PictureCallback(tissue.store, logs), CurveCallback(logs)]
    callbacks = [*first, *reports, EMAWeightAveraging(decay=training.ema_decay), *last]
    trainer = _trainer(logs, config, hardware, device, steps, validate_every, callbacks, check)
    pairs = SlicePairs(tissue, config.source, config.targets or (config.source,))
    sampler = StepSampler(
        tissue.rows("train"),
        batch_size=training.batch_size,
        steps=steps.stop,
        seed=config.seed,
        first_step=steps.start,
        rank=trainer.global_rank,
        world_size=trainer.world_size,
    )
    rows = curve_rows(tissue.rows("validation"), task.method, training)
    order = np.array_split(rows, -(-len(rows) // min(VALIDATION_BATCH, training.batch_size)))
    pinned = device.type == "cuda"
    return Fitting(
        task,
        trainer,
        batch_loader(pairs, sampler, training.loader_workers, pin_memory=pinned),
        batch_loader(pairs, order, 0, pin_memory=pinned),
    )


def fit(fitting: Fitting, start: Path | None, logs: Path) -> bool:
    """False where memory ran out and nothing is lost by training again: the logs of this attempt are then removed.

    Args:
        fitting: What to train.
        start: Checkpoint to go on from.
        logs: Folder of logs, checkpoints and pictures.

    Raises:
        ConfigError: the device runs out of memory where half the batch is no way out.
        DataError: a data worker died.
        WriteError: the disk is full.
    """
    task, trainer = fitting.task, fitting.trainer
    try:
        trainer.fit(task, fitting.training, fitting.validation, ckpt_path=start, weights_only=True)
    except SystemExit as leaving:
        if leaving.code == 1:  # Lightning's answer to Ctrl-C
            raise KeyboardInterrupt from leaving
        raise
    except torch.OutOfMemoryError as error:
        batch = task.config.training.batch_size
        if batch == 1 or trainer.world_size > 1 or (logs / CHECKPOINT).exists():
            smaller = f"train into another folder with --set training.batch_size={batch // 2}"
            raise ConfigError(
                f"{trainer.strategy.root_device} is out of memory at step {trainer.global_step}, in batches of {batch}",
                smaller if batch > 1 else "choose a smaller network, for example --config tiny",
            ) from error
        for logger in trainer.loggers:  # pictures are overwritten
            shutil.rmtree(str(logger.log_dir), ignore_errors=True)
        return False
    except (RuntimeError, ConnectionError, EOFError) as error:  # the last two: amid a batch
        if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
            raise
        raise DataError(
            f"a data worker died at step {trainer.global_step:,}: {error}",
            "often too little memory: go on with --resume and --set training.loader_workers=0",
        ) from error
    except OSError as error:
        raise WriteError(logs, error) from error
    return True


def with_half_the_batch(config: Config, device: torch.device) -> Config:
    """The settings to train again with where memory was short, with a warning."""
    half = config.training.batch_size // 2
    message = f"{device} is out of memory: training again with training.batch_size={half}, which --resume keeps"
    warnings.warn(message, MmccdWarning, stacklevel=3)
    gc.collect()  # Lightning's objects refer to each other
    torch.cuda.empty_cache()  # does nothing without CUDA
    return config.model_copy(update={"training": config.training.model_copy(update={"batch_size": half})})


def _log_every(training: TrainingConfig) -> int:
    """Steps from one record of the losses to the next."""
    return min(25, training.validate_every, training.steps)


class _Report(Callback):
    """Turns Lightning's steps into progress."""

    def __init__(self, progress: ProgressCallback, training: TrainingConfig) -> None:
        self.progress, self.every, self.text, self.losses = progress, _log_every(training), "", dict[str, float]()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.is_global_zero:
            return
        step = trainer.global_step
        if step % self.every == 0:  # the loggers read them then, too, for which a GPU is waited
            self._note(trainer, "train/")
        self.progress(Doing(self.text, losses=dict(self.losses)), step, int(trainer.max_steps))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        found = self._note(trainer, "validation/")
        self.text = "healthy error " + ", ".join(
            f"{name.partition('/')[2]} {value:.3f}" for name, value in found.items()
        )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        step = trainer.global_step
        if trainer.is_global_zero and step < trainer.max_steps:
            self.progress(f"stopped early at step {step:,}, the healthy cycle error no longer falls", step, step)

    def _note(self, trainer: pl.Trainer, kind: str) -> dict[str, float]:
        found = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(kind)}
        self.losses |= found
        return found


def _trainer(
    logs: Path,
    config: Config,
    hardware: Hardware,
    device: torch.device,
    steps: range,
    validate_every: int,
    callbacks: list[Callback],
    check: Callable[[], None],
) -> pl.Trainer:
    training = config.training
    # Saved after each validation rather than before it, so that a resumed run has not forgotten what that one said.
    saving = ModelCheckpoint(
        dirpath=logs, filename="last", save_on_train_epoch_end=False, save_top_k=1, enable_version_counter=False
    )
    loggers = [
        CSVLogger(logs, name="", version=f"log_from_step_{steps.start:06d}"),
        TensorBoardLogger(logs, name="", version="tensorboard"),
    ]
    with warnings.catch_warnings():
        silence_lightning()
        try:
            return pl.Trainer(
                accelerator=device.type if device.type != "cuda" else "gpu",
                devices=_devices(hardware, device),
                num_nodes=hardware.num_nodes,
                strategy=hardware.strategy,
                precision="bf16-mixed" if uses_bf16(training.precision, device) else "32-true",
                max_epochs=1,
                max_steps=steps.stop,
                val_check_interval=validate_every,
                num_sanity_val_steps=0,
                log_every_n_steps=_log_every(training),
                # Pictures before the average leaves the networks; a checkpoint on demand after it took the step.
                callbacks=[*callbacks, saving],
                plugins=[WholeCheckpoints(check), *environment()],
                logger=loggers,
                use_distributed_sampler=False,
                enable_model_summary=False,
                enable_progress_bar=False,
            )
        except (ValueError, RuntimeError, MisconfigurationException) as error:
            raise ConfigError(
                f"Lightning cannot train with strategy {hardware.strategy} on {hardware.devices} devices: {error}",
                "--strategy auto and --devices auto are safe choices; under srun, --ntasks-per-node tells the devices",
            ) from error


def _devices(hardware: Hardware, device: torch.device) -> str | int | list[int]:
    if device.index is not None:
        return [device.index]
    if hardware.devices != "auto" and not hardware.devices.isdecimal():
        raise ConfigError(f"devices is {hardware.devices!r}, expected auto or a number", "for example --devices 2")
    return hardware.devices if hardware.devices == "auto" else int(hardware.devices)


def silence_lightning() -> None:
    """Hide advice that does not apply: our loader is one memory map, our order resumes by step, not by epoch."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", ".*LeafSpec.*")
    for text in (
        ".*does not have many workers.*",
        ".*not resumable.*",
        ".*exists and is not empty.*",
        ".*tensorboard.*",
    ):
        warnings.filterwarnings("ignore", text)
