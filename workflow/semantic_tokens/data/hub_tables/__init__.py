"""Tables in the formats of the Hugging Face hub, opened with ``datasets``, from a repository or
from a local folder in the same layout."""

import csv
import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from semantic_tokens.data.hub_tables.repositories import (
    Part,
    Repository,
    as_written,
    parts_of,
    pattern_of,
    repository_of,
)
from semantic_tokens.data.hub_tables.table import (
    WITHHELD,
    Table,
    is_slice,
    names_in,
    of_json,
    of_library,
    of_text,
    one_line_errors,
    share_rows,
    sliced,
)
from semantic_tokens.errors import InputError
from semantic_tokens.sources.hub import snapshot_of
from semantic_tokens.text_files import plain_name

__all__ = [
    "WITHHELD",
    "Part",
    "Repository",
    "Table",
    "as_written",
    "is_slice",
    "names_in",
    "open_tables",
    "parts_of",
    "pattern_of",
    "repository_of",
    "share_rows",
    "sliced",
]

_JSON = (".json", ".jsonl")
# The separators of columns in tables of text, by the endings of their names.
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
# What a card may say about a table of text that :func:`of_text` reads; others need the library.
_OF_TEXT = {"name", "version", "data_dir", "data_files", "description", "sep", "delimiter"}
# Files of a repository that describe its tables.
_CARDS = ["README.md", ".huggingface.yaml", "dataset_infos.json"]


def open_tables(
    repository: Repository,
    splits: Mapping[str, str],
    *,
    configuration: str | None = None,
    files: str | None = None,
    streaming: bool = False,
    need_all: bool = False,
    columns: Collection[str] = (),
) -> dict[str, Table]:
    """Open the splits of one configuration. Only the needed files are fetched.

    Args:
        splits: our name -> the publisher's name, which may have a slice such as ``train[:80%]``, or
            several parts such as ``train+validation``.
        configuration: None for the default one.
        files: a pattern of the files, in which ``{split}`` is the publisher's split; None uses the
            repository's card, or the rules of ``datasets`` for file names.
        streaming: stream rows from the hub without storing files.
        need_all: whether a single missing split is an error, and not only if all are missing.
        columns: the columns to read, which are numbers in tables of text without a header
            (:func:`~semantic_tokens.data.hub_tables.table.of_text`).

    Returns:
        the available splits.

    Raises:
        InputError: the repository or configuration is not available, has none of the splits, or
            lacks a part of one.
    """
    where = f"{repository}" + (f", configuration {configuration}" if configuration else "")
    names = {split: sorted(names_in(published)) for split, published in splits.items()}
    patterns = {n: _fill(repository.key, files, n) for of_split in names.values() for n in of_split}
    folder = repository.folder
    is_streamed = streaming and folder is None
    if is_streamed:
        _snapshot(repository)  # only the cards, for a one-line message about errors
    elif folder is None:
        folder = _cached(repository, configuration, [p for p in patterns.values() if p])
    builder = None if files else _builder(repository, folder, configuration, where)
    there = (
        {name: _matching(repository, folder, pattern) for name, pattern in patterns.items()}
        if files
        else _by_card(builder, patterns)
    )
    is_known = not (is_streamed and files)  # otherwise files are found during reading
    tables = {}
    for split, published in splits.items():
        missing = [name for name in names[split] if is_known and not there[name]]
        if missing == names[split]:
            continue
        place = f"{where}, split {published}"
        if missing:
            raise InputError(
                f"{repository.key}: {place}: there is no {', '.join(missing)}; correct `splits`"
            )
        of_names = {n: list(map(Path, there[n])) for n in names[split]} if folder else {}
        used = [file for of_name in of_names.values() for file in of_name]
        with one_line_errors(place, repository, used):
            if used and all(plain_name(file).endswith(_JSON) for file in used):
                tables[split] = of_json(of_names, published, place)
                continue
            listed = [
                file for name in names[split] for file in there[name] or [str(patterns[name])]
            ]
            separator = _separator(listed, builder)
            if used and separator is not None and _is_plain(builder):
                tables[split] = of_text(of_names, published, place, separator, columns)
                continue
            from datasets import load_dataset

            dataset = load_dataset(
                str(folder or repository.name),
                name=None if files else configuration,
                data_files={name: patterns[name] for name in names[split]} if files else None,
                split=published,
                revision=None if folder else repository.revision,
                streaming=not (is_slice(published) or len(names[split]) > 1),
                **_words_only(separator),
            )
            tables[split] = of_library(dataset, published, place, used)
    if not tables or (need_all and len(tables) < len(splits)):
        absent = [split for split in splits if split not in tables]
        searched = [str(patterns[name]) for split in absent for name in names[split]]
        raise InputError(
            f"{repository.key}: {where} has no split {', '.join(splits[s] for s in absent)}"
            + (f" ({', '.join(searched)})" if files else "")
            + "; correct `splits`"
            + (" or `files`" if files else ", or name the `files`")
        )
    return tables


def _cached(repository: Repository, configuration: str | None, patterns: Sequence[str]) -> Path:
    """The folder in the hub's cache with the files of a configuration, or with matching files.
    Missing files are fetched."""
    if patterns:
        return _snapshot(repository, *patterns)
    folder = _snapshot(repository)
    import huggingface_hub.constants

    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return folder  # the files were fetched before
    with one_line_errors(f"{repository}", repository):
        from datasets import load_dataset_builder

        builder = load_dataset_builder(
            repository.name, name=configuration, revision=repository.revision or folder.name
        )
        of_splits = builder.config.data_files or {}
    marks = [
        str(file).partition("@")[2].partition("/")[2] for fs in of_splits.values() for file in fs
    ]
    if not all(marks):  # the library used its own cache, with an unknown revision
        return folder
    return _snapshot(repository, *marks)


def _snapshot(repository: Repository, *patterns: str) -> Path:
    """The folder in the hub's cache with the repository's cards and the matching files."""
    return snapshot_of(
        f"{repository.key} ({repository.name})",
        str(repository.name),
        revision=repository.revision,
        patterns=[*patterns, *_CARDS],
        endpoint=repository.endpoint,
        may_be_empty=not patterns,
    )


def _builder(
    repository: Repository, folder: Path | None, configuration: str | None, where: str
) -> Any:
    """The library's description of a configuration, from the repository's card or from the file
    names."""
    with one_line_errors(where, repository):
        from datasets import load_dataset_builder

        return load_dataset_builder(
            str(folder or repository.name),
            name=configuration,
            revision=None if folder else repository.revision,
        )


def _by_card(builder: Any, names: Iterable[str]) -> dict[str, list[str]]:
    """The files of the publisher's splits of a configuration."""
    found = builder.config.data_files or {}
    return {name: list(map(str, found.get(name, []))) for name in names}


def _separator(files: Sequence[str], builder: Any) -> str | None:
    """The separator of columns, if the files are tables of text; the card may name another one than
    their ending."""
    endings = {Path(plain_name(Path(file))).suffix for file in files}
    separator = _SEPARATORS.get(endings.pop()) if len(endings) == 1 else None
    return separator if separator is None or builder is None else builder.config.sep


def _is_plain(builder: Any) -> bool:
    """Whether a table of text has no options on its card except the separator."""
    if builder is None:
        return True
    config = builder.config
    return (
        builder.info.features is None
        and len(config.sep) == 1
        and all(
            getattr(config, option.name) == option.default
            for option in dataclasses.fields(config)
            if option.name not in _OF_TEXT
        )
    )


def _words_only(separator: str | None) -> dict[str, Any]:
    """The library's options for a table of text, in which ``NA`` is a word, and which has no
    quotation if the separator is a tab."""
    if separator is None:
        return {}
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    return {"keep_default_na": False, "quoting": quoting}


def _matching(repository: Repository, folder: Path | None, pattern: str | None) -> list[str]:
    """The files of a folder that match a pattern; files on the hub are found during reading."""
    if pattern is None or folder is None:
        return []
    try:
        return sorted(map(str, folder.glob(pattern)))
    except (ValueError, NotImplementedError) as error:
        raise InputError(
            f"{repository.key}: `files` is {pattern!r}, no pattern ({error})"
        ) from error


def _fill(key: str, files: str | None, split: str) -> str | None:
    if files is None:
        return None
    try:
        return files.format(split=split)
    except (AttributeError, KeyError, IndexError, ValueError) as error:
        raise InputError(
            f"{key}: `files` is {files!r} and must be a pattern with {{language}}, "
            "{configuration} and {split} in place of their names"
        ) from error
