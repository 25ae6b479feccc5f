"""Checkpoints of a training: whole or absent, of one training only, and written when the process is asked to stop."""

import signal
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.plugins.io import TorchCheckpointIO

from mmccd.data.store import Store
from mmccd.errors import ConfigError, MmccdWarning, ModelError
from mmccd.model.config import Config, parse_config
from mmccd.system.files import write_atomically
from mmccd.system.signals import listen

CHECKPOINT = "last.ckpt"


class WholeCheckpoints(TorchCheckpointIO):
    """Replaces the checkpoint before in one step.

    Lightning writes to the system's folder for temporary files and moves that; from another disk it is copied, so
    that a kill or a full disk would leave half a checkpoint and no former one.

    Args:
        check: Raises ``ClaimLost`` where the folder is no longer this training's.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self.check = check

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write ``checkpoint`` beside ``path``, then let it take that name.

        Raises:
            ClaimLost: another process trains there now.
        """
        self.check()
        stream = BytesIO()
        torch.save(checkpoint, stream)
        write_atomically(Path(path), stream.getbuffer())


class Fingerprint(Callback):
    """Puts settings and data into each checkpoint, so that a resumed run cannot silently change them.

    Takes out where it lies, which is a path of this machine, and a warning once the folder has moved.
    """

    def __init__(self, config: Config, store: Store) -> None:
        self.values = _fingerprint(config, store)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the ones, take out the others."""
        checkpoint["mmccd"] = self.values
        for state in checkpoint["callbacks"].values():
            if "best_model_path" in state:
                for name in ("dirpath", "best_k_models", "kth_best_model_path", "last_model_path"):
                    state.pop(name, None)
                state["best_model_path"] = ""


class StopWhenAsked(Callback):
    """Asked to stop by a signal, finishes the step, writes a checkpoint, and hands the signal to who would have had it.

    Where a validation is due after the step, that comes first, and the checkpoint after it as always. Asked twice, it
    leaves at once: the checkpoint before stands. Takes the place of Lightning's answer to SIGTERM, which would break
    off a validation while the averaged weights are in the place of the others.

    Args:
        checkpoint: Where to write it.
        validate_every: Steps between validations.
    """

    def __init__(self, checkpoint: Path, validate_every: int) -> None:
        self.checkpoint, self.validate_every = checkpoint, validate_every
        self.former: dict[signal.Signals, Any] = {}
        self.asked: int | None = None
        self.leaving = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen; Lightning puts the former handlers back."""
        self.former = listen(self._note)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the checkpoint of this step, if this is the last one for now."""
        asked = self.asked is not None
        if trainer.world_size > 1:  # all processes save together, whichever was asked
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        if asked:
            self.leaving = True
            if trainer.global_step % self.validate_every:
                trainer.save_checkpoint(self.checkpoint)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Leave where the step before was the last one."""
        self._leave_if_saved(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Asked at the very end, leave before the thresholds are chosen."""
        self._leave_if_saved(trainer)

    def _leave_if_saved(self, trainer: pl.Trainer) -> None:
        if not self.leaving:
            return
        if trainer.is_global_zero:
            done = f"the state after step {trainer.global_step:,} is saved"
            warnings.warn(f"asked to stop: {done}, --resume goes on from it", MmccdWarning, stacklevel=2)
        self._leave(self.asked or signal.SIGTERM)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.asked is not None:
            self._leave(number)
        self.asked = number

    def _leave(self, number: int) -> None:
        for listened, former in self.former.items():
            signal.signal(listened, former)
        signal.raise_signal(number)


def early_stopping(patience: int) -> EarlyStopping:
    """Stops where the healthy error has not fallen for so many validations; one that is not a number has not either."""
    return EarlyStopping(
        "validation/cycle", patience=patience, mode="min", check_finite=False, check_on_train_epoch_end=False
    )


def state_of(checkpoint: Path, config: Config, store: Store) -> tuple[Config, int, bool]:
    """The settings to go on with, the steps that are done, and whether they were the last ones.

    The settings are those given, but for the batch: where the checkpoint has a smaller one, because memory was short,
    that one stays, with a warning.

    Raises:
        ConfigError: it is the checkpoint of another training.
        ModelError: it is damaged.
    """
    content = read_checkpoint(checkpoint)
    saved, given = _comparable(content["mmccd"]), config.training.batch_size
    batch = min(given, saved["training"]["batch_size"])
    config = config.model_copy(update={"training": config.training.model_copy(update={"batch_size": batch})})
    current = _comparable(_fingerprint(config, store))
    changed = [key for key in current if saved.get(key) != current[key]]
    if changed:
        raise ConfigError(
            f"the checkpoint was trained with another {', '.join(changed)}",
            "resume with the same store and settings, or train into another folder",
        )
    if batch < given:
        message = f"going on with training.batch_size={batch} instead of {given}, as the checkpoint was trained"
        warnings.warn(message, MmccdWarning, stacklevel=2)
    step, patience = int(content["global_step"]), config.training.patience
    waited = content["callbacks"][early_stopping(patience).state_key]["wait_count"] if patience else 0
    return config, step, step >= config.training.steps or 0 < patience <= waited


def read_checkpoint(checkpoint: Path) -> dict[str, Any]:
    """All that it holds.

    Raises:
        ModelError: it is damaged.
    """
    hint = "delete the folder `training` and train again"
    try:
        content: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # of bytes that are no checkpoint torch says almost anything; it never executes them
        raise ModelError(f"the checkpoint {checkpoint.name} is damaged: {error}", hint) from error
    kinds = {"global_step": int, "callbacks": dict, "state_dict": dict, "mmccd": dict}
    if not isinstance(content, dict) or not all(isinstance(content.get(key), kind) for key, kind in kinds.items()):
        raise ModelError(f"the checkpoint {checkpoint.name} is damaged: it is none of `mmccd train`", hint)
    return content


def _fingerprint(config: Config, store: Store) -> dict[str, Any]:
    return {**config.model_dump(mode="json"), "store": store.digest}


def _comparable(fingerprint: dict[str, Any]) -> dict[str, Any]:
    """With the defaults of settings that were not there yet, and without what decides no weight.

    The score and its thresholds are made after the training, from the settings at hand. The number of workers may be
    lowered where one died.
    """
    settings = {key: value for key, value in fingerprint.items() if key != "store"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MmccdWarning)  # nobody wrote these: an earlier version did
        config = parse_config(settings)
    whole = config.model_dump(mode="json", exclude={"scoring": True, "training": {"loader_workers"}})
    return whole | {"store": fingerprint.get("store")}
