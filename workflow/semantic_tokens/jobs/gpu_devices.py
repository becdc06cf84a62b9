"""The GPUs of this machine, and GPUs of its own for every job that asks for some.

Snakemake counts GPUs and does not say which: jobs that run at the same time would all take the
first one. So a job takes the lock of a free GPU for as long as it runs, and makes that GPU the
only one that CUDA shows it. This has to happen before CUDA is initialised, so nothing here
imports torch.

A job chooses among the GPUs that ``CUDA_VISIBLE_DEVICES`` leaves it, as a user or SLURM has set it.
SLURM gives every job GPUs of its own, and the numbers of two jobs may be the same while their GPUs
are not. So locks hold within one SLURM job, or on one machine outside of SLURM.
"""

import contextlib
import logging
import math
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from semantic_tokens.files import lock_if_free

log = logging.getLogger(__name__)

VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them.

    Where the variable is not set, they are those that ``nvidia-smi`` lists; of a GPU that is cut
    into MIG instances, the instances. Where it is not installed, none is known.
    """
    given = os.environ.get(VARIABLE)
    if given is None:
        return _listed(_nvidia_smi())
    names = []
    for name in given.split(","):
        name = name.strip()
        if not name or name.startswith("-") or name == "NoDevFiles":
            break  # CUDA does not look behind a name that is none
        names.append(name)
    return list(dict.fromkeys(names))


def gpu_limit(per_job: int) -> int | None:
    """How many GPUs the jobs of this machine may use at a time, for Snakemake's resource ``gpu``.

    Never fewer than one job asks for, since Snakemake would lower what the job asks for. Such a job
    says itself that there are too few.

    Returns:
        None where no GPU is known.
    """
    found = len(visible_gpus())
    return max(found, per_job) if found else None


@contextlib.contextmanager
def reserved_gpus(
    count: int, *, look_every: float = 1.0, tell_every: float = 60.0
) -> Iterator[list[str]]:
    """Reserve GPUs for the time of the body, and set ``CUDA_VISIBLE_DEVICES`` to them.

    It waits, and says so, while other jobs have them. The system frees them when the job ends,
    however that happens.

    Args:
        count: how many.
        look_every: seconds between two attempts.
        tell_every: seconds between two lines in the log about a wait.

    Yields:
        their names; none where fewer GPUs are known than are asked for, and nothing is set then.
    """
    names = visible_gpus()
    if not 0 < count <= len(names):
        yield []
        return
    folder = lock_folder()
    began, told = time.monotonic(), -math.inf
    while True:
        with contextlib.ExitStack() as locks:
            taken, holders = [], []
            # One job chooses at a time: two that want two GPUs would each take one.
            with _turn(folder / "choosing"):
                for name in names:
                    path = folder / re.sub(r"\W", "-", name)
                    holder = locks.enter_context(lock_if_free(path))
                    if holder is None:
                        taken.append(name)
                    else:
                        holders.append(holder)
                    if len(taken) == count:
                        break
            if len(taken) == count:
                with _shown(taken):
                    yield taken
                return
        waited = time.monotonic() - began
        if waited - told >= tell_every:
            told = waited
            log.warning(
                "waiting for %s, for %.0f s so far; in use by %s",
                "a GPU" if count == 1 else f"{count} GPUs",
                waited,
                ", ".join(dict.fromkeys(holders)),
            )
        time.sleep(look_every)


def lock_folder() -> Path:
    """Where the locks lie: of this user on this machine, and of this SLURM job within one."""
    allocation = os.environ.get("SLURM_JOB_ID")
    place = f"slurm-{allocation}" if allocation else "machine"
    return Path(tempfile.gettempdir()) / f"semantic-tokens-gpus-{os.getuid()}" / place


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Hold a lock that others hold for moments alone."""
    while True:
        with lock_if_free(path) as holder:
            if holder is None:
                yield
                return
        time.sleep(0.05)


@contextlib.contextmanager
def _shown(names: list[str]) -> Iterator[None]:
    """Let CUDA show these GPUs alone to this process and those that it starts."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = ",".join(names)
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def _nvidia_smi() -> str:
    """What ``nvidia-smi -L`` says; nothing where there is no driver."""
    try:
        shown = subprocess.run(
            ["nvidia-smi", "-L"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return shown.stdout if shown.returncode == 0 else ""


def _listed(said: str) -> list[str]:
    """The GPUs in the list of ``nvidia-smi -L``: numbers, or UUIDs where some are cut into MIG
    instances, which have no numbers."""
    gpus: list[tuple[str, str, list[str]]] = []
    for line in said.splitlines():
        if found := re.match(r"GPU (\d+): .*\(UUID: (GPU-[^)]+)\)", line):
            gpus.append((found[1], found[2], []))
        elif gpus and (found := re.match(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)", line)):
            gpus[-1][2].append(found[1])
    if not any(instances for _, _, instances in gpus):
        return [number for number, _, _ in gpus]
    return [name for _, uuid, instances in gpus for name in instances or [uuid]]
