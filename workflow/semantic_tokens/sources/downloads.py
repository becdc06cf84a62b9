"""Downloads: repositories of the Hugging Face hub, records of Zenodo, and files and archives at
URLs.

An unfinished download is in a separate folder, because Snakemake deletes declared outputs when a
job starts again. So fetched files are kept, and the next run continues. When all files are complete
and their checksums are correct, the folder is renamed. No downloaded code is run.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semantic_tokens.files import full_disk_as_input_error, replace_folder, sha256_of
from semantic_tokens.json_files import read_json, write_json
from semantic_tokens.sources.addresses import HUB, from_addresses
from semantic_tokens.sources.folder import read_checksums
from semantic_tokens.sources.hub import from_hub

#: An additional file with the source, the revision, and the sizes and checksums of the files.
PROVENANCE = ".provenance.json"

_SPEC = ".spec.json"  # the entry that is being fetched
_DESCRIPTION = ("licence", "size_mb")  # the keys of an entry that do not affect files


def fetch_download(
    name: str,
    target: str | Path,
    partial: str | Path,
    spec: Mapping[str, Any],
    mirrors: Mapping[str, str] | None = None,
) -> None:
    """Fetch the files of one entry of the config's ``downloads`` into a folder, atomically.

    Args:
        name: its key, for messages.
        target: the folder to write.
        partial: the folder of the unfinished download, on the same disk.
        spec: ``hub`` (with ``hub_type``, ``revision``), ``zenodo`` or ``url`` (with ``archive``,
            ``sha256``); ``files``, ``checksums``.
        mirrors: replacements for the hub (key ``hub``) or for addresses that start with the key:
            other addresses, or local folders, whose files are linked.

    Raises:
        InputError: a file is missing, not permitted, incomplete or has the wrong checksum, or the
            disk is full. Fetched files stay in ``partial``.
    """
    target, partial = Path(target), Path(partial)
    decisive = {key: value for key, value in spec.items() if key not in _DESCRIPTION}
    if spec.get("checksums"):
        decisive["checksums"] = read_checksums(spec["checksums"])  # the content, not the path
    mirrors = mirrors or {}
    remedy = "free some space and start again: data that has arrived is kept"
    with full_disk_as_input_error(f"download {name!r}", partial, remedy):
        _begin(partial, decisive)
        if spec.get("hub"):
            revision, sums = from_hub(name, spec, partial, mirrors.get(HUB))
        else:
            revision, sums = from_addresses(name, decisive, partial, mirrors)
        _describe(partial, spec, revision, sums)
    target.parent.mkdir(parents=True, exist_ok=True)
    (partial / _SPEC).unlink()  # last, since a folder without it is not continued
    replace_folder(partial, target)


def _describe(
    folder: Path, spec: Mapping[str, Any], revision: str | None, sums: Mapping[str, str]
) -> None:
    """Write the source of the files, and the size and SHA-256 of each.

    Args:
        sums: the known checksums.
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
    """Keep fetched files of the same entry, and remove those of another."""
    if partial.exists() and (not (partial / _SPEC).is_file() or read_json(partial / _SPEC) != spec):
        shutil.rmtree(partial)
    write_json(spec, partial / _SPEC)
