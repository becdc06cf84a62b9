"""What comes over the network besides package archives: repositories of the Hugging Face hub,
records of Zenodo, files and archives at a URL.

A download goes into a folder of its own outside the declared outputs, which Snakemake deletes when
a job starts again: what has arrived is kept, and the next run goes on from there. When all is
there and of the pinned checksums, the folder is renamed to its place. Nothing in it is executed.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semantic_tokens.files import read_json, write_json
from semantic_tokens.sources.addresses import HUB, from_addresses
from semantic_tokens.sources.folder import full_disk_is_told, read_checksums, sha256_of
from semantic_tokens.sources.hub import from_hub

#: Written beside the files: where they come from, which revision, their sizes and checksums.
PROVENANCE = ".provenance.json"

_SPEC = ".spec.json"  # what is being fetched, while it is
_DESCRIPTION = ("licence", "size_mb")  # of a spec, what decides no file


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
    with full_disk_is_told(name, partial):
        _begin(partial, decisive)
        if spec.get("hub"):
            revision, sums = from_hub(name, spec, partial, mirrors.get(HUB))
        else:
            revision, sums = from_addresses(name, decisive, partial, mirrors)
        _describe(partial, spec, revision, sums)
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
            "sha256": {file: sums.get(file) or sha256_of(path) for file, path in files.items()},
        },
        folder / PROVENANCE,
    )


def _begin(partial: Path, spec: dict[str, Any]) -> None:
    """Keep what has arrived of this very download, and nothing of another."""
    if partial.exists() and (not (partial / _SPEC).is_file() or read_json(partial / _SPEC) != spec):
        shutil.rmtree(partial)
    write_json(spec, partial / _SPEC)
