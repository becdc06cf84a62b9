"""The folder of a download: allowed names, matching files, checksums, and disk space."""

import fnmatch
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from semantic_tokens.errors import InputError
from semantic_tokens.text_files import filled_lines

_SHA256 = re.compile("[0-9a-f]{64}")


def read_checksums(path: str | Path) -> dict[str, str]:
    """File name -> SHA-256, from the output of ``sha256sum``.

    Raises:
        InputError: a line is not ``<64 hexadecimal digits>  <file>``.
    """
    sums: dict[str, str] = {}
    for number, line in filled_lines(path):
        digest, file = line[:64].lower(), line[66:]
        # The character before the name is the mode, text or binary.
        if not _SHA256.fullmatch(digest) or line[64:66] not in ("  ", " *") or not file:
            raise InputError(
                f"{path}, line {number}: a sha256 and a file name with two spaces between them are "
                f"expected, as sha256sum writes them, not {line!r}"
            )
        sums[file] = digest
    return sums


def matches(name: str, patterns: Sequence[str] | None) -> bool:
    """Whether a file's name matches one of the patterns; None matches all."""
    return patterns is None or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def safe(name: str) -> str:
    """A member's name, if it is a path within its folder."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise InputError(f"{name!r} would land outside its folder; use another source")
    if "\\" in name or ":" in path.parts[0]:
        raise InputError(f"{name!r} would land outside its folder; use another source")
    return str(path)


def link(source: Path, target: Path) -> None:
    """Make ``target`` a symbolic link to a file of the user or of a mirror."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(source.resolve())


def share(source: Path, target: Path) -> None:
    """Make ``target`` a hard link to a file in a cache, so it remains when the cache is cleared. On
    another disk it is a symbolic link."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        target.symlink_to(source.resolve())


def require_room(what: str, folder: Path, size: int) -> None:
    """Raise an InputError if ``size`` bytes do not fit on the folder's disk."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise InputError(
            f"{what} needs {size / 1e9:.1f} GB and the disk of {folder} has "
            f"{free / 1e9:.1f} GB free; free some space, or run with --directory on another disk"
        )
