"""Atomic writes, checks of outputs, copies of files, and folders of results."""

import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from semantic_tokens.errors import InputError, full_disk

log = logging.getLogger(__name__)


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Write a file atomically: yield a temporary path in the same folder, and rename it to ``path``
    at the end.

    If the body raises, the temporary file is removed and ``path`` does not change. Missing parent
    folders are created. Permissions follow the umask, even if a library writes files that only the
    owner can read.
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
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Write a folder atomically: yield a temporary folder next to ``path``, and replace ``path``
    with it at the end (:func:`replace_folder`).

    If the body raises, the temporary folder is removed and ``path`` does not change. Permissions
    follow the umask.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    _put_back(target)
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    folder_mode = partial.stat().st_mode
    try:
        yield partial
        example = partial.joinpath(".mode")
        example.touch()
        file_mode = example.stat().st_mode
        example.unlink()
        for made in partial.rglob("*"):  # some libraries write files that only the owner can read
            if made.is_dir():
                made.chmod(folder_mode)
            elif made.is_file():
                made.chmod(file_mode)
        replace_folder(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def replace_folder(new: Path, target: Path) -> None:
    """Rename a complete folder to ``target``, on the same disk.

    An old folder at ``target`` is removed only when the new one is there. If the change fails or is
    interrupted, the old folder is back. If the process is killed during the change, the next
    :func:`atomic_folder` or :func:`replace_folder` finds the old folder.
    """
    old = _set_aside(target)
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)  # of an earlier change; the newer one still exists
    try:
        if target.exists():
            target.rename(old)
        new.rename(target)
    finally:
        _put_back(target)
    shutil.rmtree(old, ignore_errors=True)


def _set_aside(target: Path) -> Path:
    """The place of an old folder while a new one replaces it."""
    return target.with_name(f".{target.name}.old")


def _put_back(target: Path) -> None:
    """Return a folder that was set aside, if nothing has replaced it."""
    if not target.exists() and _set_aside(target).exists():
        _set_aside(target).rename(target)


def output_path(output: str | Path) -> Path:
    """The path of an output that a user names, with links resolved.

    Raises:
        InputError: there is no way to it, because a part of it is a file or a link to itself.
    """
    try:
        target = Path(output).resolve()
        above = next(path for path in [target, *target.parents] if path.exists())
        is_link = target.is_symlink()  # that could not be resolved
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"the output {output} cannot be reached ({reason}); name another place"
        ) from error
    if is_link:
        raise InputError(f"the output {output} is a link that leads to itself; name another place")
    if above != target and not above.is_dir():
        raise InputError(
            f"the output {output} cannot be below {above}, which is a file; name another place"
        )
    return target


def check_writable(target: Path) -> None:
    """Check that :func:`atomic_file` or :func:`atomic_folder` can write here. Missing folders above
    it are created.

    Args:
        target: from :func:`output_path`.

    Raises:
        InputError: the folder above cannot be created, or files cannot be written in it, for
            example without permission.
    """
    writable = next(path for path in target.parents if path.exists())
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent):
            pass
    except OSError as error:
        raise InputError(
            f"the output {target} cannot be written in {writable} ({error.strerror}); name another "
            "place"
        ) from error


def output_file(output: str | Path) -> Path:
    """The path of a file that a user names for an output, with links resolved. Missing folders
    above it are created.

    Raises:
        InputError: a file cannot be written there.
    """
    target = output_path(output)
    if target.exists() and not target.is_file():
        kind = "a folder" if target.is_dir() else "not an ordinary file"
        raise InputError(f"the output {output} is {kind}; name a file")
    check_writable(target)
    return target


@contextlib.contextmanager
def full_disk_as_input_error(what: str, folder: Path, remedy: str) -> Iterator[None]:
    """A context to write files.

    Args:
        what: the download or the output, for the message.
        folder: a folder on the disk to which it is written.
        remedy: what the user can do.

    Raises:
        InputError: the disk is full, or a quota is reached.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # libraries report it with exceptions of their own
        if (said := full_disk(error)) is None:
            raise
        raise InputError(
            f"{what}: the disk of {folder} is full ({said[:200]}); {remedy}"
        ) from error


@contextlib.contextmanager
def writing_output(target: Path) -> Iterator[None]:
    """A context to write an output that a user names, with :func:`atomic_file` or
    :func:`atomic_folder`.

    Raises:
        InputError: the disk is full. An old output does not change.
    """
    remedy = "free some space, or name an output on another disk"
    with full_disk_as_input_error(f"{target} cannot be written", target.parent, remedy):
        yield


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_files(source: Path, target: Path, *patterns: str) -> None:
    """Copy the files of a folder whose names match one of the patterns."""
    target.mkdir(parents=True, exist_ok=True)
    for pattern in patterns:
        for path in sorted(source.glob(pattern)):
            if path.is_file():
                shutil.copyfile(path, target / path.name)


def link_files(source: Path, target: Path, *patterns: str) -> None:
    """Make links in a folder to the files of another folder whose names match one of the patterns.
    If the file system has no links, copy them.

    The links are symbolic: a hard link shares its modification time with the original, and
    Snakemake sets the time of a job's outputs, so inputs would become newer than outputs.
    """
    target.mkdir(parents=True, exist_ok=True)
    for pattern in patterns:
        for path in sorted(source.glob(pattern)):
            link = target / path.name
            link.unlink(missing_ok=True)
            try:
                link.symlink_to(os.path.relpath(path.resolve(), target.resolve()))
            except OSError:
                with atomic_file(link) as partial:
                    shutil.copyfile(path, partial)


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """A context to read a file of this workflow with a library.

    Raises:
        InputError: the file is damaged, for example incomplete.
    """
    try:
        yield
    except (InputError, OSError):  # the file is missing or not readable
        raise
    except Exception as error:  # errors of pyarrow and safetensors have no other common base
        raise InputError(
            f"{path} is damaged ({error}); delete it and it will be made again"
        ) from error


def folder_above(paths: Iterable[str | Path], name: str) -> Path:
    """The folder with this name that contains the files, at any depth of the paths.

    A run may have the same name; its folder, below ``runs``, is ignored.

    >>> folder_above(["study/results/scores/a/seed-1.json"], "scores").as_posix()
    'study/results/scores'
    >>> folder_above(["results/runs/scores/scores/a/seed-1.json"], "scores").as_posix()
    'results/runs/scores/scores'

    Raises:
        ValueError: there is no file, or it is not in such a folder.
    """
    for path in paths:
        parts = Path(path).parts
        for place, part in enumerate(parts):
            if part == name and parts[place - 1 : place] != ("runs",):
                return Path(*parts[: place + 1])
        raise ValueError(f"{path} is in no folder {name!r}")
    raise ValueError(f"no file in a folder {name!r}")
