"""The common table of lexicons: concept, language, word, source."""

import hashlib
import logging
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from semantic_tokens.data.lexicons.entry import Entry
from semantic_tokens.errors import InputError
from semantic_tokens.files import atomic_file
from semantic_tokens.text_files import filled_lines, without_surrogates

log = logging.getLogger(__name__)

_LINE_END = re.compile("[\t\r\n]+")
HEADER = ("concept", "language", "word", "source")


def write_lexicon(entries: Iterable[Entry], path: str | Path) -> int:
    """Write sorted entries, each once, in Unicode's composed form. Return their number.

    A tab or line end within a word becomes a space. Half of a surrogate pair becomes U+FFFD, and
    the log has the number of replacements.

    Raises:
        InputError: there are no entries.
    """
    found, replaced = set(), 0
    for entry in entries:
        fields, count = without_surrogates(list(entry))
        replaced += count
        concept, language, word, source = (_LINE_END.sub(" ", field) for field in fields)
        if word.strip():
            found.add(Entry(concept, language, unicodedata.normalize("NFC", word.strip()), source))
    if replaced:
        log.warning("%s: %d halves of surrogate pairs replaced with U+FFFD", path, replaced)
    rows = sorted(found)
    if not rows:
        raise InputError(
            f"no entry was found for {path}; correct the lexicon's `languages` or `path` in the config"
        )
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        for row in [HEADER, *rows]:
            file.write("\t".join(row) + "\n")
    return len(rows)


def read_lexicon(path: str | Path) -> list[Entry]:
    """Read a table of :func:`write_lexicon`, or a user's table in the same format.

    Raises:
        InputError: the header is missing, a row is malformed, or there is none.
    """
    entries = []
    has_header = False
    for number, line in filled_lines(path):
        fields = tuple(line.split("\t"))
        if not has_header:
            if fields != HEADER:
                raise InputError(
                    f"{path}, line {number}: the columns are {fields} and must be {HEADER}, "
                    "separated by tabs"
                )
            has_header = True
            continue
        if len(fields) != len(HEADER) or not all(field.strip() for field in fields):
            raise InputError(
                f"{path}, line {number}: {len(HEADER)} filled columns separated by tabs are "
                f"expected, not {line!r}"
            )
        entries.append(Entry(*fields))
    if not entries:
        raise InputError(f"{path} has no entry below its header; delete it or fill it")
    return entries


def is_held_out(concept: str, fraction: float) -> bool:
    """Whether a concept is held out of alignment, for measurements.

    The choice depends only on the concept's name, so other concepts do not change it.
    """
    digest = hashlib.sha256(concept.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64
