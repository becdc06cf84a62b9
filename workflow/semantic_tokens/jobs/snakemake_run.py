"""The process of a Snakemake run, the end of its jobs, and the removal of stale locks.

Snakemake locks the working directory during a run. If it is killed, the lock remains, which the
next run does not ignore, and its jobs continue although nobody uses their results. So a run records
its process (:func:`begin_run`), a job ends when this process has ended
(:func:`end_with_snakemake`), and the next run removes a lock without an owner.
"""

import atexit
import json
import logging
import os
import shutil
import signal
import socket
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from semantic_tokens.files import atomic_file

log = logging.getLogger(__name__)

# The environment variable that names the Snakemake process of a job.
_VARIABLE = "SEMANTIC_TOKENS_SNAKEMAKE"
# Seconds between two checks of this process, and before a job that does not end is killed.
_LOOK_EVERY, _KILL_AFTER = 1.0, 10.0
# Start times that differ by less are equal: the time of boot is in whole seconds.
_SAME_START = 3.0


@dataclass(frozen=True)
class Process:
    """A process, which is distinguished from later ones with the same number.

    Attributes:
        pid: its number on its host.
        started: its start time in seconds (:func:`_start_of`).
    """

    host: str
    pid: int
    started: float

    @classmethod
    def this(cls) -> "Process":
        """The current process."""
        return cls(socket.gethostname(), os.getpid(), _start_of(psutil.Process()))

    def find(self) -> psutil.Process | None:
        """The running process, or None. Only its own host can find it."""
        try:
            found = psutil.Process(self.pid)
            return found if abs(_start_of(found) - self.started) < _SAME_START else None
        except psutil.NoSuchProcess:
            return None


def _start_of(process: psutil.Process) -> float:
    """When a process started, in seconds that a change of the clock does not affect.

    Linux knows the time since boot, and psutil adds the time of boot, which Linux computes from its
    clock. This clock changes by minutes if a virtual machine is paused. Other systems store the time
    at which a process started.
    """
    started = float(process.create_time())
    return started - psutil.boot_time() if psutil.LINUX else started


def begin_run(state: str | Path, *, takes_lock: bool) -> None:
    """Record this Snakemake process for its jobs, and remove the lock of a killed one.

    Every Snakemake process must call this once, before it takes its own lock. A lock is removed
    only if all recorded runs were on this host and have ended. It is kept if a recorded run was on
    another host, which cannot be checked here, or if there is no record, because then something
    else has locked the folder. Snakemake's own message then says what to do.

    Args:
        state: Snakemake's folder of the study, ``.snakemake``.
        takes_lock: whether this process is a run; it is not one of a run's jobs, and not a dry run.
    """
    this = Process.this()
    os.environ[_VARIABLE] = json.dumps(asdict(this))
    if not takes_lock:
        return
    # First record this run, so that of two runs that start at once, each sees the other.
    records = Path(state) / "semantic_tokens_runs"
    own = records / f"{this.host}-{this.pid}.json"
    try:
        with atomic_file(own) as partial:
            partial.write_text(json.dumps(asdict(this)), encoding="utf-8")
        atexit.register(own.unlink, missing_ok=True)
        ended = []
        for record in records.glob("*.json"):
            if record == own:
                continue
            other = _read(record)
            if other is None or other.host != this.host or _is_alive(other.find()):
                return
            ended.append(record)
        if ended:
            shutil.rmtree(Path(state) / "locks", ignore_errors=True)
        for record in ended:
            record.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s cannot be written (%s)", own, error)


def _read(record: Path) -> Process | None:
    try:
        return Process(**json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def end_with_snakemake() -> None:
    """From now on, end this process and its children if its Snakemake process has ended.

    Without Snakemake, this does nothing. On a cluster, it is the Snakemake process on the job's
    node.
    """
    if _VARIABLE in os.environ:
        snakemake = Process(**json.loads(os.environ[_VARIABLE]))
        threading.Thread(target=_watch, args=[snakemake], daemon=True).start()


def _watch(snakemake: Process) -> None:
    running = snakemake.find()
    while _is_alive(running):
        time.sleep(_LOOK_EVERY)
    log.error(
        "Snakemake (process %d), which started this job, no longer exists; the job ends. Run the same "
        "command again: finished results are kept, and a training continues from its checkpoint",
        snakemake.pid,
    )
    children = psutil.Process().children(recursive=True)
    _signal(children, signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_KILL_AFTER)
    _signal(children, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _is_alive(process: psutil.Process | None) -> bool:
    try:  # a killed process remains a zombie until its parent waits for it
        return (
            process is not None
            and process.is_running()
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return False


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
