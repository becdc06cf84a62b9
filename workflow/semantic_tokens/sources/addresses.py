"""Downloads from addresses and Zenodo records, with resumption, checksums and mirrors."""

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semantic_tokens.errors import InputError
from semantic_tokens.files import sha256_of
from semantic_tokens.sources.archives import extract
from semantic_tokens.sources.folder import link, matches, safe
from semantic_tokens.sources.network import out_of_reach, with_retries

log = logging.getLogger(__name__)

#: The address that a mirror of the hub replaces.
HUB = "hub"

_TIMEOUT = (20, 120)  # seconds to connect, and to wait for the next bytes
_READ = 2**16  # the maximum number of bytes that a broken connection loses
_ARCHIVE = ".archive"


@dataclass(frozen=True)
class _Remote:
    """A file to fetch: its path in the folder, its address, and its known size and checksums."""

    name: str
    place: str
    size: int | None = None
    algorithm: str = "sha256"
    digest: str | None = None


def from_addresses(
    name: str, spec: Mapping[str, Any], folder: Path, mirrors: Mapping[str, str]
) -> tuple[str | None, dict[str, str]]:
    """Fetch the files. Return the revision, and the SHA-256 of the files that were checked by one.

    Args:
        spec: an entry of ``downloads``, with ``checksums`` as a mapping: file name -> SHA-256.
    """
    if spec.get("archive"):
        place = mirrored(spec["url"], mirrors)
        archive = folder / _ARCHIVE
        _fetch(name, _Remote(_ARCHIVE, place, digest=spec.get("sha256")), folder)
        digest = spec.get("sha256") or sha256_of(archive)
        try:
            extract(archive, folder, spec.get("files"))
        except InputError as error:
            archive.unlink(missing_ok=True)  # damaged: the next run fetches it again
            raise InputError(f"download {name!r} ({place}): {error}") from error
        archive.unlink()
        if not spec.get("sha256"):
            log.warning("%s: there is no checksum for it; to pin it, set sha256: %s", name, digest)
        return digest, {}
    if spec.get("zenodo"):
        remotes = _zenodo_files(name, str(spec["zenodo"]), spec.get("files"), mirrors)
    else:
        sums = spec.get("checksums") or {}
        base = mirrored(spec["url"].rstrip("/") + "/", mirrors)
        remotes = [
            _Remote(file, base.rstrip("/") + "/" + file, digest=sums.get(file))
            for file in spec.get("files") or sums
        ]
    for remote in _progress(remotes, desc=name, unit="file", mininterval=2):
        _fetch(name, remote, folder)
    if spec.get("zenodo"):
        return str(spec["zenodo"]), {}
    if not sums:
        log.warning(
            "%s: there are no checksums for its files; to pin them, list their checksums and set "
            "`checksums` (docs/sources.md says how)",
            name,
        )
    return None, {remote.name: remote.digest for remote in remotes if remote.digest}


def _zenodo_files(
    name: str, record: str, patterns: Sequence[str] | None, mirrors: Mapping[str, str]
) -> list[_Remote]:
    """The files of a record with the sizes and MD5 checksums from Zenodo."""
    place = mirrored(f"https://zenodo.org/records/{record}/files/", mirrors)
    if not is_address(place):
        files = sorted(path for path in Path(place).rglob("*") if path.is_file())
        found = [_Remote(str(path.relative_to(place)), str(path)) for path in files]
    else:
        address = mirrored(f"https://zenodo.org/api/records/{record}", mirrors)
        answer = _answer(name, address)
        try:
            found = [
                _Remote(
                    file["key"],
                    mirrored(file["links"]["self"], mirrors),
                    file["size"],
                    *file["checksum"].split(":", maxsplit=1),
                )
                for file in answer["files"]
            ]
        except (KeyError, TypeError) as error:
            raise InputError(
                f"download {name!r}: {address} does not list the record's files ({error!r}); fetch "
                f"them by hand and name their folder in `mirrors` for {place}"
            ) from error
    wanted = [remote for remote in found if matches(remote.name, patterns)]
    if not wanted:
        raise InputError(
            f"download {name!r}: record {record} has no file that matches {patterns}; it has "
            f"{', '.join(remote.name for remote in found) or 'none'}"
        )
    return wanted


def _answer(name: str, address: str) -> Any:
    import requests

    def ask() -> Any:
        answer = requests.get(address, timeout=_TIMEOUT)
        answer.raise_for_status()
        return answer.json()

    try:
        return with_retries(ask)
    except requests.RequestException as error:
        raise out_of_reach(f"download {name!r}", address, error, address) from error


def _fetch(name: str, remote: _Remote, folder: Path) -> None:
    """Put one file into the folder, unless the correct file is already there."""
    target = folder / safe(remote.name)
    if target.exists():
        return  # was checked when it was fetched
    if not is_address(remote.place):
        source = Path(remote.place)
        if not source.is_file():
            raise InputError(
                f"download {name!r}: there is no file {source}; put it there or correct `mirrors`"
            )
        _check(name, source, remote, is_ours=False)
        link(source, target)
        return
    import requests

    target.parent.mkdir(parents=True, exist_ok=True)
    arriving = target.with_name(f".{target.name}.arriving")  # the path of the incomplete file
    try:
        with_retries(lambda: _get(remote.place, arriving, is_checked=remote.digest is not None))
    except requests.RequestException as error:
        raise out_of_reach(f"download {name!r}", remote.place, error, remote.place) from error
    _check(name, arriving, remote)
    os.replace(arriving, target)


def _progress(*given: Any, **named: Any) -> Any:
    """A progress bar. The library is imported here because Snakemake imports this module to read a
    configuration, possibly without the library."""
    from tqdm import tqdm

    return tqdm(*given, **named)


def _get(address: str, path: Path, *, is_checked: bool) -> None:
    """Fetch a file, or the missing part of an incomplete one.

    Args:
        is_checked: whether a checksum will verify the joined parts. Otherwise an incomplete file is
            continued only if the server confirms that it is the same file.
    """
    import requests

    tag = path.with_name(f"{path.name}.etag")
    have = path.stat().st_size if path.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if have and (is_checked or tag.exists()):
        headers["Range"] = f"bytes={have}-"
    if have and tag.exists():
        headers["If-Range"] = tag.read_text(encoding="utf-8")
    with requests.get(address, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            path.unlink()
            raise requests.ConnectionError(f"{address} is shorter than what had arrived of it")
        answer.raise_for_status()
        resumed = answer.status_code == requests.codes.partial_content
        if "ETag" in answer.headers and not answer.headers["ETag"].startswith("W/"):
            tag.write_text(answer.headers["ETag"], encoding="utf-8")
        expected = int(answer.headers.get("Content-Length", 0)) + (have if resumed else 0)
        with (
            path.open("ab" if resumed else "wb") as file,
            _progress(
                total=expected or None,
                initial=have if resumed else 0,
                desc=path.name.removeprefix(".").removesuffix(".arriving"),
                unit="B",
                unit_scale=True,
                mininterval=2,
            ) as progress,
        ):
            for part in answer.iter_content(_READ):
                file.write(part)
                progress.update(len(part))
    if expected and path.stat().st_size < expected:
        raise requests.ConnectionError(f"{address} broke off at {path.stat().st_size} bytes")
    tag.unlink(missing_ok=True)


def mirrored(address: str, mirrors: Mapping[str, str]) -> str:
    """The address, with the longest matching prefix among ``mirrors`` replaced.

    >>> mirrored("https://a.org/b/c.txt", {"https://a.org/": "/data/a", "hub": "/data/hub"})
    '/data/a/b/c.txt'
    """
    keys = [key for key in mirrors if key != HUB and address.startswith(key)]
    if not keys:
        return address
    key = max(keys, key=len)
    rest = address[len(key) :].lstrip("/")
    return mirrors[key].rstrip("/") + ("/" + rest if rest else "")


def is_address(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def _check(name: str, path: Path, remote: _Remote, *, is_ours: bool = True) -> None:
    """Raise an InputError if a file has the wrong size or checksum, and remove it if it is ours."""
    if remote.size is not None and path.stat().st_size != remote.size:
        found, expected = f"{path.stat().st_size} bytes", f"{remote.size}"
    elif remote.digest is not None:
        with path.open("rb") as file:
            found = f"{remote.algorithm} {hashlib.file_digest(file, remote.algorithm).hexdigest()}"
        expected = remote.digest
        if found.endswith(expected):
            return
    else:
        return
    if is_ours:
        path.unlink()
    raise InputError(
        f"download {name!r}: {remote.name.removeprefix('.')} from {remote.place} has {found} and "
        f"should have {expected}; start again to download it again, or correct config key "
        f"downloads.{name} if you trust this file"
    )
