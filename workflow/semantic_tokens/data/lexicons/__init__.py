"""Bilingual dictionaries and concept lists, each converted to one table (paper, section 2.2)."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from semantic_tokens.data.languages import require_languages
from semantic_tokens.data.lexicons import colexnet, package_words, panlex, published
from semantic_tokens.data.lexicons.entry import Entry
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


def read_source(reader: str, options: dict[str, Any], path: Path | None) -> Iterator[Entry]:
    """Read one lexicon.

    Args:
        reader: a key of :data:`READERS`.
        options: the options of this reader, such as ``languages`` (ISO 639-3).
        path: the archive, folder or file to read, if the reader needs one.

    Raises:
        InputError: there is no such reader, or its input is malformed, or has no word in any
            requested language.
    """
    if reader not in READERS:
        raise InputError(f"lexicon reader {reader!r} is not one of {', '.join(READERS)}")
    entries = READERS[reader](**options) if path is None else READERS[reader](path, **options)
    return _in_all_languages(entries, options.get("languages"), str(path or reader))


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
