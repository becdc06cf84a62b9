"""Tables in the formats of the Hugging Face hub, opened with ``datasets``: of a repository, or of a
folder of this machine laid out like one."""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from semantic_tokens.downloads.addresses import is_address
from semantic_tokens.downloads.hub import refusal, snapshot_of
from semantic_tokens.errors import InputError
from semantic_tokens.languages import iso639_3

log = logging.getLogger(__name__)

_ROWS_AT_ONCE = 1000
# What a repository says of its tables, besides the tables themselves.
_CARDS = ["README.md", ".huggingface.yaml", "dataset_infos.json"]


@dataclass(frozen=True)
class Repository:
    """Where tables are.

    Attributes:
        key: the config key that names it, for messages.
        name: of a repository of the hub, ``owner/name``; None if a folder alone is given.
        revision: its commit, branch or tag; None is the newest.
        folder: a copy on this machine, which goes before the hub.
        endpoint: an address that answers as the hub does; None is the hub, or HF_ENDPOINT.
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
    """A repository, or what the config's ``mirrors`` has for the hub in its place.

    Args:
        mirror: an address that answers as the hub does, or a folder with ``owner/name`` below it.

    Raises:
        InputError: neither a name nor a folder is given, or the mirror lacks it.
    """
    if name is None and folder is None:
        raise InputError(
            f"{key}: nothing says where the data are; give `id`, the name of a dataset on the hub, "
            "or a `path` or `download` that is laid out like one"
        )
    if folder is None and name is not None and mirror is not None and not is_address(mirror):
        folder = Path(mirror) / name
    if folder is not None and not folder.is_dir():
        raise InputError(f"{key}: there is no folder {folder}; put the data there or correct it")
    endpoint = mirror if mirror is not None and is_address(mirror) else None
    if endpoint is not None and folder is None:
        # `datasets` takes it from the environment alone, when it is first imported.
        os.environ["HF_ENDPOINT"] = endpoint
    return Repository(key, name, revision, folder, endpoint)


class Part(NamedTuple):
    """A configuration and the language that its rows are in; None where a column says it."""

    language: str | None
    configuration: str | None


def parts_of(
    configurations: Mapping[str, str] | str | None,
    language: str | None,
    languages: Sequence[str] | None,
    key: str,
) -> list[Part]:
    """The configurations to read, in the order that is given."""
    if language is not None and iso639_3(str(language)) != language:
        raise InputError(
            f"{key}.language is {language!r} and must be ISO 639-3: {iso639_3(str(language))}"
        )
    if not isinstance(configurations, Mapping):
        return [Part(language, None if configurations is None else as_written(configurations))]
    for code in configurations:
        if not isinstance(code, str) or iso639_3(code) != code:
            raise InputError(
                f"{key}.configurations has {code!r} and must name languages by ISO 639-3 codes"
            )
    if missing := sorted(set(languages or ()) - set(configurations)):
        raise InputError(
            f"{key}.configurations: nothing in {', '.join(missing)}; there is "
            f"{', '.join(configurations)}"
        )
    return [
        Part(code, as_written(configurations[code]))
        for code in configurations
        if languages is None or code in languages
    ]


def as_written(name: Any) -> str:
    """A name as it is written: to YAML, Norwegian's ``no`` is false."""
    return "no" if name is False else str(name)


def pattern_of(files: str | None, part: Part) -> str | None:
    """A pattern of files in which ``{language}`` and ``{configuration}`` are filled in."""
    if files is None:
        return None
    filled = str(files).replace("{language}", part.language or "")
    return filled.replace("{configuration}", part.configuration or "")


class Table:
    """One split of a table, whose rows can be gone through once.

    Attributes:
        where: the repository, configuration and split, for messages.
        columns: their names.
    """

    def __init__(self, dataset: Any, where: str, files: Sequence[Path] = ()) -> None:
        self._dataset, self.where, self._files = dataset, where, files
        with _told(where, files=files):
            if dataset.features is None:  # a format that says its columns in its rows alone
                self._dataset = dataset._resolve_features()
        self.columns: list[str] = list(self._dataset.features)

    def rows(self, columns: Mapping[str, str], key: str) -> Iterator[dict[str, Any]]:
        """The rows, with other names for their columns. Numbers of a ``ClassLabel`` become its
        names.

        Args:
            columns: our name -> the table's; ``a.b`` is the field b of column a.
            key: the config key of ``columns``, for messages.

        Raises:
            InputError: at once, names a column that is not there; or while reading, a damaged file.
        """
        for ours, theirs in columns.items():
            self._require(theirs, f"{key}.{ours}")
        return self._rows({ours: theirs.split(".") for ours, theirs in columns.items()})

    def _rows(self, paths: Mapping[str, list[str]]) -> Iterator[dict[str, Any]]:
        features = self._dataset.features
        with _told(self.where, files=self._files):
            chosen = self._dataset.select_columns(sorted({path[0] for path in paths.values()}))
            batches = iter(chosen.iter(_ROWS_AT_ONCE))
        while True:
            with _told(self.where, files=self._files):
                batch = next(batches, None)
                if batch is None:
                    return
            count = len(next(iter(batch.values())))
            for number in range(count):
                yield {
                    ours: _value(batch[path[0]][number], features[path[0]], path[1:])
                    for ours, path in paths.items()
                }

    def _require(self, column: str, key: str) -> None:
        import difflib

        feature: Any = self._dataset.features
        for part in column.split("."):
            feature = _inner(feature)
            if not isinstance(feature, dict) or part not in feature:
                names = list(feature) if isinstance(feature, dict) else self.columns
                close = difflib.get_close_matches(part, names, n=1)
                hint = f"did you mean {close[0]!r}? there" if close else "there"
                raise InputError(
                    f"{key} is {column!r}, which is no column of {self.where}; {hint} "
                    f"are {', '.join(names)}"
                )
            feature = feature[part]


def open_tables(
    repository: Repository,
    splits: Mapping[str, str],
    *,
    configuration: str | None = None,
    files: str | None = None,
    streaming: bool = False,
    need_all: bool = False,
) -> dict[str, Table]:
    """Open the splits of one configuration. Files that they do not need are not fetched.

    Args:
        splits: our name -> the publisher's, which may take a part of it, as ``train[:80%]``.
        configuration: None is the default one.
        files: a pattern of their files in which ``{split}`` is the publisher's split; None leaves
            them to the repository's card, or to what ``datasets`` makes of their names.
        streaming: read from the hub as the rows go by, and keep nothing.
        need_all: whether it is an error that one is not there, and not only if all are not.

    Returns:
        the splits that are there.

    Raises:
        InputError: the repository or configuration cannot be had, or has none of the splits.
    """
    where = f"{repository}" + (f", configuration {configuration}" if configuration else "")
    patterns = {s: _fill(repository.key, files, p.partition("[")[0]) for s, p in splits.items()}
    folder = repository.folder
    is_streamed = streaming and folder is None
    if is_streamed:
        _snapshot(repository)  # of the cards alone, which says what is wrong in one line
    elif folder is None:
        folder = _cached(repository, configuration, [p for p in patterns.values() if p])
    there = (
        {s for s, pattern in patterns.items() if _has(repository, folder, pattern)}
        if files
        else set(splits) & _splits_of(repository, folder, configuration, splits, where)
    )
    tables = {}
    for split in splits:
        if split not in there:
            continue
        published, pattern = splits[split], patterns[split]
        name = published.partition("[")[0]
        place = f"{where}, split {published}"
        used = sorted(folder.glob(pattern)) if folder and pattern else []
        with _told(place, repository, used):
            from datasets import load_dataset

            dataset = load_dataset(
                str(folder or repository.name),
                name=None if pattern else configuration,
                data_files={name: pattern} if pattern else None,
                split=published,
                revision=None if folder else repository.revision,
                streaming="[" not in published,
            )
        tables[split] = Table(dataset, place, used)
    if not tables or (need_all and len(tables) < len(splits)):
        missing = [split for split in splits if split not in tables]
        raise InputError(
            f"{repository.key}: {where} has no split {', '.join(splits[s] for s in missing)}"
            + (f" ({', '.join(str(patterns[s]) for s in missing)})" if files else "")
            + "; correct `splits`"
            + (" or `files`" if files else ", or name the `files`")
        )
    return tables


def _cached(repository: Repository, configuration: str | None, patterns: Sequence[str]) -> Path:
    """The folder of the hub's cache that holds the files of a configuration, or those of some
    patterns. What is missing there is fetched."""
    if patterns:
        return _snapshot(repository, *patterns)
    folder = _snapshot(repository)
    import huggingface_hub.constants

    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return folder  # what was fetched of it before
    with _told(f"{repository}", repository):
        from datasets import load_dataset_builder

        builder = load_dataset_builder(
            repository.name, name=configuration, revision=repository.revision or folder.name
        )
        of_splits = builder.config.data_files or {}
    marks = [
        str(file).partition("@")[2].partition("/")[2] for fs in of_splits.values() for file in fs
    ]
    if not all(marks):  # the library took a copy in its own cache, of whatever revision
        return folder
    return _snapshot(repository, *marks)


def _snapshot(repository: Repository, *patterns: str) -> Path:
    """The folder of the hub's cache with the repository's cards and the files of these patterns."""
    return snapshot_of(
        f"{repository.key} ({repository.name})",
        str(repository.name),
        revision=repository.revision,
        patterns=[*patterns, *_CARDS],
        endpoint=repository.endpoint,
        may_be_empty=not patterns,
    )


def _splits_of(
    repository: Repository,
    folder: Path | None,
    configuration: str | None,
    splits: Mapping[str, str],
    where: str,
) -> set[str]:
    """Our names of the splits that a configuration has."""
    with _told(where, repository):
        from datasets import load_dataset_builder

        builder = load_dataset_builder(
            str(folder or repository.name),
            name=configuration,
            revision=None if folder else repository.revision,
        )
        found = set(map(str, builder.config.data_files or {}))
    return {split for split, name in splits.items() if name.partition("[")[0] in found}


def _has(repository: Repository, folder: Path | None, pattern: str | None) -> bool:
    if pattern is None or folder is None:
        return True
    try:
        return any(folder.glob(pattern))
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
            f"{key}: `files` is {files!r} and must be a pattern in which {{language}}, "
            "{configuration} and {split} stand for their names"
        ) from error


@contextlib.contextmanager
def _told(
    where: str, repository: Repository | None = None, files: Sequence[Path] = ()
) -> Iterator[None]:
    """Turn whatever ``datasets`` raises into one line: of its errors there is no list.

    Args:
        files: those that it reads, where they are known: a damaged one is named.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        key = repository.key if repository else where
        if repository and isinstance(error, HfHubHTTPError | OfflineModeIsEnabled):
            raise refusal(
                key, "dataset", str(repository.name), repository.revision, error
            ) from error
        said = " ".join(str(error).split()) or type(error).__name__
        hint = next((hint for mark, hint in _HINTS if mark in said), _DAMAGED)
        place = f"{key}: {where}" if repository else where
        if (damaged := _damaged(files)) is not None:
            raise InputError(
                f"{damaged} is cut short, damaged or of another form ({said[:400]}); fix it, or "
                "delete it to have it fetched again"
            ) from error
        raise InputError(f"{place}: {said.rstrip('.')[:400]}; {hint}") from error


def _damaged(files: Sequence[Path]) -> Path | None:
    """The file that cannot be read, if it can be told."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    for file in files if all(file.suffix == ".parquet" for file in files) else ():
        try:
            parquet.read_metadata(file)
        except (pa.ArrowInvalid, OSError):
            return file
    return files[0] if len(files) == 1 else None


_DAMAGED = "if a file is cut short or damaged, delete it to have it fetched again"
_HINTS = (
    ("BuilderConfig", "correct `configurations`, or name the `files`"),
    ("Config name is missing", "name one in `configurations`"),
    ("split", "correct `splits`, or name the `files`"),
    ("scripts are no longer supported", "take a copy in Parquet, or another reader"),
    ("gated", "accept its terms on the hub, and put a token with access into HF_TOKEN"),
    ("data files", "correct `files` or `path`"),
    ("Revision", "correct `revision`"),
)


def _inner(feature: Any) -> Any:
    """The feature of a list's items, however deep it lies."""
    while True:
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        elif hasattr(feature, "feature"):
            feature = feature.feature
        else:
            return feature


def _value(value: Any, feature: Any, path: Sequence[str]) -> Any:
    """A field of a value, with the names of its class labels."""
    for number, part in enumerate(path):
        if isinstance(value, list):
            return [_value(item, _inner(feature), path[number:]) for item in value]
        value = value.get(part) if isinstance(value, Mapping) else None
        feature = _inner(feature)[part]
    return _named(value, feature)


def _named(value: Any, feature: Any) -> Any:
    inner = _inner(feature)
    if isinstance(value, list):
        return [_named(item, inner) for item in value]
    if isinstance(value, Mapping) and isinstance(inner, Mapping):
        return {key: _named(item, inner.get(key)) for key, item in value.items()}
    if type(value) is int and hasattr(inner, "int2str"):
        try:
            return inner.int2str(value)
        except ValueError:  # -1 where the label is withheld
            return None
    return value
