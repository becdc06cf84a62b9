"""The provenance of results: code, configuration, packages, seeds, and all external files."""

import hashlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

import semantic_tokens
from semantic_tokens.files import sha256_of
from semantic_tokens.report.pages import Section, write_page


def provenance(config: Mapping[str, Any], sources: Iterable[str | Path]) -> dict[str, Any]:
    """All inputs of the results as plain values, without time and user.

    Args:
        config: the entire configuration, with defaults.
        sources: external files and folders.
    """
    return {
        "code": code_version(Path(semantic_tokens.__file__).parents[2]),
        "configuration": config,
        "seeds": seeds_in(config),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": package_versions(),
        "inputs": checksums(sources),
    }


def write_provenance_page(made_by: Mapping[str, Any], path: str | Path) -> None:
    """Write :func:`provenance` as a page, with one key per line."""
    parts = ("code", "configuration", "packages", "inputs")
    run = {key: value for key, value in made_by.items() if key not in (*parts, "seeds")}
    lines = {part: flattened(made_by[part]) for part in parts}
    lines["code"] |= flattened(run)
    headings = {
        "code": "Code and machine",
        "configuration": "Configuration",
        "packages": "Packages",
        "inputs": "Files from outside, and their SHA-256",
    }
    sections = [
        Section(pd.DataFrame({"key": list(found), "value": list(found.values())}), headings[part])
        for part, found in lines.items()
        if found
    ]
    title = f"Configuration and versions: {made_by['configuration'].get('title', '')}"
    write_page(
        path, title, ["All keys, those that were left at their defaults included."], sections
    )


def flattened(values: Mapping[str, Any], key: str = "") -> dict[str, str]:
    """Dotted key -> value as text, in the given order; an empty section is a dash.

    >>> flattened({"a": {"b": [1, "x"], "c": {}}, "d": None})
    {'a.b': '1, x', 'a.c': '–', 'd': '–'}
    """
    found: dict[str, str] = {}
    for name, value in values.items():
        path = f"{key}.{name}" if key else str(name)
        if isinstance(value, Mapping) and value:
            found |= flattened(value, path)
        elif isinstance(value, list):
            found[path] = ", ".join(map(str, value)) or "–"
        else:
            found[path] = "–" if value is None or value == {} else str(value)
    return found


def code_version(root: Path) -> dict[str, Any]:
    """The package's version and a digest of its source; and the commit of its checkout and whether
    the checkout has changes, both None without a checkout. A copy of a commit has a file ``commit``
    that names it."""
    package = Path(semantic_tokens.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".yaml", ".j2", ".css", ".js"):
            digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    commit = status = None
    if (root / ".git").exists():
        commit = _git(root, "rev-parse", "HEAD")
        status = None if commit is None else _git(root, "status", "--porcelain")
    elif (root / "commit").is_file():
        commit, status = (root / "commit").read_text(encoding="utf-8").strip(), ""
    return {
        "version": semantic_tokens.__version__,
        "sha256": digest.hexdigest(),
        "commit": commit,
        "changed_since": None if status is None else bool(status),
    }


def _git(root: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def package_versions() -> dict[str, str]:
    """Name -> version of every installed package."""
    found = {
        distribution.metadata["Name"]: distribution.version
        for distribution in importlib.metadata.distributions()
    }
    return {name: found[name] for name in sorted(found, key=str.lower)}


def seeds_in(config: Any, key: str = "") -> dict[str, Any]:
    """Dotted key -> value of every ``seed`` and ``seeds`` of a configuration.

    >>> seeds_in({"seeds": [1, 2], "grouping": {"kmeans": {"seed": 3, "tolerance": 0}}})
    {'seeds': [1, 2], 'grouping.kmeans.seed': 3}
    """
    found: dict[str, Any] = {}
    for name, value in config.items():
        path = f"{key}.{name}" if key else str(name)
        if name in ("seed", "seeds"):
            found[path] = value
        elif isinstance(value, Mapping):
            found |= seeds_in(value, path)
    return found


def checksums(sources: Iterable[str | Path]) -> dict[str, str]:
    """Path -> SHA-256 of every file, including files in folders, each once."""
    files = sorted({file for source in sources for file in _files(Path(source))})
    return {file.as_posix(): sha256_of(file) for file in files}


def _files(source: Path) -> Iterator[Path]:
    if source.is_dir():
        yield from (path for path in source.rglob("*") if path.is_file() and not _is_ours(path))
    else:
        yield source


def _is_ours(path: Path) -> bool:
    return path.name == ".snakemake_timestamp"  # Snakemake's mark in folders
