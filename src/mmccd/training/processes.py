"""Which of several processes this is: what a launcher says of those that it started, and what is only left over."""

import os
from functools import cache

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.utilities import rank_zero_only

_COUNTS = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "JSM_NAMESPACE_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
"""How many train together, as torchrun, Lightning, srun, jsrun and mpirun say to each of them.

SLURM's own ``SLURM_NTASKS`` is what a job asked for: without srun one process runs, whatever it says.
"""
_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


@cache
def started_alone() -> bool:
    """Whether no launcher started this process as one of several.

    Looked up once, because Lightning writes such variables itself when it starts further processes. If it is alone, the
    rank that a launcher, a task farm or a shell left over is taken out of the environment of this process: a process
    that believes to be the second one saves nothing.
    """
    if any(os.environ.get(name, "").isdecimal() and int(os.environ[name]) > 1 for name in _COUNTS):
        return False
    for name in _RANKS:
        os.environ.pop(name, None)
    rank_zero_only.rank = 0  # type: ignore[attr-defined]  # read from these when Lightning was imported
    return True


def is_first() -> bool:
    """Whether this is the only process of a training, or the one of several that writes and speaks for all.

    To be asked before a training, after which Lightning has forgotten how many processes there were.
    """
    return started_alone() or getattr(rank_zero_only, "rank", 0) == 0


def environment() -> list[LightningEnvironment]:
    """What Lightning shall believe of its surroundings; nothing where a launcher tells it.

    Inside a job of SLURM it would expect as many processes as ``SLURM_NTASKS`` says, although srun started none.
    """
    by_srun = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1
    return [LightningEnvironment()] if "SLURM_NTASKS" in os.environ and not by_srun and not _by_torchrun() else []


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ
