"""`mmccd train`: all networks of a model in one resumable run, then the label-free threshold, then the model file."""

import gc
import logging
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from mmccd.data.healthy import HealthyTissue
from mmccd.data.own_folders import MANIFEST, check_vacant
from mmccd.data.store import Store
from mmccd.errors import ConfigError, DataError, MmccdWarning, WriteError
from mmccd.model.build import check_fits
from mmccd.model.card import FORMAT, Card, Data, PartOfData, Training, on_card
from mmccd.model.config import Config, TrainingConfig
from mmccd.model.folder import load_model, save_model
from mmccd.model.model import Model
from mmccd.scoring.maps import SCORE_DEFINITION
from mmccd.system.devices import choose_device, uses_bf16
from mmccd.system.progress import Doing, ProgressCallback, no_progress
from mmccd.system.provenance import provenance
from mmccd.training.batches import SlicePairs, StepSampler, batch_loader
from mmccd.training.calibrate import KEPT, deciding
from mmccd.training.calibration import Calibrated, calibration_of, healthy_tissue
from mmccd.training.checkpoints import (
    CHECKPOINT,
    Fingerprint,
    StopWhenAsked,
    WholeCheckpoints,
    early_stopping,
    read_checkpoint,
    state_of,
)
from mmccd.training.kept import KeptArrays
from mmccd.training.pictures import CurveCallback, PictureCallback
from mmccd.training.processes import check_launch, environment
from mmccd.training.task import TranslationTask, curve_rows
from mmccd.training.together import Together, TrainingFolder

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


def train(
    store: Store,
    output: Path,
    config: Config,
    *,
    resume: bool = False,
    hardware: Hardware = Hardware(),
    progress: ProgressCallback = no_progress,
) -> Model:
    """Train on the healthy slices of the training subjects and write the model to ``output``.

    Logs, checkpoints and pictures go to ``output/training``. The model is the running average of the weights.
    Where the device runs out of memory before the first checkpoint, training begins again with half the batch, with a
    warning; the model's card holds the batch that was used, and a resumed training keeps it.
    Asked to stop by a signal, it saves the step that it is at, and hands the signal to who handled it before.

    Args:
        store: Prepared slices.
        output: Folder of the model; refused when it is a store, or holds a model already, unless ``resume``.
        config: Method, modalities, network, training, scoring.
        resume: Go on from the last checkpoint in ``output``, if there is one.
        hardware: Device, number of devices and nodes, strategy.
        progress: Called with the losses, the step, and the number of steps.

    Raises:
        ConfigError: the modalities, the slice size or the output folder do not fit, or the device runs out of memory
            where half the batch is no way out: later, on several devices, or with one slice; or another process trains
            there; or the training diverged, so that weights or healthy errors are no numbers.
        DataError: the store has no healthy training or validation slice, a data worker died, or the disk is full.
    """
    started = check_launch(hardware.num_nodes, hardware.devices)
    if started is not None and hardware.devices == "auto" and choose_device(hardware.device).type == "cpu":
        hardware = replace(hardware, devices=f"{started}")
    folder = TrainingFolder(output, apart=started is not None or hardware.num_nodes > 1)
    with folder.claimed():
        return _train(store, folder, config, resume, hardware, progress)


def _train(
    store: Store, folder: TrainingFolder, config: Config, resume: bool, hardware: Hardware, progress: ProgressCallback
) -> Model:
    output = folder.output
    tissue = healthy_tissue(store, config)
    healthy = {part: tissue.rows(part) for part in ("train", "validation")}
    check_again = partial(_check, tissue, output, config, healthy, resume)
    check_again()
    device = choose_device(hardware.device)
    logs = output / "training"
    checkpoint = logs / CHECKPOINT if resume and (logs / CHECKPOINT).is_file() else None
    config, first_step, finished = state_of(checkpoint, config, store) if checkpoint else (config, 0, False)

    torch.manual_seed(config.seed)
    task = TranslationTask(config, store.size_px).to(memory_format=torch.channels_last)
    together = Together(folder, check_again)
    reports = [_Report(progress, config.training), PictureCallback(store, logs), CurveCallback(logs)]
    callbacks = [together, Fingerprint(config, store), *reports]
    trainer = _trainer(logs, config, hardware, device, first_step, callbacks, folder.check)
    pairs = SlicePairs(tissue, config.source, config.targets or (config.source,))
    sampler = StepSampler(
        healthy["train"],
        batch_size=config.training.batch_size,
        steps=config.training.steps,
        seed=config.seed,
        first_step=first_step,
        rank=trainer.global_rank,
        world_size=trainer.world_size,
    )
    validation_batch = min(VALIDATION_BATCH, config.training.batch_size)
    rows = curve_rows(healthy["validation"], task.method, config.training)
    order = np.array_split(rows, -(-len(rows) // validation_batch))
    workers, pinned = config.training.loader_workers, device.type == "cuda"
    validation = batch_loader(pairs, order, 0, pin_memory=pinned)
    fitted = True
    with together.at_work(trainer, config.training.batch_size):
        with warnings.catch_warnings():
            _silence_lightning()
            if checkpoint and finished:  # killed between the last step and the model file
                task.load_state_dict(read_checkpoint(checkpoint)["state_dict"])  # the averaged weights
                trainer.validate(task, validation, verbose=False)
            else:
                training = batch_loader(pairs, sampler, workers, pin_memory=pinned)
                fitted = _fit(trainer, task, training, validation, checkpoint, logs)
        if fitted:
            steps = first_step if finished else trainer.global_step
            _check_finite(task, trainer, steps)
            with together.first_alone(trainer) as first:
                if first:
                    kept = KeptArrays(logs / KEPT, deciding(task.method, config, store))
                    found = calibration_of(task.method, store, config, device, kept=kept, progress=progress)
                    card = _card(tissue, config, healthy, trainer, device, steps, found)
                    folder.check()
                    save_model(output, task.method, found.error, config, card)
                    kept.clear()
            return load_model(output)
    del trainer, task, callbacks, reports, together  # each of them leads to what is on the device
    return _train(store, folder, _with_half_the_batch(config, device), resume, hardware, progress)


def _fit(
    trainer: pl.Trainer, task: TranslationTask, training: Batches, validation: Batches, start: Path | None, logs: Path
) -> bool:
    """False where memory ran out and nothing is lost by training again: the logs of this attempt are then removed."""
    try:
        trainer.fit(task, training, validation, ckpt_path=start, weights_only=True)
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


def _check_finite(task: TranslationTask, trainer: pl.Trainer, steps: int) -> None:
    """Of a network that returns no number, evidence and thresholds would still be numbers, which mean nothing."""
    broken = [] if all(bool(weight.isfinite().all()) for weight in task.method.parameters()) else ["weights"]
    broken += [
        name for name, value in trainer.callback_metrics.items()
        if name.startswith("validation/") and not bool(value.isfinite())
    ]  # fmt: skip
    if broken:
        raise ConfigError(
            f"the training diverged: after step {steps:,} these are not finite: {', '.join(broken)}",
            "train into another folder with a lower training.learning_rate; if that does not help, look at the scans",
        )


def _with_half_the_batch(config: Config, device: torch.device) -> Config:
    half = config.training.batch_size // 2
    message = f"{device} is out of memory: training again with training.batch_size={half}, which --resume keeps"
    warnings.warn(message, MmccdWarning, stacklevel=3)
    gc.collect()  # Lightning's objects refer to each other
    torch.cuda.empty_cache()  # does nothing without CUDA
    return config.model_copy(update={"training": config.training.model_copy(update={"batch_size": half})})


def _check(
    tissue: HealthyTissue, output: Path, config: Config, healthy: dict[str, NDArray[np.int64]], resume: bool
) -> None:
    store = tissue.store
    for name in (config.source, *config.targets):
        if name not in store.modalities:
            raise ConfigError(
                f"the store has no modality {name!r}, it has {', '.join(store.modalities)}",
                "choose among these, or prepare the store again with the one you need",
            )
    check_fits(config, store.size_px)
    for part, rows in healthy.items():
        if rows.size == 0:
            smaller = "choose a smaller training.lesion_margin_mm, or "
            raise DataError(
                tissue.none_in(part),
                f"{smaller if tissue.margin_mm else ''}prepare it with more subjects, or with --protocol volume",
            )
    if not resume or (output / MANIFEST).exists():
        check_vacant(output)
    if (output / "training" / CHECKPOINT).exists() and not resume:
        raise ConfigError(f"{output} holds an unfinished training", "add --resume to go on with it, or delete it")


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
    first_step: int,
    callbacks: list[Callback],
    check: Callable[[], None],
) -> pl.Trainer:
    training = config.training
    every = min(training.validate_every, training.steps)
    average = EMAWeightAveraging(decay=training.ema_decay)
    # Saved after each validation rather than before it, so that a resumed run has not forgotten what that one said.
    saving = ModelCheckpoint(
        dirpath=logs, filename="last", save_on_train_epoch_end=False, save_top_k=1, enable_version_counter=False
    )
    stopping = [early_stopping(training.patience)] if training.patience else []
    leaving = StopWhenAsked(logs / CHECKPOINT, every)
    loggers = [
        CSVLogger(logs, name="", version=f"log_from_step_{first_step:06d}"),
        TensorBoardLogger(logs, name="", version="tensorboard"),
    ]
    with warnings.catch_warnings():
        _silence_lightning()
        try:
            return pl.Trainer(
                accelerator=device.type if device.type != "cuda" else "gpu",
                devices=_devices(hardware, device),
                num_nodes=hardware.num_nodes,
                strategy=hardware.strategy,
                precision="bf16-mixed" if uses_bf16(training.precision, device) else "32-true",
                max_epochs=1,
                max_steps=training.steps,
                val_check_interval=every,
                num_sanity_val_steps=0,
                log_every_n_steps=_log_every(training),
                # Pictures before the average leaves the networks; a checkpoint on demand after it took the step.
                callbacks=[*callbacks, average, *stopping, leaving, saving],
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


def _silence_lightning() -> None:
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


def _card(
    tissue: HealthyTissue, config: Config, healthy: dict[str, NDArray[np.int64]], trainer: pl.Trainer,
    device: torch.device, steps: int, found: Calibrated,
) -> Card:  # fmt: skip
    """What is said of the model; settings and weights are put in when it is saved."""
    losses = {name: float(value) for name, value in trainer.callback_metrics.items() if "validation" in name}
    store = tissue.store
    parts = {
        part: PartOfData(
            subjects=int(store.index["subject"].iloc[rows].nunique()),
            healthy_slices=int(rows.size),
            seen_by_height=tissue.seen_by_height(part),
        )
        for part, rows in healthy.items()
    }
    return Card(
        format=FORMAT,
        grid=store.grid,
        **on_card(found.thresholds),
        score_definition=SCORE_DEFINITION,
        intensity_baseline=found.intensity,
        intensity=store.manifest.intensity,
        training_data=Data(
            store_digest=store.digest,
            split_digest=store.manifest.split_digest,
            scans_sha256=tuple(store.scans_sha256(("train", "validation"), config.source)),
            **parts,
        ),
        training=Training(steps=steps, **losses),
        provenance=provenance(seed=config.seed, device=str(device), precision=str(trainer.precision)),
    )
