"""Lexicons as lexicographers publish them: MUSE, PanLex's Swadesh lists, Concepticon; and a
user's own table."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from semantic_tokens.errors import InputError
from semantic_tokens.languages import iso639_3, language_of_file
from semantic_tokens.lexicons.table import Entry, read_lexicon

_REMARK = re.compile(r"\s*[（(\[][^)）\]]*[)）\]]\s*")
_BRACKET = re.compile(r"[（()）\[\]]")


def muse(path: Path, languages: Sequence[str] | None = None) -> Iterator[Entry]:
    """MUSE's dictionaries: files ``{source}-{target}.txt``, a pair of words a line.

    Every line is a concept of its own: its words have more than one meaning, and joining
    lines by a word would join the meanings.

    Args:
        languages: keep the dictionaries whose two languages are among these; None keeps all.
    """
    for file in _files(path, "*-*.txt", "MUSE dictionaries (en-de.txt …)"):
        source, target = (language_of_file(file, code) for code in file.stem.split("-")[:2])
        if languages is not None and not {source, target} <= set(languages):
            continue
        for number, line in _lines(file):
            words = line.split()
            if len(words) != 2:
                raise InputError(
                    f"{file}, line {number}: two words separated by a space or tab are expected, "
                    f"not {line!r}; mend or remove the line"
                )
            concept = f"muse:{source}-{target}:{number}"
            yield Entry(concept, source, words[0], "muse")
            yield Entry(concept, target, words[1], "muse")


def panlex_swadesh(path: Path, languages: Sequence[str] | None = None) -> Iterator[Entry]:
    """PanLex's Swadesh lists: files ``{language}-{variety}.txt`` whose line i names concept i
    by synonyms separated by tabs.

    A folder holds one list (110 or 207 concepts), named by the folder.
    """
    for file in _files(path, "???-???.txt", "PanLex Swadesh lists (deu-000.txt …)"):
        code = file.stem[:3]
        try:
            language = iso639_3(code)
        except InputError:  # a code that ISO 639-3 has retired since
            language = code
        if languages is not None and language not in languages:
            continue
        for number, line in _lines(file):
            for word in line.split("\t"):
                if word.strip():
                    yield Entry(f"{path.name}:{number}", language, word.strip(), "panlex_swadesh")


def concepticon(path: Path, languages: Sequence[str] | None = None) -> Iterator[Entry]:
    """Concepticon's mappings: files ``map-{language}.tsv`` of ID, ``GLOSS///word``, priority.

    A word may hold synonyms joined by commas or slashes and remarks in brackets. What a bracket
    without its other half leaves of a word is left out.
    """
    for file in _files(path, "map-*.tsv", "Concepticon mappings (map-de.tsv …)"):
        language = language_of_file(file, file.stem.removeprefix("map-"))
        if languages is not None and language not in languages:
            continue
        for number, line in _lines(file):
            if number == 1:
                continue
            fields = line.split("\t")
            if len(fields) < 2 or not fields[0].isdigit() or "///" not in fields[1]:
                raise InputError(
                    f"{file}, line {number}: an id and GLOSS///word separated by a tab are "
                    f"expected, not {line!r}; mend or remove the line"
                )
            words = _REMARK.sub(" ", fields[1].partition("///")[2])
            for word in re.split(r"[,;/、，]", words):
                if word.strip() and not _BRACKET.search(word):
                    yield Entry(f"concepticon:{fields[0]}", language, word.strip(), "concepticon")


def table(path: Path, languages: Sequence[str] | None = None) -> Iterator[Entry]:
    """A user's own table, in the form of :mod:`semantic_tokens.lexicons.table`."""
    try:
        entries = read_lexicon(path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error}); convert it") from error
    for entry in entries:
        if languages is None or entry.language in languages:
            yield entry


def _files(path: Path, pattern: str, what: str) -> list[Path]:
    files = sorted(Path(path).glob(pattern))
    if not files:
        raise InputError(f"{path} holds no {what}; mend the lexicon's `path` in the config")
    return files


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error}); convert it") from error
