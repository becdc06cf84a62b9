"""A real SLURM with one node on the loopback interface, during a test session.

The daemons of Debian's ``slurm-wlm`` and ``munge`` run as root. With accounting, ``slurmdbd`` and
``mariadb-server`` also run. The configuration must be in ``/etc/slurm/slurm.conf``, because a job
step of Snakemake's plugin drops ``SLURM_CONF`` from the environment. An existing file belongs to
another cluster and is not changed.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = Path("/etc/slurm")
MARK = "# Made by the workflow's tests, which remove it.\n"
NAME = "semantic-tokens-test"  # of the cluster
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "munge", "munged", "mungekey")
ACCOUNTING_PROGRAMS = ("slurmdbd", "sacctmgr", "mariadbd", "mariadb-install-db", "mariadb")


@dataclass(frozen=True)
class Cluster:
    """The running cluster. ``folder`` contains its state and logs."""

    folder: Path

    def jobs(self) -> list[dict[str, str]]:
        """All waiting, running and ended jobs, oldest first."""
        fields = {
            "id": "jobid",
            "state": "state",
            "partition": "partition",
            "memory": "minmemory",
            "time": "timelimit",
            "gpus": "tres-per-job",
            "gres": "tres-per-node",
            "cpus": "numcpus",
            "most nodes": "maxnodes",
            "reason": "reason",
            "comment": "comment",
        }
        form = ",".join(f"{field}:|" for field in fields.values())
        lines = command("squeue", "--noheader", "--states=all", f"--Format={form}").splitlines()
        jobs = [dict(zip(fields, line.split("|"), strict=False)) for line in lines]
        return sorted(jobs, key=lambda job: int(job["id"]))


def missing(accounting: bool = False) -> str | None:
    """The reason why no cluster can be started here, or None."""
    if os.geteuid():
        return "needs root, to start slurmctld and slurmd"
    missing_programs = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing_programs:
        return f"needs {', '.join(missing_programs)}: apt-get install slurm-wlm munge"
    if accounting and not all(map(shutil.which, ACCOUNTING_PROGRAMS)):
        return f"needs {', '.join(ACCOUNTING_PROGRAMS)}: apt-get install slurmdbd mariadb-server"
    file = CONFIGURATION / "slurm.conf"
    if file.exists() and not file.read_text(encoding="utf-8").startswith(MARK):
        return f"{file} is of another cluster"
    return None


@contextmanager
def running(
    folder: Path,
    cpus: int = 2,
    memory_mb: int = 4000,
    gpus: int = 4,
    accounting: bool = False,
) -> Iterator[Cluster]:
    """Start munged (unless it runs), slurmctld and slurmd in ``folder``. Stop them at the end.

    The partitions are ``cpu``, which is the default, ``short``, with a limit of half an hour,
    ``gpu``, and ``plain``, whose only node has no GPUs and is never up. The GPUs have the type
    ``toy`` and are empty devices. A job that exceeds its memory is killed within seconds.

    Args:
        accounting: enable accounting of jobs, with slurmdbd and MariaDB.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    CONFIGURATION.mkdir(exist_ok=True)
    database_port = _free_port() if accounting else None
    (CONFIGURATION / "slurm.conf").write_text(
        _configuration(folder, cpus, memory_mb, gpus, database_port), encoding="utf-8"
    )
    for gpu in range(gpus):
        (folder / f"gpu{gpu}").touch()
    devices = f"{folder}/gpu[0-{gpus - 1}]"
    (CONFIGURATION / "gres.conf").write_text(
        f"{MARK}Name=gpu Type=toy Count={gpus} File={devices}\n", encoding="utf-8"
    )
    started = [] if _succeeds("munge", "-n") else [_start_munge(folder)]
    try:
        if database_port is not None:
            _start_accounting(folder, database_port, started)
        for daemon in ("slurmctld", "slurmd"):
            command(daemon)
            started.append(folder / f"{daemon}.pid")
        _wait_for_node(folder)
        yield Cluster(folder)
        _succeeds("scancel", "--user=root")
    finally:
        for pid_file in reversed(started):
            with suppress(OSError, ValueError):
                os.kill(int(pid_file.read_text()), signal.SIGTERM)
        _kill_jobs()
        for name in ("slurm.conf", "gres.conf", "slurmdbd.conf"):
            (CONFIGURATION / name).unlink(missing_ok=True)


def _kill_jobs() -> None:
    """Kill what is left of jobs. ``scancel`` does not reach jobs of a node that was killed."""
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"SLURM_CLUSTER_NAME={NAME}".encode() in environment.read_bytes().split(b"\0"):
                os.kill(int(environment.parent.name), signal.SIGKILL)


def command(*arguments: str) -> str:
    """Run a command and return its output. If it fails, raise an error with its output."""
    result = subprocess.run(arguments, capture_output=True, encoding="utf-8", check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {result.stdout}{result.stderr}")
    return result.stdout


def _succeeds(*arguments: str) -> bool:
    return subprocess.run(arguments, capture_output=True, check=False).returncode == 0


def _start_munge(folder: Path) -> Path:
    """Start munged with its own key at the usual socket. Return its pid file."""
    socket_folder = Path("/run/munge")
    socket_folder.mkdir(mode=0o755, exist_ok=True)
    key = folder / "munge.key"
    command("mungekey", "--create", f"--keyfile={key}")
    pid_file = folder / "munged.pid"
    files = [f"--key-file={key}", f"--pid-file={pid_file}"]
    files += [f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"]
    # It warns about folders that others may write to, such as temporary ones.
    command("munged", "--force", *files)
    return pid_file


def _start_accounting(folder: Path, port: int, started: list[Path]) -> None:
    """Start MariaDB and slurmdbd, and register the cluster. Add their pid files to ``started``."""
    data, socket_file = folder / "database", folder / "mariadb.sock"
    command(
        *("mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root"),
        *("--skip-test-db", "--auth-root-authentication-method=normal"),
    )
    database_port = _free_port()
    subprocess.Popen(
        [
            *("mariadbd", "--no-defaults", f"--datadir={data}", "--user=root"),
            *(f"--socket={socket_file}", f"--port={database_port}", "--bind-address=127.0.0.1"),
            *(f"--pid-file={folder}/mariadb.pid", f"--log-error={folder}/mariadb.log"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    started.append(folder / "mariadb.pid")
    client = ("mariadb", "--no-defaults", f"--socket={socket_file}", "--execute")
    _wait(lambda: _succeeds(*client, "select 1"), "MariaDB")
    command(
        *client,
        "create database accounts; create user slurm@localhost identified by 'toy'; "
        "create user slurm@'127.0.0.1' identified by 'toy'; "
        "grant all on accounts.* to slurm@localhost; grant all on accounts.* to slurm@'127.0.0.1'",
    )
    file = CONFIGURATION / "slurmdbd.conf"
    file.touch(mode=0o600)
    file.write_text(
        f"""{MARK}
AuthType=auth/munge
DbdHost=localhost
DbdPort={port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass=toy
StorageLoc=accounts
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
""",
        encoding="utf-8",
    )
    command("slurmdbd")
    started.append(folder / "slurmdbd.pid")
    _wait(lambda: _succeeds("sacctmgr", "--immediate", "add", "cluster", NAME), "slurmdbd")
    command("sacctmgr", "--immediate", "add", "account", "study", f"Cluster={NAME}")
    command("sacctmgr", "--immediate", "add", "user", "root", "Account=study")


def _wait(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not answer in {seconds:g} s")
        time.sleep(0.3)


def _configuration(
    folder: Path, cpus: int, memory_mb: int, gpus: int, database_port: int | None
) -> str:
    storage = "accounting_storage/none"
    if database_port is not None:
        storage = f"accounting_storage/slurmdbd\nAccountingStorageHost=localhost\nAccountingStoragePort={database_port}"
    host = socket.gethostname().partition(".")[0]
    controller, node = _free_port(), _free_port()
    return f"""{MARK}
ClusterName={NAME}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A job of a lost node starts again when its credentials have expired, by default in two minutes.
AuthInfo=cred_expire=5
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
AccountingStorageType={storage}
AccountingStoreFlags=job_comment
MpiDefault=none
ReturnToService=2
MinJobAge=3600
KillWait=2
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Gres=gpu:toy:{gpus}
NodeName=absent NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Port={_free_port()} State=DOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=1-00:00:00 State=UP
PartitionName=short Nodes={host} MaxTime=30 State=UP
PartitionName=gpu Nodes={host} MaxTime=1-00:00:00 State=UP
PartitionName=plain Nodes=absent MaxTime=1-00:00:00 State=UP
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_node(folder: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = subprocess.run(
            ["sinfo", "--noheader", "--partition=cpu", "--format=%T"],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if set(result.stdout.split()) == {"idle"}:
            return
        time.sleep(0.3)
    logs = "".join(
        (folder / f"{daemon}.log").read_text(encoding="utf-8", errors="replace")[-2000:]
        for daemon in ("slurmctld", "slurmd")
    )
    raise RuntimeError(f"no node became idle in {seconds:g} s: {result.stderr}\n{logs}")
