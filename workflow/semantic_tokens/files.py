"""Files that appear whole or not at all, and the JSON-lines files that stages exchange."""

import contextlib
import fcntl
import json
import logging
import math
import os
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from semantic_tokens.errors import InputError

log = logging.getLogger(__name__)


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; rename it to ``path`` at the end.

    If the body raises, the partial file is removed and ``path`` stays as it was. Missing
    parent folders are made. Who may read the file is up to the umask, also where a library
    writes for its user's eyes alone.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    partial.touch()
    mode = partial.stat().st_mode
    partial.unlink()
    try:
        yield partial
        partial.chmod(mode)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Yield a folder beside ``path`` to write into; put it in the place of ``path`` at the end.

    If the body raises, the partial folder is removed and ``path`` stays as it was. An old folder
    goes only when the new one stands.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    old = target.with_name(f".{target.name}.old")
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        mode = partial.joinpath(".mode")
        mode.touch()
        for file in partial.rglob("*"):  # some libraries write for the owner's eyes alone
            if file.is_file():
                file.chmod(mode.stat().st_mode)
        mode.unlink()
        if target.exists():
            target.rename(old)
        partial.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def copy_files(source: Path, target: Path, *patterns: str) -> None:
    """Copy the files of a folder whose names fit one of the patterns."""
    target.mkdir(parents=True, exist_ok=True)
    for pattern in patterns:
        for path in sorted(source.glob(pattern)):
            if path.is_file():
                shutil.copyfile(path, target / path.name)


def link_files(source: Path, target: Path, *patterns: str) -> None:
    """Give the files of a folder whose names fit one of the patterns a second name in another
    folder. Where the file system has no hard links, they are copied."""
    target.mkdir(parents=True, exist_ok=True)
    for pattern in patterns:
        for path in sorted(source.glob(pattern)):
            with whole(target / path.name) as partial:
                try:
                    partial.hardlink_to(path)
                except OSError:
                    shutil.copyfile(path, partial)


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Read a file that a stage of this workflow wrote, with a library.

    Raises:
        InputError: the library finds the file damaged, as one is that was cut short.
    """
    try:
        yield
    except (InputError, OSError):  # not there, or not to be read: another matter
        raise
    except Exception as error:  # pyarrow's and safetensors' errors share no other base
        raise InputError(f"{path} is damaged ({error}); delete it to have it made again") from error


@contextlib.contextmanager
def file_lock(
    path: str | Path, *, look_every: float = 1.0, tell_every: float = 60.0
) -> Iterator[None]:
    """Lock ``path`` for the time of the body; wait, and say so, while another process holds it.

    The lock is on the file ``{path}.lock``, which names its holder. The system frees it when
    the holder ends, however that happens. On a file system without locks nothing is locked.

    Args:
        look_every: seconds between two attempts.
        tell_every: seconds between two lines in the log about a wait.
    """
    began, told = time.monotonic(), -math.inf
    while True:
        with lock_if_free(path) as holder:
            if holder is None:
                if told >= 0:
                    log.info("%s is free after %.0f s", path, time.monotonic() - began)
                yield
                return
        waited = time.monotonic() - began
        if waited - told >= tell_every:
            told = waited
            log.warning(
                "waiting for %s, which %s uses, for %.0f s so far; end that process to go on now",
                path,
                holder,
                waited,
            )
        time.sleep(look_every)


@contextlib.contextmanager
def lock_if_free(path: str | Path) -> Iterator[str | None]:
    """Lock ``path`` for the time of the body, unless another process holds it.

    Yields:
        None where this process has the lock now, else who has it.
    """
    lock = Path(f"{path}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with lock.open("a+", encoding="utf-8") as file:
            holder = _lock(file)
            if holder is not None:
                yield holder
                return
            if not _is_at(file, lock):  # it was removed in between: nobody has locked the new one
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
    """Lock an open file; return who has locked it already, if anyone has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        return file.read().strip() or "another process"
    except OSError:  # the file system has no locks
        pass
    return None


def _is_at(file: IO[str], path: Path) -> bool:
    """Whether an open file is still the one at this path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def write_jsonl(records: Iterable[dict[str, Any]], path: str | Path) -> int:
    """Write one JSON object a line, UTF-8, whole or not at all; return their number."""
    count = 0
    with whole(path) as partial, partial.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_jsonl(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON-lines file.

    Raises:
        InputError: a line is not a JSON object (the message names file and line).
    """
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line.decode("utf-8"))
            except (ValueError, RecursionError) as error:  # UnicodeDecodeError among them
                raise InputError(
                    f"{path}, line {number}: not JSON ({error}); delete the file to have it made again"
                ) from error
            if not isinstance(record, dict):
                raise InputError(
                    f"{path}, line {number}: not a JSON object; delete the file to have it made again"
                )
            yield record


def folder_above(paths: Iterable[str | Path], name: str) -> Path:
    """The folder of this name that files lie in, wherever a workflow was told to put it.

    A run, which may have the same name, lies in a folder ``runs`` and is none of these folders.

    >>> folder_above(["study/results/scores/a/seed-1.json"], "scores").as_posix()
    'study/results/scores'
    >>> folder_above(["results/runs/scores/scores/a/seed-1.json"], "scores").as_posix()
    'results/runs/scores/scores'

    Raises:
        ValueError: there is no file, or it does not lie in such a folder.
    """
    for path in paths:
        parts = Path(path).parts
        for place, part in enumerate(parts):
            if part == name and parts[place - 1 : place] != ("runs",):
                return Path(*parts[: place + 1])
        raise ValueError(f"{path} is in no folder {name!r}")
    raise ValueError(f"no file in a folder {name!r}")


def write_json(value: Any, path: str | Path) -> None:
    """Write indented JSON with sorted keys, whole or not at all."""
    with whole(path) as partial:
        partial.write_text(
            json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )


def read_json(path: str | Path) -> Any:
    """Read a JSON file that a stage of this workflow wrote.

    Raises:
        InputError: the file is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not JSON ({error}); delete it to have it made again"
        ) from error
