"""Files as their publishers lay them out: finding those of the languages asked for, and reading
their lines and JSON with an error that names the place."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from semantic_tokens.errors import InputError


def files_by_language(
    path: Path,
    pattern: str,
    language_of: Callable[[Path], str],
    languages: Sequence[str] | None,
) -> dict[str, Path]:
    """The files below ``path`` that match ``pattern``, by language, in the order of the codes.

    Args:
        languages: keep these (ISO 639-3); None keeps all.

    Raises:
        InputError: there is no such file, or none of a language asked for.
    """
    found = {language_of(file): file for file in path.glob(pattern)}
    if not found:
        raise InputError(f"{path} holds no {pattern}; mend the dataset's `path` in the config")
    require_languages(languages, found, f"{path}/{pattern}")
    return {code: found[code] for code in sorted(found) if languages is None or code in languages}


def require_languages(languages: Sequence[str] | None, found: Iterable[str], where: str) -> None:
    """Raise an InputError if a language asked for is not among those found."""
    missing = sorted(set(languages or ()) - set(found))
    if missing:
        raise InputError(
            f"{where}: nothing in {', '.join(missing)}; there is {', '.join(sorted(set(found)))}. "
            "Mend the dataset's `languages` in the config"
        )


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file, gzipped or not, from number 1, without their ends.

    Only line feeds end a line: other separators of Unicode occur within sentences.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opened(path, "rt", encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 after line {number} ({error}); convert it"
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path} breaks off after line {number} ({error}); fetch it again"
        ) from error


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file that others wrote, one a line.

    Raises:
        InputError: names the line that is not a JSON object.
    """
    for number, line in numbered_lines(path):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"{path}, line {number}: not JSON ({error}); mend or remove the line"
            ) from error
        if not isinstance(record, dict):
            raise InputError(
                f"{path}, line {number}: not a JSON object but {line[:60]!r}; mend or remove it"
            )
        yield record
