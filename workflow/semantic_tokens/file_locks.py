"""File locks between processes."""

import contextlib
import fcntl
import logging
import math
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)


@contextlib.contextmanager
def file_lock(
    path: str | Path, *, retry_every: float = 1.0, log_every: float = 60.0
) -> Iterator[None]:
    """Lock ``path`` during the body. While another process holds the lock, wait and log this.

    The lock is on the file ``{path}.lock``, which names its holder. The system releases it when the
    holder ends in any way. On a file system without locks, nothing is locked.

    Args:
        retry_every: seconds between two attempts.
        log_every: seconds between two log lines about waiting.
    """
    began, last_logged = time.monotonic(), -math.inf
    while True:
        with lock_if_free(path) as holder:
            if holder is None:
                if last_logged >= 0:
                    log.info("%s is free after %.0f s", path, time.monotonic() - began)
                yield
                return
        waited = time.monotonic() - began
        if waited - last_logged >= log_every:
            last_logged = waited
            log.warning(
                "waiting for %s, which %s uses, for %.0f s so far; end that process to go on now",
                path,
                holder,
                waited,
            )
        time.sleep(retry_every)


@contextlib.contextmanager
def lock_if_free(path: str | Path) -> Iterator[str | None]:
    """Lock ``path`` during the body, unless another process holds the lock.

    Yields:
        None if this process has the lock, else a description of the holder.
    """
    lock = Path(f"{path}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with lock.open("a+", encoding="utf-8") as file:
            holder = _lock(file)
            if holder is not None:
                yield holder
                return
            if not _is_at(
                file, lock
            ):  # the file was replaced in between, and the new one is not locked
                continue
            file.truncate(0)
            file.write(f"process {os.getpid()} of {socket.gethostname()}")
            file.flush()
            try:
                yield None
            finally:
                lock.unlink(missing_ok=True)
            return


def _lock(file: IO[str]) -> str | None:
    """Lock an open file. Return a description of the current holder, if there is one."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        return file.read().strip() or "another process"
    except OSError:  # the file system has no locks
        pass
    return None


def _is_at(file: IO[str], path: Path) -> bool:
    """Whether an open file is still the file at this path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
