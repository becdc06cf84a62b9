"""Reading of text files from users and publishers.

All readers of such files use this module. It removes byte order marks at the beginning of lines,
since `cat` leaves them there when it joins files. It recognises gzipped files by their first bytes.
Lines end with a line feed, with or without a carriage return; other separators of Unicode do not end
a line, since they occur within sentences. Errors of decoding name the file and line. Quotation marks
have no special meaning, except in CSV.
"""

import codecs
import contextlib
import csv
import gzip
import json
import logging
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from semantic_tokens.errors import InputError

log = logging.getLogger(__name__)

#: Replaces half of a surrogate pair, which is not a character and cannot be written.
REPLACEMENT = "\ufffd"

_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = "\ufeff"
_OTHER_UNICODE = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")
_SPACES = re.compile("[ \t]+")
_BROKEN_ARCHIVE = (EOFError, gzip.BadGzipFile, zlib.error)


def numbered_lines(path: str | Path, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """The lines of a text file, which may be gzipped, without line ends and byte order marks at their
    beginning, numbered from 1.

    Args:
        encoding: the encoding of the text.

    Raises:
        InputError: a line cannot be decoded, the file is UTF-16, or a gzipped file is incomplete.
            The message names the file and line.
    """
    number = 0
    with _opened(path) as file:
        try:
            for number, raw in enumerate(file, start=1):
                line = _decoded(raw, number, path, encoding)
                if number == 1 and "\n" not in line and "\r" in line.rstrip("\r"):
                    raise InputError(
                        f"{path} ends its lines with carriage returns only; convert it, for "
                        "example: tr '\\r' '\\n' < FILE > NEW"
                    )
                yield number, line.rstrip("\r\n")
        except _BROKEN_ARCHIVE as error:
            raise InputError(
                f"{path} breaks off after line {number} ({error}); fetch it again"
            ) from error


def filled_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """The lines of :func:`numbered_lines` that are not blank."""
    return ((number, line) for number, line in numbered_lines(path) if line.strip())


def at_spaces(line: str) -> list[str]:
    """The columns of a line, separated by spaces or tabs. A no-break space is part of a column.

    >>> at_spaces(" 10\\xa0000 \\tO ")
    ['10\\xa0000', 'O']
    """
    return _SPACES.split(line.strip(" \t"))


def at_tabs_or_spaces(line: str) -> list[str]:
    """The columns of a line, separated by tabs if it has any, else by spaces.

    >>> at_tabs_or_spaces("New York\\tB-LOC"), at_tabs_or_spaces("York  I-LOC")
    (['New York', 'B-LOC'], ['York', 'I-LOC'])
    """
    line = line.rstrip(" \t")
    return [field.strip(" ") for field in line.split("\t")] if "\t" in line else at_spaces(line)


def table_rows(path: str | Path, separator: str = "\t") -> Iterator[tuple[int, list[str]]]:
    """The rows of a table with a header, which is the first row. Each has the number of its first
    line. Blank lines are skipped. All rows have as many columns as the header.

    A table with tabs has no quotation. In a table with another separator (CSV), columns may be in
    quotation marks, and may then contain separators and line ends.

    Raises:
        InputError: the table is empty, a row has another number of columns, or a quotation does not
            end. The message names the file and line.
    """
    rows = (
        ((number, line.split("\t")) for number, line in filled_lines(path))
        if separator == "\t"
        else _csv_rows(path, separator)
    )
    width = 0
    for number, row in rows:
        width = width or len(row)
        if len(row) != width:
            what = "tabs" if separator == "\t" else repr(separator)
            raise InputError(
                f"{path}, line {number}: {width} columns separated by {what} are expected, not "
                f"{separator.join(row)[:80]!r}; fix or remove the line"
            )
        yield number, row
    if not width:
        raise InputError(f"{path} is empty; its first line names the columns")


def json_document(path: str | Path) -> Any:
    """The content of a JSON file, which may be gzipped. Half of a surrogate pair becomes U+FFFD,
    and the log has the number of replacements.

    Raises:
        InputError: the file is not JSON in UTF-8; the message names the file and line.
    """
    with _opened(path) as file:
        try:
            raw = file.read()
        except _BROKEN_ARCHIVE as error:
            raise InputError(f"{path} breaks off ({error}); fetch it again") from error
    text = _decoded(raw, 1, path, "utf-8")
    value, replaced = _json(text, str(path))
    _log_replaced(path, replaced)
    return value


def check_utf8(path: str | Path) -> None:
    """Check a text file that another library will read: it must be UTF-8 without a byte order mark,
    which these libraries take for text.

    Raises:
        InputError: it has a byte order mark, or is not UTF-8.
    """
    if Path(path).read_bytes().startswith(codecs.BOM_UTF8):
        raise InputError(
            f"{path} begins with a byte order mark, which is not part of its text; remove it: "
            "tail -c +4 FILE > NEW"
        )
    with _opened(path) as file:
        _decoded(file.read(), 1, path, "utf-8")


def json_lines(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON-lines file, with their line numbers. Blank lines are skipped. Half of a
    surrogate pair becomes U+FFFD, and the log has the number of replacements.

    Raises:
        InputError: a line is not a JSON object.
    """
    replaced = 0
    for number, line in filled_lines(path):
        where = f"{path}, line {number}"
        record, count = _json(line, where)
        replaced += count
        if not isinstance(record, dict):
            raise InputError(f"{where}: not a JSON object but {line[:60]!r}; fix or remove it")
        yield number, record
    _log_replaced(path, replaced)


def files_in(folder: str | Path, *patterns: str) -> list[Path]:
    """The sorted files of a folder that match one of the patterns, plain or gzipped.

    Files that operating systems and archives add are ignored: hidden files such as ``._en.txt`` and
    ``.DS_Store``, and the folder ``__MACOSX``. If a file exists plain and gzipped, the plain one is
    used.

    Args:
        patterns: patterns for :meth:`pathlib.Path.glob`.
    """
    folder = Path(folder)
    found = {
        path
        for pattern in patterns
        for path in (*folder.glob(pattern), *folder.glob(f"{pattern}.gz"))
        if not any(
            part.startswith(".") or part == "__MACOSX" for part in path.relative_to(folder).parts
        )
        and path.is_file()
    }
    return sorted(
        path for path in found if path.suffix != ".gz" or path.with_suffix("") not in found
    )


def plain_name(path: Path) -> str:
    """A file's name without the suffix ``.gz``.

    >>> plain_name(Path("en/train.tsv.gz"))
    'train.tsv'
    """
    return path.name.removesuffix(".gz")


def without_surrogates(value: Any) -> tuple[Any, int]:
    """A JSON value with U+FFFD in place of every half of a surrogate pair, and the number of
    replacements.

    >>> without_surrogates({"text": ["sad \\ud83d"]})
    ({'text': ['sad \\ufffd']}, 1)
    """
    if isinstance(value, str):
        return _SURROGATE.subn(REPLACEMENT, value)
    if isinstance(value, list):
        pairs = [without_surrogates(item) for item in value]
        return [item for item, _ in pairs], sum(count for _, count in pairs)
    if isinstance(value, dict):
        keys, count = without_surrogates(list(value))
        values, more = without_surrogates(list(value.values()))
        return dict(zip(keys, values, strict=True)), count + more
    return value, 0


def _csv_rows(path: str | Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV table that are not blank, each with the number of its first line."""
    read = 0  # the number of lines that were read

    def lines() -> Iterator[str]:
        nonlocal read
        for number, line in numbered_lines(path):
            read = number
            yield f"{line}\n"

    csv.field_size_limit(sys.maxsize)  # the default is less than a long article
    rows = csv.reader(lines(), delimiter=separator, strict=True)
    while True:
        begin = read + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise InputError(
                f"{path}, line {begin}: not a row of CSV ({error}); a column that contains quotation "
                "marks is itself in quotation marks, and has each of them twice"
            ) from error
        if row is None:
            return
        if len(row) > 1 or "".join(row).strip():
            yield begin, row


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[IO[bytes]]:
    """A file's bytes, decompressed if it is gzipped.

    Raises:
        InputError: it is UTF-16 or UTF-32.
    """
    with Path(path).open("rb") as raw:
        is_gzipped = raw.read(len(_GZIP)) == _GZIP
    opening: Any = gzip.open if is_gzipped else open
    with opening(path, "rb") as file:
        try:
            start = file.peek(4)[:4]
        except _BROKEN_ARCHIVE:  # the following read reports it, with the line
            start = b""
        for mark, name in _OTHER_UNICODE.items():
            if start.startswith(mark):
                raise _not_utf8(path, name)
        if len(start) == 4 and b"\0\0" in (start[0::2], start[1::2]) and start.strip(b"\0"):
            raise _not_utf8(path, "UTF-16")  # no byte order mark, but half of the bytes are 0
        yield file


def _not_utf8(path: str | Path, name: str) -> InputError:
    return InputError(
        f"{path} is not UTF-8 but {name}; convert it: iconv -f {name} -t UTF-8 FILE > NEW"
    )


def _decoded(raw: bytes, first: int, path: str | Path, encoding: str) -> str:
    """The decoded text of bytes, without byte order marks at its beginning; ``first`` is the number
    of their first line, for errors."""
    try:
        return raw.decode(encoding).lstrip(_BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        line = first + raw.count(b"\n", 0, error.start)
        wanted = "UTF-8" if encoding == "utf-8" else encoding
        raise InputError(
            f"{path} is not {wanted}, line {line}: {error}; convert it, for example: "
            "iconv -f LATIN1 -t UTF-8 FILE > NEW"
        ) from error


def _json(text: str, where: str) -> tuple[Any, int]:
    """The JSON value of a text, without halves of surrogate pairs, and their number."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}); fix it, or fetch the file again") from error
    return without_surrogates(value) if _ESCAPED_SURROGATE.search(text) else (value, 0)


def _log_replaced(path: str | Path, count: int) -> None:
    if count:
        log.warning("%s: %d halves of surrogate pairs replaced with U+FFFD", path, count)
