"""A training of several processes: who has the folder, how they wait for each other, and how all of them end."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import lightning.pytorch as pl
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback

from mmccd.errors import ConfigError, DataError
from mmccd.system.claims import Claim
from mmccd.system.complaints import warn
from mmccd.system.locks import sole_use
from mmccd.system.signals import Patience, leaving_though_blocked
from mmccd.training.processes import is_first

SAID_AFTER_S = 5.0
WAITING_S = 2.0
AT_WORK_S = 15.0
"""A step may keep Python from hearing a signal."""
FOR_EVER = timedelta(days=30)


class TrainingFolder:
    """The claim of a training to its folder, which the first of its processes makes.

    Args:
        output: The folder.
        apart: Whether the processes are started by others than the first. Then that claims the folder once all are
            there: where it is refused, the others see it go, and wait no longer.
    """

    def __init__(self, output: Path, *, apart: bool) -> None:
        self.output, self.apart = output, apart
        self._claim: Claim | None = None
        self._held = ExitStack()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """To be entered before anything is read of it.

        Raises:
            ConfigError: another process works there.
        """
        with self._held:
            if is_first() and not self.apart:
                self._claim = self._held.enter_context(sole_use(self.output))
            yield

    def all_are_there(self, check_again: Callable[[], None]) -> None:
        """Of the first process: claim it now, if that was to wait, and check what may have changed before.

        Raises:
            ConfigError: another process works there.
        """
        if self._claim is None:
            self._claim = self._held.enter_context(sole_use(self.output))
            check_again()

    def check(self) -> None:
        """To be asked before something is put in place.

        Raises:
            ClaimLost: it is no longer this training's.
        """
        if self._claim is not None:
            self._claim.check()

    def give_back(self) -> None:
        """Let others have it: this process is about to end without a word more."""
        if self._claim is not None:
            self._claim.release()


class Together(Callback):
    """Where there are several processes, each hears signals while it waits for others, and names their end as such.

    Args:
        folder: Of the training.
        check_again: Asked once the folder is claimed, where that is late.
    """

    def __init__(self, folder: TrainingFolder, check_again: Callable[[], None]) -> None:
        self.folder, self.check_again, self.patience = folder, check_again, Patience(WAITING_S)
        self._met = threading.Event()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """All are there."""
        self._met.set()
        if trainer.is_global_zero:
            self.folder.all_are_there(self.check_again)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Be patient with a step."""
        self.patience.seconds = AT_WORK_S

    @contextmanager
    def at_work(self, trainer: pl.Trainer, batch_size: int) -> Iterator[None]:
        """To be entered before the processes meet, which share batches of so many slices.

        Raises:
            ConfigError: a batch has fewer slices than there are processes.
            DataError: another one did not come, or ended before its time.
        """
        if trainer.world_size == 1:
            yield
            return
        if batch_size < trainer.world_size:
            raise ConfigError(
                f"training.batch_size is {batch_size}, and {trainer.world_size} processes share each batch",
                f"--set training.batch_size={trainer.world_size} or more, or start fewer",
            )
        threading.Thread(target=self._say_if_alone, args=(trainer.world_size - 1,), daemon=True).start()
        with leaving_though_blocked(self.patience, self.folder.give_back):
            try:
                yield
            except RuntimeError as error:  # of gloo and of NCCL
                if not isinstance(error, dist.DistError) and "gloo" not in str(error):
                    raise
                raise DataError(
                    f"another of the {trainer.world_size} processes of this training ended, or did not come, "
                    f"at step {trainer.global_step:,}",
                    "look at what it said; then start all of them again, with --resume",
                ) from error

    @contextmanager
    def first_alone(self, trainer: pl.Trainer) -> Iterator[bool]:
        """Let the first process do what follows, however long it takes; the others wait. Whether this is the first."""
        if trainer.world_size == 1:
            yield True
            return
        # Lightning's own barrier gives up after 30 minutes, and a calibration may take hours.
        group = dist.new_group(backend="gloo", timeout=FOR_EVER)
        self.patience.seconds = AT_WORK_S if trainer.is_global_zero else WAITING_S
        yield trainer.is_global_zero
        dist.barrier(group=group)

    def _say_if_alone(self, others: int) -> None:
        if not self._met.wait(SAID_AFTER_S):
            place = ":".join(os.environ.get(name, "?") for name in ("MASTER_ADDR", "MASTER_PORT"))
            warn(f"waits for {others} more of the processes of this training, which meet at {place}")
