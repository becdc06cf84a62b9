"""One split of a table, in any format."""

import atexit
import contextlib
import functools
import gc
import itertools
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from semantic_tokens.data.hub_tables.repositories import Repository
from semantic_tokens.errors import InputError
from semantic_tokens.sources.hub import refusal
from semantic_tokens.text_files import filled_lines, json_document, json_lines, table_rows

#: The number that the hub's tables have in place of a withheld label.
WITHHELD = -1

_ROWS_AT_ONCE = 1000


class Table:
    """One split of a table, whose rows can be iterated once.

    Attributes:
        features: its columns with their types, as in ``datasets``: a mapping for a column of
            fields, and a list or an object with ``feature`` for a column of lists.
        where: the repository, configuration and split, for messages.
        counts: the number of rows of each of the publisher's splits, if this is a slice of them.
    """

    def __init__(
        self,
        features: Mapping[str, Any],
        batches: Callable[[list[str]], Iterator[Mapping[str, list[Any]]]],
        where: str,
        files: Sequence[Path] = (),
        counts: Mapping[str, int] | None = None,
    ) -> None:
        """
        Args:
            batches: yields the columns with these names, some rows at a time.
            files: the files, if they are known, to name a damaged one.
        """
        self.features, self._batches, self.where, self._files = features, batches, where, files
        self.counts = dict(counts or {})

    def rows(self, columns: Mapping[str, str], key: str) -> Iterator[dict[str, Any]]:
        """The rows, with renamed columns. Numbers of a ``ClassLabel`` become its names, and a
        withheld label becomes None.

        Args:
            columns: our name -> the table's name; ``a.b`` is the field b of column a.
            key: the config key of ``columns``, for messages.

        Raises:
            InputError: a column is missing (at once), or a file is damaged (during reading).
        """
        for ours, theirs in columns.items():
            self._require(theirs, f"{key}.{ours}")
        return self._rows({ours: theirs.split(".") for ours, theirs in columns.items()})

    def _rows(self, paths: Mapping[str, list[str]]) -> Iterator[dict[str, Any]]:
        with one_line_errors(self.where, files=self._files):
            batches = self._batches(sorted({path[0] for path in paths.values()}))
        while True:
            with one_line_errors(self.where, files=self._files):
                batch = next(batches, None)
                if batch is None:
                    return
            for number in range(len(next(iter(batch.values())))):
                yield {
                    ours: _value(batch[path[0]][number], self.features[path[0]], path[1:])
                    for ours, path in paths.items()
                }

    def _require(self, column: str, key: str) -> None:
        import difflib

        feature: Any = self.features
        for part in column.split("."):
            feature = _inner(feature)
            if not isinstance(feature, dict) or part not in feature:
                names = list(feature) if isinstance(feature, dict) else list(self.features)
                close = difflib.get_close_matches(part, names, n=1)
                hint = f"did you mean {close[0]!r}? there" if close else "there"
                raise InputError(
                    f"{key} is {column!r}, which is not a column of {self.where}; {hint} "
                    f"are {', '.join(names)}"
                )
            feature = feature[part]


def of_library(dataset: Any, split: str, where: str, files: Sequence[Path]) -> Table:
    _release_arrow_threads_at_exit()
    if dataset.features is None:  # a format without a list of columns
        dataset = dataset._resolve_features()

    def batches(columns: list[str]) -> Iterator[Mapping[str, list[Any]]]:
        yield from dataset.select_columns(columns).iter(_ROWS_AT_ONCE)

    counts = {
        name: published.num_examples
        for name, published in (dataset.info.splits or {}).items()
        if is_slice(split)
    }
    return Table(dataset.features, batches, where, files, counts)


@functools.cache
def _release_arrow_threads_at_exit() -> None:
    """Let Arrow's threads release the files of ``datasets`` before the interpreter ends.

    Threads that read for ``datasets`` hold Python objects. A thread that releases one while the
    interpreter ends aborts the process ("terminate called without an active exception"), which
    fails a job whose work is done: https://github.com/apache/arrow/issues/45214.
    """
    atexit.register(_release_arrow_threads)


def _release_arrow_threads() -> None:
    gc.collect()
    time.sleep(0.3)


def of_json(files: Mapping[str, Sequence[Path]], split: str, where: str) -> Table:
    """A table in JSON lines, or in JSON with lists of objects.

    Args:
        files: the files of the publisher's splits in ``split``.

    ``datasets`` is not used: its parser crashes on some malformed files, and other readers handle
    deviations from JSON in the same way as here.
    """
    records, counts = sliced(_read_with(_records, files), split)
    first = list(itertools.islice(records, _ROWS_AT_ONCE))
    features: dict[str, Any] = {}
    for record in first:
        features = _merged(features, _shape(record))
    batches = _in_batches(itertools.chain(first, records))
    return Table(features, batches, where, _all_of(files), counts)


def of_text(
    files: Mapping[str, Sequence[Path]],
    split: str,
    where: str,
    separator: str,
    columns: Collection[str] = (),
) -> Table:
    """A table in CSV, or in text with tabs. All values are text.

    ``datasets`` is not used: it guesses types, so that the words ``NA`` and ``null`` are missing
    values, and it reads quotations in text with tabs.

    Args:
        files: the files of the publisher's splits in ``split``.
        columns: the columns to read. If all are numbers (from 1) that the first row does not have
            as names, the table has no header.

    Raises:
        InputError: a file is empty, or has other columns than the first.
    """
    first, *_ = _all_of(files)
    _, header = next(table_rows(first, separator))
    numbers = [str(number) for number in range(1, len(header) + 1)]
    is_numbered = not set(columns) <= set(header) and set(columns) <= set(numbers)
    if is_numbered:
        header = numbers

    def records(file: Path) -> Iterator[dict[str, Any]]:
        rows = table_rows(file, separator)
        number, row = next(rows)
        names = header if is_numbered and len(row) == len(header) else row
        if is_numbered:
            rows = itertools.chain([(number, row)], rows)
        if set(names) != set(header):
            raise InputError(
                f"{file}, line {number}: the columns are {names}, but {header} in {first}; give "
                "all files of a split the same columns"
            )
        # Of two columns with the same name, the first is read.
        place_of = {name: names.index(name) for name in names}
        for _, row in rows:
            yield {name: row[place] for name, place in place_of.items()}

    read, counts = sliced(_read_with(records, files), split)
    return Table(dict.fromkeys(header), _in_batches(read), where, _all_of(files), counts)


def _all_of(files: Mapping[str, Sequence[Path]]) -> list[Path]:
    return [file for of_name in files.values() for file in of_name]


def _read_with(
    read: Callable[[Path], Iterator[dict[str, Any]]], files: Mapping[str, Sequence[Path]]
) -> dict[str, Iterator[dict[str, Any]]]:
    """The records of each of the publisher's splits, read when they are used."""
    return {
        name: itertools.chain.from_iterable(map(read, of_name)) for name, of_name in files.items()
    }


def is_slice(split: str) -> bool:
    """Whether the publisher's name of a split has a slice, such as ``train[:80%]``."""
    return "[" in split


def names_in(split: str) -> set[str]:
    """The names in a split without their slices. ``train[:80%]+test[:80%]`` has two."""
    return {part.partition("[")[0].strip() for part in split.split("+")}


def share_rows(one: str, other: str, counts: Mapping[str, int]) -> bool:
    """Whether two slices have a row in common.

    Args:
        counts: the number of rows of each split that they name.

    Raises:
        ValueError: one is not a slice of these splits.
    """
    return any(
        first.name == second.name and max(first.start, second.start) < min(first.end, second.end)
        for first, second in itertools.product(_rows_of(one, counts), _rows_of(other, counts))
    )


class _Rows(NamedTuple):
    """Consecutive rows of a publisher's split."""

    name: str
    start: int
    end: int


def _rows_of(split: str, counts: Mapping[str, int]) -> list[_Rows]:
    from datasets import ReadInstruction

    parts = ReadInstruction.from_spec(split).to_absolute(dict(counts))
    return [_Rows(part.splitname, part.from_, part.to) for part in parts]


def sliced(items: Mapping[str, Iterable[Any]], split: str) -> tuple[Iterator[Any], dict[str, int]]:
    """The items of a split that may have slices and several parts, such as
    ``train[:80%]+validation``; and with a slice, the number of all items by part.

    Args:
        items: the items of the publisher's splits that it names.
    """
    if not is_slice(split):
        parts = (items[part.strip()] for part in split.split("+"))
        return itertools.chain.from_iterable(parts), {}
    everything = {name: list(of_name) for name, of_name in items.items()}
    counts = {name: len(of_name) for name, of_name in everything.items()}
    slices = (everything[rows.name][rows.start : rows.end] for rows in _rows_of(split, counts))
    return itertools.chain.from_iterable(slices), counts


def _in_batches(
    records: Iterator[dict[str, Any]],
) -> Callable[[list[str]], Iterator[Mapping[str, list[Any]]]]:
    """A function that yields the columns with these names, some rows at a time."""

    def batches(columns: list[str]) -> Iterator[Mapping[str, list[Any]]]:
        while batch := list(itertools.islice(records, _ROWS_AT_ONCE)):
            yield {column: [record.get(column) for record in batch] for column in columns}

    return batches


def _records(file: Path) -> Iterator[dict[str, Any]]:
    _, line = next(filled_lines(file), (1, ""))
    if not line.lstrip().startswith("["):
        yield from (record for _, record in json_lines(file))
        return
    listed = json_document(file)
    for number, record in enumerate(listed):
        if not isinstance(record, dict):
            raise InputError(f"{file}, item {number}: not a JSON object but {str(record)[:60]!r}")
        yield record


def _shape(value: Any) -> Any:
    """The type of a JSON value in the form of a feature; None for values without fields."""
    if isinstance(value, dict):
        return {name: _shape(item) for name, item in value.items()}
    if isinstance(value, list) and value:
        return [_shape(value[0])]
    return None


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {**one, **{name: _merged(one.get(name), shape) for name, shape in other.items()}}
    return other if one is None else one


@contextlib.contextmanager
def one_line_errors(
    where: str, repository: Repository | None = None, files: Sequence[Path] = ()
) -> Iterator[None]:
    """Convert any error of ``datasets`` to one line, since there is no list of its errors.

    Args:
        files: the files, if they are known, to name a damaged one.
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
        is_of_split = any(mark in said for mark in _OF_SPLITS)
        if is_of_split:
            hint = _CORRECT_SPLITS
        elif (damaged := _damaged(files)) is not None:
            raise InputError(
                f"{damaged} is truncated, damaged or of another format ({said[:400]}); fix it, or "
                "delete it and it will be fetched again"
            ) from error
        raise InputError(f"{place}: {said.rstrip('.')[:400]}; {hint}") from error


def _damaged(files: Sequence[Path]) -> Path | None:
    """The file that cannot be read, if it can be determined."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    for file in files if all(file.suffix == ".parquet" for file in files) else ():
        try:
            parquet.read_metadata(file)
        except (pa.ArrowInvalid, OSError):
            return file
    return files[0] if len(files) == 1 else None


_DAMAGED = "if a file is truncated or damaged, delete it and it will be fetched again"
# Errors of the names and slices of splits, which say nothing about the files.
_OF_SPLITS = ("Unknown split", "Bad split", "Unrecognized instruction", "Percent slice")
_CORRECT_SPLITS = "correct `splits`, or name the `files`"
_HINTS = (
    ("OfflineModeIsEnabled", "HF_HUB_OFFLINE is set: unset it to read from the hub"),
    ("BuilderConfig", "correct `configurations`, or name the `files`"),
    ("Config name is missing", "name one in `configurations`"),
    ("split", _CORRECT_SPLITS),
    ("scripts are no longer supported", "take a copy in Parquet, or another reader"),
    ("gated", "accept its terms on the hub, and put a token with access into HF_TOKEN"),
    ("data files", "correct `files` or `path`"),
    ("Revision", "correct `revision`"),
)


def _inner(feature: Any) -> Any:
    """The feature of a list's items, at any depth."""
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
        feature = (_inner(feature) or {}).get(part)
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
        except ValueError:
            return None if value == WITHHELD else value
    return value
