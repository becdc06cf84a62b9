"""The options of readers of lexicons, corpora and datasets, checked against the readers' signatures."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from semantic_tokens.errors import InputError

# Arguments of readers that are no options: the workflow passes them.
_PASSED_BY_THE_WORKFLOW = ("path", "emoji_wheel", "has_passages", "kind", "key", "mirror")
# What a value of a type is called in messages.
_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Sequence: "a list",
    Mapping: "a mapping",
}


def check_reader(reader: str, known: Iterable[str], key: str) -> None:
    """Raise an InputError if there is no such reader.

    Args:
        known: the names of all readers of this kind.
        key: the config key of the entry, for messages.
    """
    known = list(known)
    if reader not in known:
        raise InputError(f"{key}.reader is {reader!r} and must be one of {', '.join(known)}")


def takes(read: Callable[..., Any], argument: str) -> bool:
    """Whether a reader's function has this argument."""
    return argument in inspect.signature(read).parameters


def checked_options(
    read: Callable[..., Any],
    options: Mapping[str, Any],
    reader: str,
    key: str,
    general: Iterable[str] = (),
) -> dict[str, Any]:
    """The options to pass to a reader's function. Null counts as a missing option.

    Args:
        read: the function. Its arguments are the options, except those that the workflow passes.
        options: the ``options`` of the config.
        reader: the name of the reader, for messages.
        key: the config key of the entry, for messages.
        general: further options of all readers of this kind, which are not passed.

    Raises:
        InputError: an option is unknown, missing or of another type; the message names it.
    """
    parameters = inspect.signature(read).parameters
    own = {name for name in parameters if name not in _PASSED_BY_THE_WORKFLOW}
    known = sorted(own.union(general))
    if unknown := sorted(set(options) - set(known)):
        raise InputError(
            f"{key}.options.{unknown[0]} is not known to reader {reader}; it takes "
            f"{', '.join(known) or 'no options'}"
        )
    given = {name: options[name] for name in options if name in own and options[name] is not None}
    required = {name for name in own if parameters[name].default is inspect.Parameter.empty}
    if missing := sorted(required - set(given)):
        raise InputError(f"{key}.options.{missing[0]} is missing; reader {reader} needs it")
    types = get_type_hints(read)
    for name, value in given.items():
        check_option(value, types[name], f"{key}.options.{name}")
    return given


def check_option(value: Any, kind: Any, option: str) -> None:
    """Raise an InputError if an option has another type than its annotation, or is a limit below 1.

    Args:
        kind: the annotation. The items of lists and mappings are not checked, except that languages
            are text.
        option: the config key of the option, for messages.
    """
    name = option.rpartition(".")[2]
    if name in ("languages", "train_languages"):
        is_right = _is_one(value, kind) and all(isinstance(code, str) for code in value)
        expected = "a list of codes"
    elif name.startswith("max_"):
        is_right, expected = type(value) is int and value >= 1, "a whole number, 1 or more"
    else:
        is_right = _is_one(value, kind)
        expected = " or ".join(_NAMES[part] for part in _parts(kind))
    if not is_right:
        raise InputError(f"{option} is {value!r} and must be {expected}; correct it in the config")


def check_source(path: Path | None, reader: str, key: str, *, reads_file: bool = False) -> None:
    """Raise an InputError if a reader has nothing to read, or reads a file and the source is a
    folder."""
    if path is None:
        raise InputError(
            f"{key} has no data to read, which reader {reader} needs; give it a `path`, a `download` "
            "or a `wheel`"
        )
    if reads_file and path.is_dir():
        raise InputError(
            f"{key}.path: {path} is a folder, and reader {reader} reads a file; name the file"
        )


def _parts(kind: Any) -> list[Any]:
    """The types of an annotation, without None and the types of items."""
    if get_origin(kind) in (Union, UnionType):
        return [part for one in get_args(kind) if one is not type(None) for part in _parts(one)]
    return [get_origin(kind) or kind]


def _is_one(value: Any, kind: Any) -> bool:
    """Whether a value has one of the types of an annotation."""
    return any(_is(value, part) for part in _parts(kind))


def _is(value: Any, kind: Any) -> bool:
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    if kind is int:
        return type(value) is int
    if kind is Sequence:
        return isinstance(value, list | tuple)
    return isinstance(value, kind)
