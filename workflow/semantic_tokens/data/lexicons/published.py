"""Published lexicons: MUSE, PanLex's Swadesh lists and Concepticon; and a user's own table."""

import itertools
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from semantic_tokens.data.languages import (
    check_codes,
    in_languages,
    iso639_3,
    known_language,
)
from semantic_tokens.data.lexicons.entry import Entry
from semantic_tokens.data.lexicons.table import read_lexicon
from semantic_tokens.errors import InputError
from semantic_tokens.text_files import at_spaces, files_in, filled_lines, plain_name

log = logging.getLogger(__name__)

# The range of lines in the name of a part of a MUSE dictionary.
_PART = re.compile(r"\.\d+-\d+(?=\.txt$)")
_REMARK = re.compile(r"\s*[（(\[][^)）\]]*[)）\]]\s*")
_BRACKET = re.compile(r"[（()）\[\]]")


def muse(
    path: Path,
    languages: Sequence[str] | None = None,
    max_pairs_per_dictionary: int | None = None,
) -> Iterator[Entry]:
    """MUSE's dictionaries: files ``{source}-{target}.txt``, with one pair of words per line.

    MUSE publishes every dictionary as one file, and split for training and testing
    (``en-de.0-5000.txt``, ``en-de.5000-6500.txt``). The parts are read if there is no complete
    file.

    Every line is a separate concept, because words have several meanings, and joining lines by a
    word would join these meanings.

    Args:
        languages: keep dictionaries with both languages among these; None keeps all.
        max_pairs_per_dictionary: read this number of pairs from the beginning of each file, where
            the most frequent words are; None reads all.

    Raises:
        InputError: a line does not have two words, or without ``languages``, a file is not named after two languages.
    """
    for file, source, target in _dictionaries(path, languages):
        part = "".join(_PART.findall(plain_name(file)))
        for number, line in itertools.islice(filled_lines(file), max_pairs_per_dictionary):
            words = at_spaces(line)
            if len(words) != 2:
                raise InputError(
                    f"{file}, line {number}: two words separated by a space or tab are expected, "
                    f"not {line!r}; fix or remove the line"
                )
            concept = f"muse:{source}-{target}{part}:{number}"
            yield Entry(concept, source, words[0], "muse")
            yield Entry(concept, target, words[1], "muse")


def _dictionaries(path: Path, languages: Sequence[str] | None) -> list[tuple[Path, str, str]]:
    """MUSE's files with their two languages, sorted by name."""
    found = []
    files = _files(path, "*-*.txt", "MUSE dictionaries (en-de.txt …)")
    names = {plain_name(file) for file in files}
    for file in files:
        name = plain_name(file)
        complete = _PART.sub("", name)
        if name != complete and complete in names:
            continue
        codes = complete.removesuffix(".txt").split("-")
        try:
            if len(codes) != 2:
                raise InputError("two codes joined by a hyphen are expected, as in en-de.txt")
            source, target = map(iso639_3, codes)
        except InputError as error:
            if languages is None:
                raise InputError(
                    f"{file} is named by its two languages: {error}; or list the lexicon's "
                    "`languages`, and other files are left out"
                ) from error
            log.info("%s is left out: its name is not two languages'", file)
            continue
        if languages is None or {source, target} <= set(languages):
            found.append((file, source, target))
    return found


def panlex_swadesh(path: Path, languages: Sequence[str] | None = None) -> Iterator[Entry]:
    """PanLex's Swadesh lists: files ``{language}-{variety}.txt``. Line i has the words of concept
    i, separated by tabs.

    Each folder is one list (110 or 207 concepts), with the name of the folder.

    Raises:
        InputError: there is no list.
    """
    files = _files(path, "???-???.txt", "PanLex Swadesh lists (deu-000.txt …)")
    for file in files:
        language = _language_of_list(file)
        if languages is not None and language not in languages:
            continue
        for number, line in filled_lines(file):
            for word in line.split("\t"):
                if word.strip():
                    yield Entry(f"{path.name}:{number}", language, word.strip(), "panlex_swadesh")


def concepticon(path: Path, languages: Sequence[str] | None = None) -> Iterator[Entry]:
    """Concepticon's mappings: files ``map-{language}.tsv`` with ID, ``GLOSS///word`` and priority.

    A word may be several synonyms, separated by commas or slashes, with remarks in brackets. Words
    with unbalanced brackets are left out.

    Raises:
        InputError: the header is missing, a line has another form, or without ``languages``, a file is not named after a language.
    """
    files = _files(path, "map-*.tsv", "Concepticon mappings (map-de.tsv …)")
    for language, file in in_languages(files, _code_of_mapping, languages):
        has_header = False
        for number, line in filled_lines(file):
            fields = line.split("\t")
            if not has_header:
                if fields[0].strip().upper() != "ID":
                    raise InputError(
                        f"{file}, line {number}: the header of Concepticon (ID, GLOSS, …) is "
                        f"expected, not {line[:80]!r}; add it or fetch the file again"
                    )
                has_header = True
                continue
            if len(fields) < 2 or not fields[0].isdigit() or "///" not in fields[1]:
                raise InputError(
                    f"{file}, line {number}: an id and GLOSS///word separated by a tab are "
                    f"expected, not {line!r}; fix or remove the line"
                )
            words = _REMARK.sub(" ", fields[1].partition("///")[2])
            for word in re.split(r"[,;/、，،؛]", words):
                if word.strip() and not _BRACKET.search(word):
                    yield Entry(f"concepticon:{fields[0]}", language, word.strip(), "concepticon")


def table(path: Path, languages: Sequence[str] | None = None) -> Iterator[Entry]:
    """A user's own table, in the form of :mod:`semantic_tokens.data.lexicons.table`.

    Raises:
        InputError: a row is malformed, or its language is written otherwise, such as ``de``.
    """
    unknown = set()
    for number, entry in enumerate(read_lexicon(path), start=1):
        check_codes([entry.language], f"{path}, row {number}: `language`")
        if known_language(entry.language) is None:
            unknown.add(entry.language)
        if languages is None or entry.language in languages:
            yield entry
    if unknown:
        log.warning(
            "%s: %s: not in ISO 639-3; each counts as a language of its own",
            path,
            ", ".join(sorted(unknown)),
        )


def _files(path: Path, pattern: str, what: str) -> list[Path]:
    files = files_in(path, pattern)
    if not files:
        raise InputError(f"{path} contains no {what}; correct the lexicon's `path` in the config")
    return files


def _language_of_list(file: Path) -> str:
    code = file.name[:3]
    return known_language(code) or code  # a code that was removed from ISO 639-3


def _code_of_mapping(file: Path) -> str:
    return plain_name(file).removeprefix("map-").removesuffix(".tsv")
