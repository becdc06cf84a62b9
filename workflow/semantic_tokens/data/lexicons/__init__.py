"""Bilingual dictionaries and concept lists, each converted to one table (paper, section 2.2)."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from semantic_tokens.data.languages import check_codes, require_languages
from semantic_tokens.data.lexicons import colexnet, package_words, panlex, published
from semantic_tokens.data.lexicons.entry import Entry
from semantic_tokens.data.reader_options import (
    check_reader,
    check_source,
    checked_options,
    takes,
)
from semantic_tokens.errors import InputError

log = logging.getLogger(__name__)

Reader = Callable[..., Iterator[Entry]]

#: All readers, by their names in the config key ``reader``. The first group reads words from
#: installed packages or their archives, the second reads published lexicons.
READERS: dict[str, Reader] = {
    "emoji": package_words.emoji,
    "territories": package_words.territories,
    "languages": package_words.languages,
    "calendar": package_words.calendar,
    "numbers": package_words.numbers,
    "muse": published.muse,
    "panlex_swadesh": published.panlex_swadesh,
    "panlex": panlex.panlex,
    "concepticon": published.concepticon,
    "colexnet": colexnet.colexnet,
    "table": published.table,
}


#: The readers of one file, an archive or a table; others read a folder.
_OF_FILE = ("emoji", "table")


def check_lexicon(
    name: str, reader: str, options: Mapping[str, Any], path: Path | None
) -> dict[str, Any]:
    """Check a lexicon of the config, and return the options to pass to its reader.

    Args:
        name: its key in the config's ``lexicons``, for messages.
        reader, options, path: see :func:`read_source`.

    Raises:
        InputError: there is no such reader, or its options or path are wrong.
    """
    key = f"config key lexicons.{name}"
    check_reader(reader, READERS, key)
    if takes(READERS[reader], "path"):
        check_source(path, reader, key, reads_file=reader in _OF_FILE)
    elif path is not None:
        raise InputError(
            f"{key} names {path}, and reader {reader} reads no file; remove the `path`, `download` "
            "or `wheel`"
        )
    given = checked_options(READERS[reader], options, reader, key)
    check_codes(given.get("languages"), f"{key}.options.languages")
    return given


def read_source(
    reader: str, options: Mapping[str, Any], path: Path | None, name: str = "<name>"
) -> Iterator[Entry]:
    """Read one lexicon.

    Args:
        reader: a key of :data:`READERS`.
        options: the options of this reader, such as ``languages`` (ISO 639-3).
        path: the archive, folder or file to read, if the reader needs one.
        name: its key in the config's ``lexicons``, for messages.

    Raises:
        InputError: there is no such reader, or its options are wrong, or its input is malformed, or
            has no word in any requested language.
    """
    given = check_lexicon(name, reader, options, path)
    entries = READERS[reader](**given) if path is None else READERS[reader](path, **given)
    return _in_all_languages(entries, given.get("languages"), str(path or reader))


def _in_all_languages(
    entries: Iterator[Entry], languages: Sequence[str] | None, where: str
) -> Iterator[Entry]:
    """The entries. At the end, the log names the requested languages that have none: a lexicon need
    not have all languages of a study. If all are missing, an InputError is raised."""
    found = set()
    for entry in entries:
        found.add(entry.language)
        yield entry
    if not found:
        require_languages(languages, found, where, "lexicon's `languages`")
    if missing := sorted(set(languages or ()) - found):
        log.warning("%s: no word in %s", where, ", ".join(missing))
