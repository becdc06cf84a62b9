"""A real SLURM of one node on the loopback interface, for as long as a test session needs it.

The daemons run as root from Debian's ``slurm-wlm`` and ``munge``. Its configuration has to be at
``/etc/slurm/slurm.conf``: a job step of Snakemake's plugin drops ``SLURM_CONF`` from the
environment. One that is there already is another's, and is left alone.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = Path("/etc/slurm")
MARK = "# Made by the workflow's tests, which remove it.\n"
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "munge", "munged", "mungekey")


@dataclass(frozen=True)
class Cluster:
    """The running cluster; ``folder`` holds its state and logs."""

    folder: Path

    def jobs(self) -> list[dict[str, str]]:
        """Every job that waits, runs, or has ended, oldest first."""
        fields = {
            "id": "jobid",
            "state": "state",
            "partition": "partition",
            "memory": "minmemory",
            "time": "timelimit",
            "gpus": "tres-per-job",
            "comment": "comment",
        }
        form = ",".join(f"{field}:|" for field in fields.values())
        lines = command("squeue", "--noheader", "--states=all", f"--Format={form}").splitlines()
        jobs = [dict(zip(fields, line.split("|"), strict=False)) for line in lines]
        return sorted(jobs, key=lambda job: int(job["id"]))


def missing() -> str | None:
    """Why no cluster can be started here, if so."""
    if os.geteuid():
        return "needs root, to start slurmctld and slurmd"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"needs {', '.join(absent)}: apt-get install slurm-wlm munge"
    file = CONFIGURATION / "slurm.conf"
    if file.exists() and not file.read_text(encoding="utf-8").startswith(MARK):
        return f"{file} is of another cluster"
    return None


@contextmanager
def running(folder: Path, cpus: int = 2, memory_mb: int = 4000, gpus: int = 2) -> Iterator[Cluster]:
    """Start munged (unless it runs), slurmctld and slurmd in ``folder``; stop them at the end.

    The partitions are ``cpu``, the default, and ``gpu``; the GPUs, of the type ``toy``, are empty
    devices. A job over its memory is killed within seconds, and there is no accounting.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    CONFIGURATION.mkdir(exist_ok=True)
    (CONFIGURATION / "slurm.conf").write_text(
        _configuration(folder, cpus, memory_mb, gpus), encoding="utf-8"
    )
    for gpu in range(gpus):
        (folder / f"gpu{gpu}").touch()
    devices = f"{folder}/gpu[0-{gpus - 1}]"
    (CONFIGURATION / "gres.conf").write_text(
        f"{MARK}Name=gpu Type=toy Count={gpus} File={devices}\n", encoding="utf-8"
    )
    started = [] if _answers("munge", "-n") else [_start_munge(folder)]
    try:
        for daemon in ("slurmctld", "slurmd"):
            command(daemon)
            started.append(folder / f"{daemon}.pid")
        _wait_for(folder)
        yield Cluster(folder)
        _answers("scancel", "--user=root")
    finally:
        for pid_file in reversed(started):
            with suppress(OSError, ValueError):
                os.kill(int(pid_file.read_text()), signal.SIGTERM)
        for name in ("slurm.conf", "gres.conf"):
            (CONFIGURATION / name).unlink(missing_ok=True)


def command(*arguments: str) -> str:
    """Run a command and return what it prints; raise with what it says if it fails."""
    answer = subprocess.run(arguments, capture_output=True, encoding="utf-8", check=False)
    if answer.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {answer.stdout}{answer.stderr}")
    return answer.stdout


def _answers(*arguments: str) -> bool:
    return subprocess.run(arguments, capture_output=True, check=False).returncode == 0


def _start_munge(folder: Path) -> Path:
    """Start munged with a key of its own beside the usual socket; return its pid file."""
    place = Path("/run/munge")
    place.mkdir(mode=0o755, exist_ok=True)
    key = folder / "munge.key"
    command("mungekey", "--create", f"--keyfile={key}")
    pid_file = folder / "munged.pid"
    files = [f"--key-file={key}", f"--pid-file={pid_file}"]
    files += [f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"]
    # It warns of folders that others may write to, which temporary ones are.
    command("munged", "--force", *files)
    return pid_file


def _configuration(folder: Path, cpus: int, memory_mb: int, gpus: int) -> str:
    host = socket.gethostname().partition(".")[0]
    controller, node = _free_port(), _free_port()
    return f"""{MARK}
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
AccountingStoreFlags=job_comment
MpiDefault=none
ReturnToService=2
MinJobAge=3600
KillWait=2
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Gres=gpu:toy:{gpus}
PartitionName=cpu Nodes={host} Default=YES MaxTime=1-00:00:00 State=UP
PartitionName=gpu Nodes={host} MaxTime=1-00:00:00 State=UP
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(folder: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = subprocess.run(
            ["sinfo", "--noheader", "--Node", "--format=%T"],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if set(answer.stdout.split()) == {"idle"}:
            return
        time.sleep(0.3)
    logs = "".join(
        (folder / f"{daemon}.log").read_text(encoding="utf-8", errors="replace")[-2000:]
        for daemon in ("slurmctld", "slurmd")
    )
    raise RuntimeError(f"no node became idle in {seconds:g} s: {answer.stderr}\n{logs}")
