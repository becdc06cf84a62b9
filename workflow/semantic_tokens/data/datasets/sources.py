"""Search for the files of the requested languages in a publisher's layout."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from semantic_tokens.data.datasets.canonical import Example
from semantic_tokens.data.languages import in_languages, languages_of, require_languages
from semantic_tokens.errors import InputError
from semantic_tokens.text_files import files_in

log = logging.getLogger(__name__)


class SplitFiles(NamedTuple):
    """The files of a split.

    Attributes:
        where: all of them, for messages.
        chosen: the files of the requested languages in the order of their codes, each with its
            language; or the one file of all languages, with None.
        languages: all languages that have a file.
    """

    where: str
    chosen: list[tuple[str | None, Path]]
    languages: set[str]


def files_of_split(
    where: str, coded: Mapping[Path, str | None], languages: Sequence[str] | None
) -> SplitFiles:
    """The files of a split in the requested languages.

    Args:
        where: all files of the split, for messages.
        coded: the files, each with the code or name of its language; None for a file of all
            languages, which is then the only one that is read.
        languages: the requested languages (ISO 639-3); None for all.

    Raises:
        InputError: there are two files of all languages or of one, or all languages are requested
            and a file is not named after a language.
    """
    complete = [file for file, code in coded.items() if code is None]
    if len(complete) > 1:
        raise InputError(f"{complete[0]} and {complete[1]} both contain all languages; remove one")
    if complete:
        for file in set(coded) - set(complete):
            log.info("%s is left out, because %s contains all languages", file, complete[0])
        return SplitFiles(where, [(None, complete[0])], set())

    def code_of(file: Path) -> str:
        return coded[file] or ""

    found = _one_file_each(coded, code_of, languages)
    return SplitFiles(where, list(found.items()), languages_of(coded, code_of))


def files_by_language(
    path: Path,
    pattern: str,
    code_of: Callable[[Path], str],
    languages: Sequence[str] | None,
    other: str | None = None,
) -> dict[str, Path]:
    """The files below ``path`` that match ``pattern``, by language, in the order of the codes.

    Args:
        code_of: the language's code in a file's name.
        languages: the languages to keep (ISO 639-3); None for all.
        other: a pattern of matching files that do not belong to a language.

    Raises:
        InputError: there is no such file, no file for a requested language, or two for one
            language.
    """
    files = [f for f in files_in(path, pattern) if not (other and f.match(other))]
    if not files:
        raise InputError(
            f"{path} contains no {pattern}; correct the dataset's `path` in the config"
        )
    require_languages(languages, languages_of(files, code_of), f"{path}/{pattern}")
    return _one_file_each(files, code_of, languages)


def warn_untested(read: Iterable[str], test: Iterable[Example], where: str) -> None:
    """Log the languages that have data and are not tested. This is intended if another language is
    only trained on.

    Args:
        read: the languages that have data, among those requested.
        test: the examples of the test split.
        where: the files, for the message.
    """
    untested = sorted(set(read) - {example["language"] for example in test})
    if untested:
        log.warning(
            "%s: no test data in %s, so no score includes this; add test data unless it is intended",
            where,
            ", ".join(untested),
        )


def _one_file_each(
    files: Iterable[Path], code_of: Callable[[Path], str], languages: Sequence[str] | None
) -> dict[str, Path]:
    """The file of every requested language, in the order of the codes."""
    found: dict[str, Path] = {}
    for language, file in in_languages(files, code_of, languages):
        if language in found:
            raise InputError(f"{file} and {found[language]} are both in {language}; remove one")
        found[language] = file
    return dict(sorted(found.items()))
