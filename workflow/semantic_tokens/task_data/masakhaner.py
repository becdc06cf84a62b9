"""MasakhaNER 1.0: named entities in ten African languages (paper, section 3.1)."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from semantic_tokens.errors import InputError
from semantic_tokens.languages import iso639_3
from semantic_tokens.task_data.canonical import SPLITS, Example, iob2, is_tag
from semantic_tokens.task_data.sources import files_by_language, numbered_lines

log = logging.getLogger(__name__)


def masakhaner(path: Path, languages: Sequence[str] | None = None) -> dict[str, list[Example]]:
    """Read ``{language}/{train,dev,test}.txt``, a word and its tag a line, a blank line behind
    every sentence.

    A language may lack dev; the publishers' splits are kept as they are.

    Raises:
        InputError: names file and line of the first malformed line.
    """
    folders = files_by_language(path, "*/train.txt", _language_of_folder, languages)
    splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for language, train in folders.items():
        for split in SPLITS:
            file = train.with_name(f"{split}.txt")
            if file.is_file():
                splits[split] += _examples(file, language, split)
            elif split != "dev":
                raise InputError(
                    f"{file} is missing; fetch it, or leave {language} out of the dataset's "
                    "`languages`"
                )
    return splits


def read_conll(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    """The words and tags of every sentence of a file of two columns.

    Raises:
        InputError: a line is not a word and an IOB2 tag.
    """
    words: list[str] = []
    tags: list[str] = []
    for number, line in numbered_lines(path):
        fields = line.split()
        if not fields:
            if words:
                yield words, tags
            words, tags = [], []
            continue
        if len(fields) != 2 or not is_tag(fields[1]):
            raise InputError(
                f"{path}, line {number}: a word and its tag (O, B-TYPE or I-TYPE) separated by a "
                f"space are expected, not {line!r}; mend or remove the line"
            )
        words.append(fields[0])
        tags.append(fields[1])
    if words:
        yield words, tags


def _language_of_folder(file: Path) -> str:
    return iso639_3(file.parent.name)


def _examples(file: Path, language: str, split: str) -> Iterator[Example]:
    slips = 0
    for number, (words, tags) in enumerate(read_conll(file)):
        mended = iob2(tags)
        slips += mended != tags
        yield {"id": f"{language}-{split}-{number}", "language": language, "tokens": words} | {
            "tags": mended
        }
    if slips:
        log.info("%s: %d sentences had an I- that continues nothing, read as B-", file, slips)
