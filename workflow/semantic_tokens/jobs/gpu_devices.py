"""Reservation of this machine's GPUs, so that every job has its own.

Snakemake counts GPUs but does not choose them, so parallel jobs would all use the first one.
Therefore a job holds a file lock on a free GPU while it runs, and makes only this GPU visible to
CUDA. This must happen before CUDA is initialised, so this module does not import torch.

A job chooses among the GPUs in ``CUDA_VISIBLE_DEVICES``, which a user or SLURM has set. SLURM gives
every job its own GPUs, and different GPUs of two jobs may have the same number. So locks apply
within one SLURM job, or on one machine without SLURM.
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

from semantic_tokens.file_locks import lock_if_free

log = logging.getLogger(__name__)

VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, with their names in ``CUDA_VISIBLE_DEVICES``.

    If the variable is not set, they are the GPUs that ``nvidia-smi`` lists; for a GPU with MIG
    instances, the instances. Without ``nvidia-smi``, the list is empty.
    """
    given = os.environ.get(VARIABLE)
    if given is None:
        return _listed(_nvidia_smi())
    names = []
    for name in given.split(","):
        name = name.strip()
        if not name or name.startswith("-") or name == "NoDevFiles":
            break  # CUDA ignores all names after an invalid one
        names.append(name)
    return list(dict.fromkeys(names))


def gpu_limit(per_job: int) -> int | None:
    """The number of GPUs that all jobs on this machine may use, for Snakemake's resource ``gpu``.

    It is at least the number that one job requests, because Snakemake would reduce the request.
    Such a job reports that there are too few GPUs.

    Returns:
        None if no GPU is known.
    """
    found = len(visible_gpus())
    return max(found, per_job) if found else None


@contextlib.contextmanager
def reserved_gpus(
    count: int, *, retry_every: float = 1.0, log_every: float = 60.0
) -> Iterator[list[str]]:
    """Reserve GPUs during the body, and set ``CUDA_VISIBLE_DEVICES`` to them.

    While other jobs use them, it waits and logs this. The system releases the locks when the job
    ends in any way.

    Args:
        count: the number of GPUs.
        retry_every: seconds between two attempts.
        log_every: seconds between two log lines about waiting.

    Yields:
        the names of the GPUs. The list is empty, and nothing is set, if too few GPUs are known.
    """
    names = visible_gpus()
    if not 0 < count <= len(names):
        yield []
        return
    folder = lock_folder()
    began, last_logged = time.monotonic(), -math.inf
    while True:
        with contextlib.ExitStack() as locks:
            taken, holders = [], []
            # Only one job chooses at a time. Otherwise two jobs that need two GPUs could each take
            # one.
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
        if waited - last_logged >= log_every:
            last_logged = waited
            log.warning(
                "waiting for %s, for %.0f s so far; in use by %s",
                "a GPU" if count == 1 else f"{count} GPUs",
                waited,
                ", ".join(dict.fromkeys(holders)),
            )
        time.sleep(retry_every)


def lock_folder() -> Path:
    """The folder of the locks, for this user on this machine or in this SLURM job."""
    allocation = os.environ.get("SLURM_JOB_ID")
    place = f"slurm-{allocation}" if allocation else "machine"
    return Path(tempfile.gettempdir()) / f"semantic-tokens-gpus-{os.getuid()}" / place


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Hold a lock that is only held for short times."""
    while True:
        with lock_if_free(path) as holder:
            if holder is None:
                yield
                return
        time.sleep(0.05)


@contextlib.contextmanager
def _shown(names: list[str]) -> Iterator[None]:
    """Make only these GPUs visible to this process and its children."""
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
    """The output of ``nvidia-smi -L``; empty without a driver."""
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
    """The GPUs in the output of ``nvidia-smi -L``: numbers, or UUIDs if there are MIG instances,
    which have no numbers."""
    gpus: list[tuple[str, str, list[str]]] = []
    for line in said.splitlines():
        if found := re.match(r"GPU (\d+): .*\(UUID: (GPU-[^)]+)\)", line):
            gpus.append((found[1], found[2], []))
        elif gpus and (found := re.match(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)", line)):
            gpus[-1][2].append(found[1])
    if not any(instances for _, _, instances in gpus):
        return [number for number, _, _ in gpus]
    return [name for _, uuid, instances in gpus for name in instances or [uuid]]
