"""Unpacking of zip and tar archives within a folder; no code in them is run."""

import contextlib
import functools
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from semantic_tokens.errors import InputError, one_line
from semantic_tokens.files import atomic_file
from semantic_tokens.sources.folder import matches, require_room, safe

_AT_ONCE = 2**20
# Text compresses at most 20 times. An archive that expands more than this may be an attack.
_LARGEST_RATIO = 200
_SMALL = 100_000_000  # the size in bytes that any archive may have after unpacking


def extract(archive: Path, folder: Path, patterns: Sequence[str] | None) -> list[Path]:
    """Unpack the matching files of a zip or tar archive, each atomically.

    Args:
        patterns: patterns of member names; None takes all files.

    Raises:
        InputError: the archive is damaged or has no matching member; or a matching member is
            outside the folder, is a link, or is too large after unpacking.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    room = max(_SMALL, _LARGEST_RATIO * archive.stat().st_size)
    try:
        for member, size, opened in _members(archive):
            if not matches(member, patterns):
                continue
            target = folder / safe(member)
            if opened is None:
                raise InputError(
                    f"{member!r} is a link or a device, which is not unpacked; name the files "
                    "that are wanted in `files`, or use another source"
                )
            room -= size
            if room < 0:
                raise InputError(
                    f"the files up to {member!r} unpack to more than {_LARGEST_RATIO} times the size of "
                    "the archive; name the files that are wanted in `files`, or use another source"
                )
            require_room("the archive", folder, size)
            with opened() as source, atomic_file(target) as partial, partial.open("wb") as file:
                shutil.copyfileobj(source, file, _AT_ONCE)
            if target.stat().st_size != size:
                raise InputError(f"{member} does not have the size that the archive gives")
            made.append(target)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise InputError(
            f"the archive is truncated or damaged ({one_line(error)}); start again to "
            "download it again"
        ) from error
    except (RuntimeError, FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        # The archive is encrypted, has an unknown compression, or a file and a folder with the same
        # name.
        raise InputError(f"the archive cannot be unpacked ({error}); use another source") from error
    if not made:
        raise InputError(f"the archive has no file that matches {', '.join(patterns or ('*',))}")
    return made


def _members(archive: Path) -> Iterator[tuple[str, int, Callable[[], Any] | None]]:
    """Name, size and opener of every member except folders; links and devices have no opener."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                is_link = stat.S_ISLNK(info.external_attr >> 16)
                if not info.is_dir():
                    opener = None if is_link else functools.partial(opened.open, info)
                    yield info.filename, info.file_size, opener
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isdir():
                continue
            source = tar.extractfile(member) if member.isfile() else None
            reader: Callable[[], Any] | None = None
            if source is not None:
                reader = functools.partial(contextlib.nullcontext, source)
            yield member.name, member.size, reader
