"""Downloads of repositories of the Hugging Face hub with its own client. Files in the user's cache
(HF_HOME) are not fetched again. Tokens, HF_ENDPOINT and HF_HUB_OFFLINE have an effect."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semantic_tokens.errors import InputError
from semantic_tokens.files import sha256_of
from semantic_tokens.sources.addresses import HUB, is_address
from semantic_tokens.sources.folder import link, matches, require_room, share
from semantic_tokens.sources.network import out_of_reach

log = logging.getLogger(__name__)

_SHA256 = re.compile("[0-9a-f]{64}")  # the name of a large file in the cache


def from_hub(
    name: str, spec: Mapping[str, Any], folder: Path, mirror: str | None
) -> tuple[str | None, dict[str, str]]:
    """Fetch one repository's files into the hub's cache, and share them with the folder.

    Args:
        spec: ``hub``, ``hub_type``, ``revision`` and ``files`` of an entry of ``downloads``.
        mirror: an address with the same interface as the hub, or a local folder with
            ``owner/name`` below it.

    Returns:
        the revision, and the SHA-256 of files for which the hub publishes it.

    Raises:
        InputError: the repository, the revision or a file is not available.
    """
    repository, patterns = spec["hub"], spec.get("files")
    if mirror is not None and not is_address(mirror):
        _link_matching(name, Path(mirror) / repository, patterns, folder)
        return spec.get("revision"), {}
    snapshot = snapshot_of(
        f"download {name!r}",
        repository,
        kind=spec.get("hub_type", "dataset"),
        revision=spec.get("revision"),
        patterns=patterns,
        endpoint=mirror,
    )
    sums = {}
    for path in sorted(snapshot.rglob("*")):
        file = path.relative_to(snapshot).as_posix()
        if not path.is_file() or not matches(file, patterns):
            continue
        published = path.resolve().name
        if _SHA256.fullmatch(published):
            _check(name, file, path, published)
            sums[file] = published
        share(path, folder / file)
    if spec.get("revision") is None:
        log.warning(
            "%s: %s was fetched at its newest revision; to pin it, set revision: %s",
            name,
            repository,
            snapshot.name,
        )
    return snapshot.name, sums


def snapshot_of(
    what: str,
    repository: str,
    *,
    kind: str = "dataset",
    revision: str | None = None,
    patterns: list[str] | None = None,
    endpoint: str | None = None,
    may_be_empty: bool = False,
) -> Path:
    """The folder in the hub's cache with the files of a repository at a revision; its name is the
    commit. Only missing files are fetched.

    Args:
        what: the download or dataset that needs it, for messages.
        patterns: patterns of the files; None takes all.
        may_be_empty: whether it is allowed that no file matches.

    Raises:
        InputError: it does not exist, is not permitted, or the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import DryRunError, HTTPError, LocalEntryNotFoundError

    def fetch(**more: Any) -> Any:
        return snapshot_download(
            repository,
            repo_type=kind,
            revision=revision,
            allow_patterns=patterns,
            endpoint=endpoint,
            **more,
        )

    try:
        _require_room(what, fetch(dry_run=True))
        folder = Path(fetch())
    except (
        DryRunError
    ) as error:  # the hub cannot be reached or refuses, but all files may be in the cache
        try:
            folder = Path(fetch(local_files_only=True))
        except LocalEntryNotFoundError:
            raise refusal(what, kind, repository, revision, error) from error
    except (HTTPError, LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        raise refusal(what, kind, repository, revision, error) from error
    if may_be_empty:
        return folder
    if not folder.is_dir() or not any(
        path.is_file() and matches(path.relative_to(folder).as_posix(), patterns)
        for path in folder.rglob("*")
    ):
        raise InputError(
            f"{what}: {repository} has no file that matches {', '.join(patterns or ['*'])} at "
            f"revision {folder.name}; correct its `files` in the config"
        )
    return folder


def refusal(
    what: str, kind: str, repository: str, revision: str | None, error: Exception
) -> InputError:
    """A one-line message for an error of the hub's client, which may have another error as its
    cause."""
    from huggingface_hub.errors import (
        GatedRepoError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    known = (
        GatedRepoError,
        RevisionNotFoundError,
        RepositoryNotFoundError,
        OfflineModeIsEnabled,
    )
    cause = error if isinstance(error, known) else error.__cause__ or error
    if isinstance(cause, GatedRepoError):
        reason = (
            f"{repository} is gated; accept its terms on the hub with your account, and put a "
            "token with access into HF_TOKEN"
        )
    elif isinstance(cause, RevisionNotFoundError):
        reason = (
            f"{repository} has no revision {revision} (any more); correct its `revision` in the "
            "config, or name a mirror that has it"
        )
    elif isinstance(cause, RepositoryNotFoundError):
        reason = (
            f"the hub has no {kind} {repository}, or you have no access; correct its name in the config, "
            "or put a token with access into HF_TOKEN"
        )
    elif isinstance(cause, OfflineModeIsEnabled):
        reason = (
            f"{repository} is on the hub and not in its cache, and HF_HUB_OFFLINE is set; unset it "
            f"if there is a network, or name a folder for {HUB} in the config's `mirrors`"
        )
    else:
        return out_of_reach(what, repository, cause, HUB)
    return InputError(f"{what}: {reason}")


def _require_room(what: str, files: Any) -> None:
    from huggingface_hub.constants import HF_HUB_CACHE

    cache = Path(HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    require_room(what, cache, sum(file.file_size for file in files if file.will_download))


def _check(name: str, file: str, path: Path, published: str) -> None:
    """Raise an InputError if a cached file has the wrong checksum, and remove it from the cache."""
    found = sha256_of(path)
    if found == published:
        return
    path.resolve().unlink()
    path.unlink(missing_ok=True)
    raise InputError(
        f"download {name!r}: {file} in the hub's cache has sha256 {found} and should have "
        f"{published}; start again to download it again"
    )


def _link_matching(name: str, source: Path, patterns: list[str] | None, folder: Path) -> None:
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    wanted = [path for path in files if matches(path.relative_to(source).as_posix(), patterns)]
    if not wanted:
        raise InputError(
            f"download {name!r}: {source} contains no file that matches {', '.join(patterns or ('*',))};"
            " put the files there with the layout of the hub, or correct `mirrors`"
        )
    for path in wanted:
        link(path, folder / path.relative_to(source))
