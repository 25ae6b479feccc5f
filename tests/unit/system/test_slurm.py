import re

import pytest

from mmccd.errors import ConfigError
from mmccd.system.slurm import SlurmJobs, read_jobs, slurm_cluster

FULL = """\
jobs: 10
cores: 4
memory: 16GB
walltime: "02:30:00"
queue: cpu
account: brains
directives: [--requeue]
prologue: [module load python]
"""


@pytest.mark.filterwarnings("ignore:Couldn't detect a suitable IP address:RuntimeWarning")
def test_the_script_that_is_sent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.yaml").write_text(FULL + f"shared: {tmp_path / 'shared'}\nlogs: logs\n")
    (tmp_path / "shared").mkdir()

    with slurm_cluster(read_jobs(tmp_path / "jobs.yaml")) as cluster:
        script = cluster.job_script()
        kept = [path.name for path in (tmp_path / "shared").iterdir()]

    lines = script.splitlines()
    for directive in ("-J mmccd", "-p cpu", "-A brains", "-n 1", "--cpus-per-task=4", "-t 02:30:00", "--requeue",
                      "-e logs/mmccd-%J.err"):  # fmt: skip
        assert f"#SBATCH {directive}" in lines
    assert any(re.fullmatch(r"#SBATCH --mem=1[56]G", line) for line in lines)  # of 10**9 or of 2**30 bytes
    assert lines.index("export OMP_NUM_THREADS=1") < lines.index("module load python") < len(lines) - 1
    worker = script.strip().splitlines()[-1]
    assert "--nworkers 4" in worker
    assert "--nthreads 1" in worker
    assert "tls://" in worker  # whoever reaches a scheduler without certificates may have it run anything
    certificates = re.findall(r"--tls-(?:ca-file|cert|key) (\S+)", worker)
    assert sorted(kept) == sorted(path.rpartition("/")[2] for path in certificates)
    assert len(kept) == 3


def test_a_file_may_say_little(tmp_path):
    (tmp_path / "jobs.yaml").write_text("{jobs: 1, cores: 2, memory: 4GB}")
    assert read_jobs(tmp_path / "jobs.yaml") == SlurmJobs(jobs=1, cores=2, memory="4GB")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("jobs: [", "cannot read"),
        ("- 1", "holds a list"),
        ("", "holds a NoneType"),
        ("{jobs: 0, cores: 2, memory: 4GB}", "jobs: Input should be greater than or equal to 1"),
        ("{jobs: 1, memory: 4GB}", "cores: Field required"),
        ("{jobs: 1, cores: 2, memory: 4GB, partition: cpu}", "partition: Extra inputs are not permitted"),
        ("{jobs: 1, cores: 2, memory: 4}", "memory: Input should be a valid string"),
    ],
)
def test_a_file_that_is_not_one_is_refused_by_name(tmp_path, text, what):
    (tmp_path / "jobs.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"jobs\.yaml.*{re.escape(what)}|{what} .*jobs\.yaml") as caught:
        read_jobs(tmp_path / "jobs.yaml")
    assert "{jobs: 10, cores: 4, memory: 16GB}" in caught.value.hint


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*no\.yaml: No such file"):
        read_jobs(tmp_path / "no.yaml")
