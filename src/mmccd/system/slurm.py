"""Jobs of SLURM as processes of a cluster: which settings there are, and the script that is sent."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmccd.errors import ConfigError
from mmccd.system.extra import needed
from mmccd.system.workers import THREADS
from mmccd.system.yaml_text import read_yaml

_EXAMPLE = "for example: {jobs: 10, cores: 4, memory: 16GB}"


class SlurmJobs(BaseModel):
    """What a file of `slurm:FILE` says: jobs that work until all is done, each with a process for each of its cores.

    Attributes:
        jobs: How many to send.
        cores: Of each.
        memory: Of each, as in 16GB.
        walltime: Of each, as in 04:00:00; what is in work when it ends is done again by another job.
        queue: Partition.
        account: Whom it is charged to.
        interface: Network interface by which jobs and this machine reach each other, as in ib0.
        directives: Further options of sbatch, as in --requeue.
        prologue: Lines of shell before a job begins, as in module load.
        logs: Folder for what jobs print.
        shared: Folder that jobs can read; certificates lie there while they work. None is the current one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    jobs: int = Field(ge=1)
    cores: int = Field(ge=1)
    memory: str
    walltime: str = "04:00:00"
    queue: str | None = None
    account: str | None = None
    interface: str | None = None
    directives: list[str] = []
    prologue: list[str] = []
    logs: Path | None = None
    shared: Path | None = None


def read_jobs(path: Path) -> SlurmJobs:
    """Read a YAML file.

    Raises:
        ConfigError: there is none, or it says something else.
    """
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read {path}: {reason}", f"give a file of YAML, {_EXAMPLE}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}, expected settings by name", _EXAMPLE)
    try:
        return SlurmJobs.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{path}: {key}: {first['msg']}", f"settings are {', '.join(SlurmJobs.model_fields)}; {_EXAMPLE}"
        ) from error


def slurm_cluster(jobs: SlurmJobs) -> Any:
    """A cluster of dask-jobqueue, of which no job is sent yet.

    Raises:
        ConfigError: dask-jobqueue is not installed.
    """
    jobqueue = needed("dask_jobqueue", "--cluster slurm:FILE", extra="cluster")
    security: Any = needed("distributed", "--cluster slurm:FILE", extra="cluster").Security

    # Encrypted and with certificates: whoever reaches a scheduler may have it run anything.
    return jobqueue.SLURMCluster(
        cores=jobs.cores,
        processes=jobs.cores,
        memory=jobs.memory,
        walltime=jobs.walltime,
        queue=jobs.queue,
        account=jobs.account,
        interface=jobs.interface,
        job_extra_directives=jobs.directives,
        job_script_prologue=[f"export {THREADS}=1", *jobs.prologue],
        job_name="mmccd",
        log_directory=str(jobs.logs) if jobs.logs else None,
        protocol="tls://",
        security=security.temporary(),
        shared_temp_directory=str((jobs.shared or Path()).absolute()),
        scheduler_options={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
    )
