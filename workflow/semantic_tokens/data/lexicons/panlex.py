"""The PanLex database: its release of CSV tables, or the mirror's tables by language (paper,
section 2.2).

An expression is a word in a language variety, a denotation assigns a meaning to an expression, and
the expressions of one meaning are translations of each other. The release has about 25 million
expressions, so its tables are read in parts, and only the requested words are kept.
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from semantic_tokens.data.languages import known_language
from semantic_tokens.data.lexicons.entry import Entry
from semantic_tokens.errors import InputError
from semantic_tokens.text_files import files_in, plain_name, table_rows

_ROWS_AT_ONCE = 1_000_000


def panlex(
    path: Path, languages: Sequence[str] | None = None, single_words: bool = True
) -> Iterator[Entry]:
    """Read ``langvar.csv``, ``expr.csv`` and ``denotation.csv``, at any depth, or one file
    ``{iso639-3}.tsv`` per language, with the columns ``txt`` and ``meaning``.

    Args:
        languages: the languages to keep; None for all.
        single_words: leave out expressions of more than one word, which are never single subwords.

    Raises:
        InputError: a table is missing, incomplete, or lacks a column.
    """
    tables = {name: files_in(path, f"**/{name}.csv") for name in ("langvar", "expr", "denotation")}
    words: Iterator[tuple[int | str, str, str]]
    if all(tables.values()):
        langvar, expr, denotation = (found[0] for found in tables.values())
        words = _release(langvar, expr, denotation, languages, single_words)
    else:
        files = files_in(path, "**/???.tsv")
        if not files:
            raise InputError(
                f"{path} contains neither PanLex's langvar.csv, expr.csv and denotation.csv nor tables "
                "by language (deu.tsv …); correct the lexicon's `path` or `download` in the config"
            )
        words = _by_language(files, languages, single_words)
    for meaning, language, word in words:
        yield Entry(f"panlex:{meaning}", language, word, "panlex")


def _release(
    langvar: Path,
    expr: Path,
    denotation: Path,
    languages: Sequence[str] | None,
    single_words: bool,
) -> Iterator[tuple[int | str, str, str]]:
    import numpy as np

    language_of: dict[int, str] = {}
    for part in _table(langvar, ["id", "lang_code"]):
        for variety, code in zip(part["id"], part["lang_code"], strict=True):
            language = known_language(code)
            if language is None:
                continue
            if languages is None or language in languages:
                language_of[variety] = language
    word_of: dict[int, tuple[str, str]] = {}
    for part in _table(expr, ["id", "langvar", "txt"]):
        part = part[part["langvar"].isin(language_of.keys())]
        for number, variety, text in zip(part["id"], part["langvar"], part["txt"], strict=True):
            if text.strip() and not (single_words and " " in text.strip()):
                word_of[number] = (language_of[variety], text.strip())
    kept = np.fromiter(word_of, dtype=np.int64, count=len(word_of))
    for part in _table(denotation, ["meaning", "expr"]):
        part = part[part["expr"].isin(kept)]
        for meaning, number in zip(part["meaning"], part["expr"], strict=True):
            yield meaning, *word_of[number]


def _table(path: Path, columns: list[str]) -> Iterator[Any]:
    """The columns of a CSV table, a part at a time."""
    import pandas as pd

    text = {name: str for name in ("txt", "lang_code")}
    try:
        # "null" and "NA" are words in this table.
        yield from pd.read_csv(
            path,
            usecols=columns,
            dtype={name: text.get(name, "int64") for name in columns},
            keep_default_na=False,
            chunksize=_ROWS_AT_ONCE,
            encoding="utf-8",
        )
    except (
        ValueError,
        OverflowError,
        pd.errors.ParserError,
        EOFError,
        gzip.BadGzipFile,
        zlib.error,
    ) as error:
        _name_line(path, [name for name in columns if name not in text])
        raise InputError(
            f"{path} is not PanLex's table with the columns {', '.join(columns)}, or is truncated "
            f"({error}); fetch it again"
        ) from error


def _name_line(path: Path, numbers: list[str]) -> None:
    """Raise an InputError with the first line that cannot be decoded, or that has no whole number
    in the columns ``numbers``."""
    rows = table_rows(path, ",")
    _, header = next(rows)
    for line, row in rows:
        for name in set(numbers) & set(header):
            value = row[header.index(name)]
            if not value.isdecimal():
                raise InputError(
                    f"{path}, line {line}: {name} is a number, not {value!r}; fetch the file again"
                )


def _by_language(
    files: list[Path], languages: Sequence[str] | None, single_words: bool
) -> Iterator[tuple[int | str, str, str]]:
    for file in files:
        language = known_language(_code_of(file))
        if language is None or (languages is not None and language not in languages):
            continue
        for meaning, text in _meanings(file):
            word = text.strip()
            if meaning and word and not (single_words and " " in word):
                yield meaning, language, word


def _meanings(file: Path) -> Iterator[tuple[str, str]]:
    """Meaning and text of every row of a mirror's table, which has a header and no quoting."""
    rows = table_rows(file)
    number, header = next(rows)
    if not {"txt", "meaning"} <= set(header):
        raise InputError(
            f"{file}, line {number}: the columns txt and meaning are expected, not {header}; fetch it "
            "again"
        )
    meaning, text = header.index("meaning"), header.index("txt")
    for _, row in rows:
        yield row[meaning], row[text]


def _code_of(file: Path) -> str:
    return plain_name(file).removesuffix(".tsv")
