"""Bilingual dictionaries and concept lists, each read into one table (paper, section 2.2)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from semantic_tokens.data.lexicons import colexnet, package_words, panlex, published
from semantic_tokens.data.lexicons.table import Entry
from semantic_tokens.errors import InputError

Reader = Callable[..., Iterator[Entry]]

#: Every reader by the name that a lexicon's ``reader`` gives. The first group reads words out
#: of installed packages or their archives, the second what lexicographers publish.
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
        options: that reader's own, ``languages`` (ISO 639-3) first of all.
        path: the archive, folder or file it reads, where it reads one.

    Raises:
        InputError: there is no such reader, or what it reads is malformed.
    """
    if reader not in READERS:
        raise InputError(f"lexicon reader {reader!r} is not one of {', '.join(READERS)}")
    if path is None:
        return READERS[reader](**options)
    return READERS[reader](path, **options)
