"""The splits of a dataset of the hub, which must not share rows."""

import itertools
from collections.abc import Collection, Mapping, Sequence

from semantic_tokens.data.hub_tables import (
    Part,
    Repository,
    Table,
    is_slice,
    names_in,
    open_tables,
    pattern_of,
    share_rows,
)
from semantic_tokens.errors import InputError


def check_apart(splits: Mapping[str, str], files: str | None, where: str) -> None:
    """Raise an InputError if two of our splits are the same rows of the publisher's, as far as their
    names tell."""
    for split, name in splits.items():
        _check_slice(name, f"{where}.splits.{split}")
    for (first, one), (second, other) in itertools.combinations(splits.items(), 2):
        same_split = bool(names_in(one) & names_in(other))
        both_sliced = is_slice(one) and is_slice(other)
        if one == other or (same_split and not both_sliced) or _share_percents(one, other):
            raise _sharing(splits, first, second, where)
        if files is not None and "{split}" not in files and not same_split:
            raise InputError(
                f"{where}.files is {files!r}, so {first} and {second} would be the same files; put "
                "{split} into it"
            )


def _check_slice(name: str, key: str) -> None:
    """Raise an InputError if the name of a split has a slice of no known form."""
    if not is_slice(name):
        return
    try:
        share_rows(name, name, dict.fromkeys(names_in(name), 100))
    except ValueError as error:
        raise InputError(
            f"{key} is {name!r}, which is not a slice ({error}); write whole percents, as "
            "train[:80%], or numbers of rows, as train[:5000]"
        ) from error


def _share_percents(one: str, other: str) -> bool:
    """Whether two slices in percent share rows. The number of rows is not needed for them."""
    if not ("%" in one and "%" in other):
        return False
    parts = [part for name in (one, other) for part in name.split("+")]
    in_percent = all("%" in part for part in parts)
    return in_percent and share_rows(
        one, other, dict.fromkeys(names_in(one) | names_in(other), 100)
    )


def check_rows_apart(counts: Mapping[str, int], splits: Mapping[str, str], where: str) -> None:
    """Raise an InputError if two slices share rows, now that the number of rows is known.

    Args:
        counts: the number of rows of the publisher's splits.
    """
    for first, second in itertools.combinations(splits, 2):
        known = names_in(splits[first]) | names_in(splits[second]) <= set(counts)
        are_slices = is_slice(splits[first]) and is_slice(splits[second])
        if known and are_slices and share_rows(splits[first], splits[second], counts):
            raise _sharing(splits, first, second, where)


def _sharing(splits: Mapping[str, str], first: str, second: str, where: str) -> InputError:
    return InputError(
        f"{where}.splits: {first} is {splits[first]!r} and {second} is {splits[second]!r}, which "
        "share rows; name other splits, or slices such as train[:80%] and train[80%:]"
    )


def mapping_option(
    given: Mapping[str, str] | None, default: Mapping[str, str], key: str, only: Sequence[str]
) -> dict[str, str]:
    """The default, updated with the given mapping.

    Raises:
        InputError: it is not a mapping, or has other keys than ``only``.
    """
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"{key} is {given!r} and must be a mapping of {', '.join(only)}")
    unknown = sorted(set(given or ()) - set(only))
    if unknown:
        raise InputError(f"{key}.{unknown[0]} is not known; it takes {', '.join(only)}")
    return {**default, **{name: str(value) for name, value in (given or {}).items()}}


def open_splits(
    repository: Repository,
    part: Part,
    splits: Mapping[str, str],
    files: str | None,
    streaming: bool,
    where: str,
    columns: Collection[str],
) -> dict[str, Table]:
    """The tables of our splits in a configuration.

    Args:
        columns: the columns to read.
        where: the config key of ``splits``' parent, for messages.

    Raises:
        InputError: a table is missing, or two splits share rows.
    """
    tables = open_tables(
        repository,
        splits,
        configuration=part.configuration,
        files=pattern_of(files, part),
        streaming=streaming,
        columns=columns,
    )
    counts = {name: n for table in tables.values() for name, n in table.counts.items()}
    check_rows_apart(counts, splits, where)
    return tables
