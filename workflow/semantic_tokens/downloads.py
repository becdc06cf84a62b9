"""What comes over the network besides package archives: repositories of the Hugging Face hub,
records of Zenodo, files and archives at a URL.

A download goes into a folder of its own outside the declared outputs, which Snakemake deletes when
a job starts again: what has arrived is kept, and the next run goes on from there. When all is
there and of the pinned checksums, the folder is renamed to its place. Nothing in it is executed.
"""

import contextlib
import errno
import fnmatch
import functools
import hashlib
import logging
import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from semantic_tokens.errors import InputError
from semantic_tokens.files import read_json, whole, write_json
from semantic_tokens.text_files import filled_lines

log = logging.getLogger(__name__)

#: Written beside the files: where they come from, which revision, their sizes and checksums.
PROVENANCE = ".provenance.json"
#: The address a mirror of the hub stands in for.
HUB = "hub"

_SHA256 = re.compile("[0-9a-f]{64}")
_TRIES = 6
_LONGEST_WAIT = 120  # seconds between two tries
_TIMEOUT = (20, 120)  # seconds to connect, and to wait for the next bytes
_AT_ONCE = 2**20
_READ = 2**16  # bytes that a broken connection loses at the most
_ARCHIVE = ".archive"
# Text packs to a twentieth at the best; what unpacks to more than this is meant to fill a disk.
_LARGEST_RATIO = 200
_SMALL = 100_000_000  # bytes that any archive may unpack to
_SPEC = ".spec.json"  # what is being fetched, while it is
_DESCRIPTION = ("licence", "size_mb")  # of a spec, what decides no file


@dataclass(frozen=True)
class _Remote:
    """One file to fetch: its path in the folder, where it lies, and what is known of it."""

    name: str
    place: str
    size: int | None = None
    algorithm: str = "sha256"
    digest: str | None = None


def fetch_download(
    name: str,
    target: str | Path,
    partial: str | Path,
    spec: Mapping[str, Any],
    mirrors: Mapping[str, str] | None = None,
) -> None:
    """Put the files of one entry of the config's ``downloads`` into a folder, all or none.

    Args:
        name: its key, for messages.
        target: the folder to make.
        partial: the folder that keeps what has arrived so far; on the same disk.
        spec: ``hub`` (with ``hub_type``, ``revision``), ``zenodo`` or ``url`` (with ``archive``,
            ``sha256``); ``files``, ``checksums``.
        mirrors: what stands in for the hub (key ``hub``) or for addresses that begin with the
            key: another address, or a folder of this machine, whose files are linked to.

    Raises:
        InputError: something is not there, not permitted, not of its checksum or not whole, or
            the disk is full. What arrived before stays in ``partial``.
    """
    target, partial = Path(target), Path(partial)
    decisive = {key: value for key, value in spec.items() if key not in _DESCRIPTION}
    if spec.get("checksums"):
        decisive["checksums"] = read_checksums(spec["checksums"])  # and not where they stand
    mirrors = mirrors or {}
    try:
        _begin(partial, decisive)
        if spec.get("hub"):
            revision, sums = _from_hub(name, spec, partial, mirrors.get(HUB))
        else:
            revision, sums = _from_addresses(name, decisive, partial, mirrors)
        _describe(partial, spec, revision, sums)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise InputError(
            f"download {name!r}: the disk of {partial} is full; free some room and start again: "
            "what has arrived is kept"
        ) from error
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    (partial / _SPEC).unlink()  # last of all: without it, what has arrived is not gone on with
    os.replace(partial, target)


def _describe(
    folder: Path, spec: Mapping[str, Any], revision: str | None, sums: Mapping[str, str]
) -> None:
    """Write where the files come from, and the size and SHA-256 of each.

    Args:
        sums: those that are known already.
    """
    apart = (_SPEC, PROVENANCE)
    files = {str(p.relative_to(folder)): p for p in sorted(folder.rglob("*")) if p.is_file()}
    files = {file: path for file, path in files.items() if file not in apart}
    write_json(
        {
            "from": spec.get("hub") or spec.get("zenodo") or spec["url"],
            "revision": revision,
            "licence": spec.get("licence"),
            "bytes": {file: path.stat().st_size for file, path in files.items()},
            "sha256": {file: sums.get(file) or _digest(path) for file, path in files.items()},
        },
        folder / PROVENANCE,
    )


def _begin(partial: Path, spec: dict[str, Any]) -> None:
    """Keep what has arrived of this very download, and nothing of another."""
    if partial.exists() and (not (partial / _SPEC).is_file() or read_json(partial / _SPEC) != spec):
        shutil.rmtree(partial)
    write_json(spec, partial / _SPEC)


def read_checksums(path: str | Path) -> dict[str, str]:
    """File name -> SHA-256, of a list as ``sha256sum`` writes it.

    Raises:
        InputError: names the line that is not ``<64 hexadecimal digits>  <file>``.
    """
    sums: dict[str, str] = {}
    for number, line in filled_lines(path):
        digest, file = line[:64].lower(), line[66:]
        # The character before the name says whether the file was read as text or as bytes.
        if not _SHA256.fullmatch(digest) or line[64:66] not in ("  ", " *") or not file:
            raise InputError(
                f"{path}, line {number}: a sha256 and a file name with two spaces between them are "
                f"expected, as sha256sum writes them, not {line!r}"
            )
        sums[file] = digest
    return sums


# The hub


def _from_hub(
    name: str, spec: Mapping[str, Any], folder: Path, mirror: str | None
) -> tuple[str | None, dict[str, str]]:
    """Return the revision, and the SHA-256 of the files that the hub publishes one of."""
    repository, patterns = spec["hub"], spec.get("files")
    if mirror is not None and not _is_address(mirror):
        source = Path(mirror) / repository
        _link_matching(name, source, patterns, folder)
        return spec.get("revision"), {}
    import requests
    from huggingface_hub import HfApi, hf_hub_url
    from huggingface_hub.errors import (
        GatedRepoError,
        HTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import build_hf_headers, filter_repo_objects

    kind = spec.get("hub_type", "dataset")
    refused = (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
        OfflineModeIsEnabled,
    )
    gated = (
        f"download {name!r}: {repository} is gated; accept its terms on the hub with your "
        "account, and put a token with access into HF_TOKEN"
    )

    def ask() -> Any:
        return HfApi(endpoint=mirror).repo_info(
            repository, revision=spec.get("revision"), repo_type=kind, files_metadata=True
        )

    try:
        info = _with_retries(
            ask, lambda error: isinstance(error, refused) or _is_final(error), HTTPError
        )
    except OfflineModeIsEnabled as error:
        raise InputError(
            f"download {name!r}: {repository} is on the hub, and HF_HUB_OFFLINE is set; unset it "
            f"where there is a network, or name a folder for {HUB} in the config's `mirrors`"
        ) from error
    except GatedRepoError as error:
        raise InputError(gated) from error
    except RevisionNotFoundError as error:
        raise InputError(
            f"download {name!r}: {repository} has no revision {spec.get('revision')} (any more); "
            f"mend `revision` of config key downloads.{name}, or name a mirror that has it"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"download {name!r}: the hub has no {kind} {repository}, or not for you; mend `hub` of "
            f"config key downloads.{name}, or put a token with access into HF_TOKEN"
        ) from error
    except (HTTPError, ConnectionError, TimeoutError) as error:
        raise _out_of_reach(name, repository, error, HUB) from error
    files = {file.rfilename: file for file in info.siblings or ()}
    wanted = list(filter_repo_objects(files, allow_patterns=patterns))
    if not wanted:
        raise InputError(
            f"download {name!r}: {repository} has no file that matches {', '.join(patterns or ())} "
            f"at revision {info.sha}; mend `files` of config key downloads.{name}"
        )
    sums = {file: files[file].lfs.sha256 for file in wanted if files[file].lfs}
    remotes = [
        _Remote(
            file,
            hf_hub_url(repository, file, repo_type=kind, revision=info.sha, endpoint=mirror),
            files[file].size,
            digest=sums.get(file),
        )
        for file in wanted
    ]
    _require_room(name, folder, sum(_missing(remote, folder) for remote in remotes))
    # The hub's own client begins a file anew whose transfer broke off, and some have gigabytes.
    for remote in _progress(remotes, desc=name, unit="file", mininterval=2):
        try:
            _transfer(name, remote, folder, build_hf_headers())
        except requests.RequestException as error:
            answer = getattr(error, "response", None)
            if answer is not None and answer.headers.get("X-Error-Code") == "GatedRepo":
                raise InputError(gated) from error
            raise _out_of_reach(name, f"{remote.name} of {repository}", error, HUB) from error
    if spec.get("revision") is None:
        log.warning(
            "%s: %s was fetched at its newest revision; to pin it, set revision: %s",
            name,
            repository,
            info.sha,
        )
    return info.sha, sums


# Addresses


def _from_addresses(
    name: str, spec: Mapping[str, Any], folder: Path, mirrors: Mapping[str, str]
) -> tuple[str | None, dict[str, str]]:
    """Return the revision, and the SHA-256 of the files that were checked by one.

    Args:
        spec: its ``checksums`` are read already: file name -> SHA-256.
    """
    if spec.get("archive"):
        place = mirrored(spec["url"], mirrors)
        archive = folder / _ARCHIVE
        _fetch(name, _Remote(_ARCHIVE, place, digest=spec.get("sha256")), folder)
        digest = spec.get("sha256") or _digest(archive)
        try:
            extract(archive, folder, spec.get("files"))
        except InputError as error:
            archive.unlink(missing_ok=True)  # damaged: the next run fetches it anew
            raise InputError(f"download {name!r} ({place}): {error}") from error
        archive.unlink()
        if not spec.get("sha256"):
            log.warning("%s: nothing said what it must be; to pin it, set sha256: %s", name, digest)
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
            "%s: nothing said what its files must be; to pin them, list their checksums and set "
            "`checksums` (docs/sources.md says how)",
            name,
        )
    return None, {remote.name: remote.digest for remote in remotes if remote.digest}


def _zenodo_files(
    name: str, record: str, patterns: Sequence[str] | None, mirrors: Mapping[str, str]
) -> list[_Remote]:
    """The files of a record with the sizes and MD5 sums that Zenodo publishes of them."""
    place = mirrored(f"https://zenodo.org/records/{record}/files/", mirrors)
    if not _is_address(place):
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
    wanted = [remote for remote in found if _matches(remote.name, patterns)]
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
        return _with_retries(ask, _is_final, requests.RequestException)
    except requests.RequestException as error:
        raise _out_of_reach(name, address, error, address) from error


def _fetch(name: str, remote: _Remote, folder: Path) -> None:
    """Put one file into the folder; one that is there and right already is kept."""
    target = folder / _safe(remote.name)
    if target.exists():
        return  # checked when it came
    if not _is_address(remote.place):
        source = Path(remote.place)
        if not source.is_file():
            raise InputError(
                f"download {name!r}: there is no file {source}; put it there or mend `mirrors`"
            )
        _check(name, source, remote, is_ours=False)
        _link(source, target)
        return
    import requests

    try:
        _transfer(name, remote, folder)
    except requests.RequestException as error:
        raise _out_of_reach(name, remote.place, error, remote.place) from error


def _transfer(
    name: str, remote: _Remote, folder: Path, headers: Mapping[str, str] | None = None
) -> None:
    """Put one file that lies at an address into the folder, with retries, and check it.

    Args:
        headers: of the requests, beside those that resume a transfer.

    Raises:
        requests.RequestException: it cannot be had; what arrived of it is kept.
        InputError: it is not what it should be, and is removed.
    """
    import requests

    target = folder / _safe(remote.name)
    if target.exists():
        return  # checked when it came
    target.parent.mkdir(parents=True, exist_ok=True)
    arriving = _arriving(target)
    _with_retries(
        lambda: _get(remote.place, arriving, headers or {}, is_checked=remote.digest is not None),
        _is_final,
        requests.RequestException,
    )
    _check(name, arriving, remote)
    os.replace(arriving, target)


def _arriving(target: Path) -> Path:
    """Where a file lies while it is not whole."""
    return target.with_name(f".{target.name}.arriving")


def _progress(*given: Any, **named: Any) -> Any:
    """A bar of progress. Its library is not where Snakemake alone is installed, which imports
    this module to read a configuration."""
    from tqdm import tqdm

    return tqdm(*given, **named)


def _missing(remote: _Remote, folder: Path) -> int:
    """Bytes that are still to come of a file."""
    target = folder / _safe(remote.name)
    if target.exists():
        return 0
    arriving = _arriving(target)
    return (remote.size or 0) - (arriving.stat().st_size if arriving.exists() else 0)


def _get(address: str, path: Path, headers: Mapping[str, str], *, is_checked: bool) -> None:
    """Fetch a file, or what is missing of one that broke off.

    Args:
        is_checked: whether a checksum will tell if the parts belong together; else only what the
            server marks as the same file is gone on with.
    """
    import requests

    tag = path.with_name(f"{path.name}.etag")
    have = path.stat().st_size if path.exists() else 0
    headers = {**headers, "Accept-Encoding": "identity"}
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


# Archives


def extract(archive: Path, folder: Path, patterns: Sequence[str] | None) -> list[Path]:
    """Take the files that match out of a zip or tar archive, each whole or not at all.

    Args:
        patterns: of member names; None takes all files.

    Raises:
        InputError: the archive is cut short or damaged, holds no member that matches, or among
            those that do one that would land outside the folder, is a link, or unpacks to so
            much that it is no archive of data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    room = max(_SMALL, _LARGEST_RATIO * archive.stat().st_size)
    try:
        for member, size, opened in _members(archive):
            if not _matches(member, patterns):
                continue
            target = folder / _safe(member)
            if opened is None:
                raise InputError(
                    f"{member!r} is a link or a device, which is not unpacked; name the files "
                    "that are wanted in `files`, or use another source"
                )
            room -= size
            if room < 0:
                raise InputError(
                    f"{member!r} and what is before it unpack to more than {_LARGEST_RATIO} times "
                    "the archive; name the files that are wanted in `files`, or use another source"
                )
            _require_room(archive.name, folder, size)
            with opened() as source, whole(target) as partial, partial.open("wb") as file:
                shutil.copyfileobj(source, file, _AT_ONCE)
            if target.stat().st_size != size:
                raise InputError(f"{member} has not the size that the archive says")
            made.append(target)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise InputError(
            f"the archive is cut short or damaged ({' '.join(str(error).split())}); start again to "
            "fetch it anew"
        ) from error
    except (RuntimeError, FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        # Encrypted, packed in a way unknown here, or a file where another member has a folder.
        raise InputError(f"the archive cannot be unpacked ({error}); use another source") from error
    if not made:
        raise InputError(f"the archive has no file that matches {', '.join(patterns or ('*',))}")
    return made


def _members(archive: Path) -> Iterator[tuple[str, int, Callable[[], Any] | None]]:
    """Name, size and opener of every member but folders; links and devices have no opener."""
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


def _safe(name: str) -> str:
    """A member's name, if it stays below the folder it is put into."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise InputError(f"{name!r} would land outside its folder; use another source")
    if "\\" in name or ":" in path.parts[0]:
        raise InputError(f"{name!r} would land outside its folder; use another source")
    return str(path)


# What they share


def mirrored(address: str, mirrors: Mapping[str, str]) -> str:
    """The address, or what stands in for it: the longest key it begins with is replaced.

    >>> mirrored("https://a.org/b/c.txt", {"https://a.org/": "/data/a", "hub": "/data/hub"})
    '/data/a/b/c.txt'
    """
    keys = [key for key in mirrors if key != HUB and address.startswith(key)]
    if not keys:
        return address
    key = max(keys, key=len)
    rest = address[len(key) :].lstrip("/")
    return mirrors[key].rstrip("/") + ("/" + rest if rest else "")


def _is_address(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def _matches(name: str, patterns: Sequence[str] | None) -> bool:
    return patterns is None or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _link_matching(name: str, source: Path, patterns: Sequence[str] | None, folder: Path) -> None:
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    wanted = [path for path in files if _matches(path.relative_to(source).as_posix(), patterns)]
    if not wanted:
        raise InputError(
            f"download {name!r}: {source} holds no file that matches {', '.join(patterns or ('*',))};"
            " lay the files out there as the hub does, or mend `mirrors`"
        )
    for path in wanted:
        _link(path, folder / path.relative_to(source))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(source.resolve())


def _check(name: str, path: Path, remote: _Remote, *, is_ours: bool = True) -> None:
    """Raise an InputError where a file is not what it should be, and remove it if it is ours."""
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
        f"should have {expected}; start again to fetch it anew, or mend config key "
        f"downloads.{name} if you trust this file"
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_room(name: str, folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise InputError(
            f"download {name!r} needs {size / 1e9:.1f} GB and the disk of {folder} has "
            f"{free / 1e9:.1f} GB free; free some room, or run with --directory on another disk"
        )


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _is_final(error: BaseException) -> bool:
    """Whether trying again cannot help: refused, or not there."""
    status = _status(error)
    return status is not None and status < 500 and status not in (408, 425, 429)


def _with_retries(
    work: Callable[[], Any],
    is_final: Callable[[BaseException], bool],
    passing: type[BaseException],
) -> Any:
    """Do it, and again with growing pauses while the network fails; raise what remains."""
    from tenacity import (
        Retrying,
        before_sleep_log,
        retry_if_exception,
        stop_after_attempt,
        wait_random_exponential,
    )

    retrying = Retrying(
        retry=retry_if_exception(
            lambda error: (
                isinstance(error, (passing, ConnectionError, TimeoutError)) and not is_final(error)
            )
        ),
        stop=stop_after_attempt(_TRIES),
        wait=wait_random_exponential(multiplier=2, max=_LONGEST_WAIT),
        before_sleep=before_sleep_log(log, logging.WARNING),
        reraise=True,
    )
    return retrying(work)


def _out_of_reach(name: str, what: str, error: Exception, mirror: str) -> InputError:
    status = _status(error)
    reason = {
        401: "it asks for permission: put a token with access into HF_TOKEN",
        403: "you may not have it: accept its terms, or put a token with access into HF_TOKEN",
        404: "it is not there (any more)",
        410: "it is not there any more",
    }.get(status or 0)
    if reason is None:
        last = str(error).strip().partition("\n")[0]
        reason = f"{_TRIES} tries failed, the last with {type(error).__name__}: {last}"
    return InputError(
        f"download {name!r}: {what} cannot be had: {reason}. Check the network, or name a folder or "
        f"another address for {mirror} in the config's `mirrors`; what has arrived is kept"
    )
