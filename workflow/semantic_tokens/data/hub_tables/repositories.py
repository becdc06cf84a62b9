"""The sources of tables: repositories of the hub or folders in the same layout, and their
configurations."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from semantic_tokens.data.languages import iso639_3, require_languages
from semantic_tokens.errors import InputError
from semantic_tokens.sources.addresses import is_address


@dataclass(frozen=True)
class Repository:
    """The source of tables.

    Attributes:
        key: the config key that names it, for messages.
        name: ``owner/name`` on the hub; None if only a folder is given.
        revision: its commit, branch or tag; None for the newest.
        folder: a local copy, which has priority over the hub.
        endpoint: an address with the interface of the hub; None for the hub, or HF_ENDPOINT.
    """

    key: str
    name: str | None = None
    revision: str | None = None
    folder: Path | None = None
    endpoint: str | None = None

    def __str__(self) -> str:
        return str(self.folder or self.name)


def repository_of(
    key: str,
    name: str | None,
    revision: str | None = None,
    folder: Path | None = None,
    mirror: str | None = None,
) -> Repository:
    """A repository on the hub, or on a mirror from the config's ``mirrors``.

    Args:
        mirror: an address with the interface of the hub, or a folder with ``owner/name`` below it.

    Raises:
        InputError: neither a name nor a folder is given, or the mirror lacks it.
    """
    if name is None and folder is None:
        raise InputError(
            f"{key}: the location of the data is missing; give `id`, the name of a dataset on the hub, "
            "or a `path` or `download` with the same layout"
        )
    if folder is None and name is not None and mirror is not None and not is_address(mirror):
        folder = Path(mirror) / name
    if folder is not None and not folder.is_dir():
        raise InputError(f"{key}: there is no folder {folder}; put the data there or correct it")
    endpoint = mirror if mirror is not None and is_address(mirror) else None
    if endpoint is not None and folder is None:
        # `datasets` reads it only from the environment, at its first import.
        os.environ["HF_ENDPOINT"] = endpoint
    return Repository(key, name, revision, folder, endpoint)


class Part(NamedTuple):
    """A configuration and the language of its rows; None if a column has the language."""

    language: str | None
    configuration: str | None


def parts_of(
    configurations: Mapping[str, str] | str | None,
    language: str | None,
    languages: Sequence[str] | None,
    key: str,
) -> list[Part]:
    """The configurations to read, in the given order.

    Raises:
        InputError: a code is not ISO 639-3, or a requested language is missing.
    """
    if language is not None and iso639_3(str(language)) != language:
        raise InputError(
            f"{key}.language is {language!r} and must be ISO 639-3: {iso639_3(str(language))}"
        )
    if not isinstance(configurations, Mapping):
        if language is not None:
            require_languages(languages, [language], f"{key}.language", "`languages`")
        return [Part(language, None if configurations is None else as_written(configurations))]
    for code in configurations:
        if not isinstance(code, str) or iso639_3(code) != code:
            raise InputError(
                f"{key}.configurations has {code!r} and must name languages by ISO 639-3 codes"
            )
    require_languages(languages, configurations, f"{key}.configurations", "`languages`")
    return [
        Part(code, as_written(configurations[code]))
        for code in configurations
        if languages is None or code in languages
    ]


def as_written(name: Any) -> str:
    """A name as it was written: YAML reads Norwegian's ``no`` as false."""
    return "no" if name is False else str(name)


def pattern_of(files: str | None, part: Part) -> str | None:
    """A pattern of files with ``{language}`` and ``{configuration}`` replaced."""
    if files is None:
        return None
    filled = str(files).replace("{language}", part.language or "")
    return filled.replace("{configuration}", part.configuration or "")
