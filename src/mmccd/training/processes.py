"""Which of several processes this is: what a launcher says of those that it started, and what is only left over."""

import os
from contextlib import suppress
from functools import cache
from types import MappingProxyType

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.utilities import rank_zero_only

from mmccd.errors import ConfigError

_COUNTS = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "JSM_NAMESPACE_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
"""How many train together, as torchrun, Lightning, srun, jsrun and mpirun say to each of them.

SLURM's own ``SLURM_NTASKS`` is what a job asked for: without srun one process runs, whatever it says.
"""
_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
_PLACE = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
"""Of nodes on each of which the command is given by hand."""
WAYS = "docs/how-to/several-devices.md has the ways that were tested"


@cache
def _found() -> MappingProxyType[str, str]:
    """The environment before Lightning writes to it, as it does when it starts further processes."""
    return MappingProxyType(dict(os.environ))


@cache
def started_alone() -> bool:
    """Whether no launcher started this process as one of several.

    If it is alone, the rank that a launcher, a task farm or a shell left over is taken out of the environment of this
    process: a process that believes to be the second one saves nothing.
    """
    if any((_number(name) or 0) > 1 for name in _COUNTS):
        return False
    for name in _RANKS:
        os.environ.pop(name, None)
    rank_zero_only.rank = 0  # type: ignore[attr-defined]  # read from these when Lightning was imported
    return True


def is_first() -> bool:
    """Whether this is the only process of a training, or the one of several that writes and speaks for all.

    To be asked before a training, after which Lightning has forgotten how many processes there were.
    """
    of_node = started_alone() or getattr(rank_zero_only, "rank", 0) == 0
    return of_node and (_by_torchrun() or _by_srun() or not _node())


def check_launch(num_nodes: int, devices: str) -> int | None:
    """Refuse what would wait for ever for processes that nobody starts, or train twice in one folder.

    Args:
        num_nodes: As the user says.
        devices: As the user says: ``auto``, or how many on each node.

    Returns:
        How many processes a launcher has started on each node; None where Lightning starts them.

    Raises:
        ConfigError: what the launcher says does not fit what the user says, or is not supported.
    """
    started_alone()
    if _by_torchrun():
        here = _number("LOCAL_WORLD_SIZE") or 1
        return _checked("torchrun", num_nodes, devices, (_number("WORLD_SIZE") or here) // here, here)
    if _by_srun():
        nodes, tasks = _number("SLURM_STEP_NUM_NODES", "SLURM_NNODES") or 1, _number("SLURM_STEP_NUM_TASKS") or 1
        if tasks % nodes:
            raise ConfigError(
                f"srun started {tasks} tasks on {nodes} nodes, expected as many on each", "give it --ntasks-per-node"
            )
        return _checked("srun", num_nodes, devices, nodes, tasks // nodes)
    for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"):
        if (_number(name) or 0) > 1:
            raise ConfigError(f"mpirun started {_number(name)} processes ({name}), which is not supported", WAYS)
    _check_by_hand(num_nodes, devices)
    return None


def environment() -> list[LightningEnvironment | SLURMEnvironment]:
    """What Lightning shall believe of its surroundings; nothing where it knows.

    Inside a job of SLURM it would expect as many processes as ``SLURM_NTASKS`` says, although srun started none; and in
    an interactive one it would take each process that srun started for the only one.
    """
    if "SLURM_NTASKS" not in os.environ or _by_torchrun():
        return []
    return [SLURMEnvironment(auto_requeue=False)] if _by_srun() else [LightningEnvironment()]


def _checked(launcher: str, num_nodes: int, devices: str, nodes: int, each: int) -> int:
    if num_nodes != nodes or devices not in ("auto", f"{each}"):
        raise ConfigError(
            f"{launcher} started {each} on each of {nodes} nodes; expected {devices} on each of {num_nodes}, "
            "by --devices and --num-nodes",
            f"give --num-nodes {nodes} --devices {each}, or have {launcher} start others",
        )
    return each


def _check_by_hand(num_nodes: int, devices: str) -> None:
    node, count, rank = _node(), _number("WORLD_SIZE") or 1, _found().get("RANK")
    by_hand = (
        "give each node --num-nodes N, MASTER_ADDR and MASTER_PORT of the first one, and NODE_RANK from 0 to N - 1"
    )
    if num_nodes == 1:
        if node:
            raise ConfigError(f"NODE_RANK is {node}, expected 0 with --num-nodes 1", f"{by_hand}; or unset NODE_RANK")
        if count > 1 and rank is not None and "LOCAL_RANK" not in _found():
            raise ConfigError(f"RANK is {rank} of {count} (WORLD_SIZE), and --num-nodes is 1", f"{by_hand}; {WAYS}")
        return
    if missing := [name for name in _PLACE if not _found().get(name)]:
        raise ConfigError(f"--num-nodes is {num_nodes}, and {', '.join(missing)} not set", f"{by_hand}; {WAYS}")
    for name, end in (("NODE_RANK", num_nodes), ("MASTER_PORT", 65536)):
        if not (_found()[name].isdecimal() and int(_found()[name]) < end):
            raise ConfigError(f"{name} is {_found()[name]!r}, expected a number from 0 to {end - 1}", by_hand)
    if devices.isdecimal() and "WORLD_SIZE" in _found() and count != num_nodes * int(devices):
        raise ConfigError(
            f"WORLD_SIZE is {count}, expected {num_nodes} nodes of {devices} each", "unset it, or change the others"
        )


def _node() -> int:
    return _number("NODE_RANK", "GROUP_RANK") or 0


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in _found()


def _by_srun() -> bool:
    return (_number("SLURM_STEP_NUM_TASKS") or 1) > 1


def _number(*names: str) -> int | None:
    """The first of these that is set."""
    for name in names:
        with suppress(KeyError, ValueError):
            return int(_found()[name])
    return None
