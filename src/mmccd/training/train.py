"""`mmccd train`: all networks of a model in one resumable run, then the label-free threshold, then the model file."""

import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray

from mmccd.data.healthy import HealthyTissue
from mmccd.data.own_folders import MANIFEST, check_vacant
from mmccd.data.store import Store
from mmccd.errors import ConfigError, DataError
from mmccd.model.build import check_fits
from mmccd.model.card import FORMAT, Card, Data, PartOfData, Training, on_card
from mmccd.model.config import Config
from mmccd.model.folder import load_model, save_model
from mmccd.model.model import Model
from mmccd.scoring.maps import SCORE_DEFINITION
from mmccd.system.devices import choose_device
from mmccd.system.progress import ProgressCallback, no_progress
from mmccd.system.provenance import provenance
from mmccd.training.calibrate import KEPT, deciding
from mmccd.training.calibration import Calibrated, calibration_of, healthy_tissue
from mmccd.training.checkpoints import (
    CHECKPOINT,
    Fingerprint,
    StopWhenAsked,
    early_stopping,
    read_checkpoint,
    state_of,
)
from mmccd.training.fitting import (
    WHATEVER_IS_THERE,
    Hardware,
    fit,
    fitting_of,
    silence_lightning,
    with_half_the_batch,
)
from mmccd.training.kept import KeptArrays
from mmccd.training.processes import check_launch
from mmccd.training.task import TranslationTask
from mmccd.training.together import Together, TrainingFolder


def train(
    store: Store,
    output: Path,
    config: Config,
    *,
    resume: bool = False,
    hardware: Hardware = WHATEVER_IS_THERE,
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
    check_again = partial(check_training, tissue, output, config, healthy, resume)
    check_again()
    device = choose_device(hardware.device)
    logs = output / "training"
    checkpoint = logs / CHECKPOINT if resume and (logs / CHECKPOINT).is_file() else None
    config, first_step, finished = state_of(checkpoint, config, store) if checkpoint else (config, 0, False)

    training, together = config.training, Together(folder, check_again)
    every = min(training.validate_every, training.steps)
    stopping = [early_stopping(training.patience)] if training.patience else []
    fitting = fitting_of(
        tissue, config, logs, hardware, device, steps=range(first_step, training.steps), validate_every=every,
        first=[together, Fingerprint(config, store)], last=[*stopping, StopWhenAsked(logs / CHECKPOINT, every)],
        check=folder.check, progress=progress,
    )  # fmt: skip
    task, trainer, fitted = fitting.task, fitting.trainer, True
    with together.at_work(trainer, training.batch_size):
        with warnings.catch_warnings():
            silence_lightning()
            if checkpoint and finished:  # killed between the last step and the model file
                task.load_state_dict(read_checkpoint(checkpoint)["state_dict"])  # the averaged weights
                trainer.validate(task, fitting.validation, verbose=False)
            else:
                fitted = fit(fitting, checkpoint, logs)
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
    del trainer, task, fitting, together  # each of them leads to what is on the device
    return _train(store, folder, with_half_the_batch(config, device), resume, hardware, progress)


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


def check_training(
    tissue: HealthyTissue, output: Path, config: Config, healthy: dict[str, NDArray[np.int64]], resume: bool
) -> None:
    """Refuse a training before it begins.

    Args:
        tissue: What is healthy of the store.
        output: Folder of the model.
        config: Modalities, method, network.
        healthy: Rows by part.
        resume: Whether an unfinished training there is gone on with.

    Raises:
        ConfigError: the modalities, the slice size or the output folder do not fit.
        DataError: a part has no healthy slice.
    """
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
