"""One run of Snakemake: which process it is, what ends its jobs, and when its lock is stale.

Snakemake locks the working directory for the time of a run. When it is killed, two things stay
behind: the lock, which the next run refuses to ignore, and the jobs, which go on without anyone to
take their results. So a run records its process (:func:`begin_run`), a job ends when that
process is gone (:func:`end_with_snakemake`), and the next run removes a lock that is nobody's.
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

from semantic_tokens.files import whole

log = logging.getLogger(__name__)

# Names the Snakemake that started a job, in the job's environment.
_VARIABLE = "SEMANTIC_TOKENS_SNAKEMAKE"
# Seconds between two looks at whether it lives, and until a job that does not end is killed.
_LOOK_EVERY, _KILL_AFTER = 1.0, 10.0


@dataclass(frozen=True)
class Process:
    """A process that can be told from a later one with the same number.

    Attributes:
        pid: its number on its host.
        started: when it started, in seconds since 1970.
    """

    host: str
    pid: int
    started: float

    @classmethod
    def this(cls) -> "Process":
        """The process that asks."""
        return cls(socket.gethostname(), os.getpid(), psutil.Process().create_time())

    def find(self) -> psutil.Process | None:
        """The living process, if there still is one; only its own host can tell."""
        try:
            found = psutil.Process(self.pid)
            # The system computes a start from its clock, which may have been set since.
            return found if abs(found.create_time() - self.started) < 60 else None
        except psutil.NoSuchProcess:
            return None


def begin_run(state: str | Path, *, takes_lock: bool) -> None:
    """Tell the jobs which Snakemake starts them, and remove the lock of one that was killed.

    To be called once in every Snakemake process, before it takes its own lock. A lock goes only
    if all runs that are on record were runs of this host and are gone. A lock stays where a run
    of another host is on record, which nobody here can ask, or none at all, for then something
    else has locked the folder; Snakemake's own message then says what to do.

    Args:
        state: Snakemake's folder of the study, ``.snakemake``.
        takes_lock: whether this process is a run of its own: not one of a run's jobs, and not
            a dry run.
    """
    this = Process.this()
    os.environ[_VARIABLE] = json.dumps(asdict(this))
    if not takes_lock:
        return
    # This run's record comes first: of two runs that start at once, each then sees the other.
    records = Path(state) / "semantic_tokens_runs"
    own = records / f"{this.host}-{this.pid}.json"
    try:
        with whole(own) as partial:
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
    """From now on, end this process and its children when the Snakemake that started it is gone.

    Without a Snakemake, nothing happens. On a cluster it is the one on the job's own node.
    """
    if _VARIABLE in os.environ:
        snakemake = Process(**json.loads(os.environ[_VARIABLE]))
        threading.Thread(target=_watch, args=[snakemake], daemon=True).start()


def _watch(snakemake: Process) -> None:
    running = snakemake.find()
    while _is_alive(running):
        time.sleep(_LOOK_EVERY)
    log.error(
        "Snakemake (process %d), which started this job, is gone; the job ends. Run the same "
        "command again: what is finished is kept, and a training goes on from its checkpoint",
        snakemake.pid,
    )
    children = psutil.Process().children(recursive=True)
    _signal(children, signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_KILL_AFTER)
    _signal(children, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _is_alive(process: psutil.Process | None) -> bool:
    try:  # one that was killed stays as a zombie until its parent has taken note
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
