"""Named entities in columns with one word per line, the format of CoNLL's shared tasks, WikiANN and
MasakhaNER (paper, section 3.1)."""

import codecs
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from semantic_tokens.data.datasets.canonical import SPLITS, Example, Placed, iob2, is_tag
from semantic_tokens.data.hub_tables import as_written
from semantic_tokens.errors import InputError
from semantic_tokens.text_files import at_tabs_or_spaces, numbered_lines

log = logging.getLogger(__name__)

#: The start of a document in CoNLL-2002 and 2003, which is not a word of a sentence.
DOCUMENT_START = "-DOCSTART-"
# Further marks of BIOES, BILOU and BMES: an entity's last word, and an entity of one word.
_INSIDE = {"E": "I", "L": "I", "M": "I"}
_SINGLE = ("S", "U")
_LAST = ("E", "L", *_SINGLE)


class TaggedSentence(NamedTuple):
    """The words and tags of a sentence as in the file, its first line, and the number of its
    document, which is the number of ``-DOCSTART-`` lines before it."""

    words: list[str]
    tags: list[str]
    line: int
    document: int


def read_sentences(
    path: Path,
    *,
    word: int = 1,
    tag: int | None = -1,
    width: int | None = None,
    encoding: str = "utf-8",
    comments: str | None = None,
    word_prefix: str = "",
) -> Iterator[TaggedSentence]:
    """The sentences of a file with columns. They end at a blank line or at ``-DOCSTART-``.

    Columns are separated by tabs if the line has any, else by spaces.

    Args:
        word, tag: the numbers of the columns: 1 is the first, -1 the last. With None, tags are not
            read and are empty, and a file may have words alone.
        width: the number of columns; None allows any.
        comments: lines that start with this are skipped.
        word_prefix: a prefix of every word, which is removed.

    Raises:
        InputError: a column or the tag is missing.
    """
    words: list[str] = []
    tags: list[str] = []
    begin = 1
    document = 0
    single: tuple[int, str] | None = None  # the first line with one column
    has_tags = tag is not None
    for number, line in numbered_lines(path, encoding):
        if comments and line.startswith(comments):
            continue
        fields = at_tabs_or_spaces(line) if line.strip() else []
        if not fields or fields[0] == DOCUMENT_START:
            if words:
                yield TaggedSentence(words, tags, begin, document)
            words, tags = [], []
            document += bool(fields)
            continue
        has_tags = has_tags or len(fields) > 1
        if len(fields) == 1:
            single = single or (number, line)
        if has_tags and single is not None:  # its word and tag are not separated, or one is missing
            raise _malformed(path, *single, _expected(word, tag or -1, width, word_prefix))
        try:
            if width is not None and len(fields) != width:
                raise IndexError
            text, label = _column(fields, word), "" if tag is None else _column(fields, tag)
        except IndexError:
            text = label = ""
        if not text or not text.startswith(word_prefix) or (tag is not None and not _tag(label)):
            raise _malformed(path, number, line, _expected(word, tag, width, word_prefix))
        if not words:
            begin = number
        words.append(text.removeprefix(word_prefix))
        tags.append(label)
    if words:
        yield TaggedSentence(words, tags, begin, document)


def to_iob2(tags: Sequence[str]) -> list[str]:
    """Convert tags of IOB1, IOB2, BIOES, BILOU or BMES to IOB2. The scheme need not be known, since
    their tags do not contradict each other.

    >>> to_iob2(["S-PER", "O", "B-LOC", "E-LOC", "I-LOC"])
    ['B-PER', 'O', 'B-LOC', 'I-LOC', 'B-LOC']
    >>> to_iob2(["I-PER", "I-PER", "B-PER", "O"])
    ['B-PER', 'I-PER', 'B-PER', 'O']
    """
    written = []
    after_last = False
    for tag in tags:
        mark, dash, kind = tag.partition("-")
        if dash:
            begins = mark in _SINGLE or after_last
            after_last = mark in _LAST
            mark = "B" if begins else _INSIDE.get(mark, mark)
        else:
            after_last = False
        written.append(f"{mark}{dash}{kind}")
    return iob2(written)


def examples_of(
    file: Path, language: str, split: str, sentences: Iterator[TaggedSentence]
) -> Iterator[Example]:
    """Canonical examples of a file's sentences, their tags in IOB2. The sentences of a document are
    in one cluster, if the file has several documents.

    Raises:
        InputError: a file of train or test has no sentence.
    """
    changed = 0
    found = list(sentences)
    has_documents = len({sentence.document for sentence in found}) > 1
    for number, sentence in enumerate(found):
        tags = to_iob2(sentence.tags)
        changed += tags != sentence.tags
        example = {
            "id": f"{language}-{split}-{number}",
            "language": language,
            "tokens": sentence.words,
            "tags": tags,
        }
        if has_documents:
            example["cluster"] = f"{language}-{split}-document-{sentence.document}"
        yield Placed(example, file, sentence.line)
    if not found and split != "dev":
        raise InputError(
            f"{file} contains no sentence; fill it, or leave {language} out of the dataset's "
            "`languages`"
        )
    if changed:
        log.info("%s: the tags of %d sentences were rewritten in IOB2", file, changed)


def conll(
    path: Path,
    languages: Sequence[str] | Mapping[str, str],
    files: str = "{language}/{split}.txt",
    splits: Mapping[str, str] | None = None,
    columns: Mapping[str, int] | None = None,
    encoding: str = "utf-8",
    comments: str | None = None,
    word_prefix: str = "",
) -> dict[str, list[Example]]:
    """Named entities in columns, in IOB1, IOB2, BIOES or a similar scheme.

    Args:
        path: a folder.
        languages: ISO 639-3 codes, or a mapping from these codes to the names in the files.
        files: the path in the folder of the file for a language and split.
        splits: the names of train, dev and test in the files.
        columns: the numbers of the columns ``word`` and ``tag``: 1 is the first, -1 the last. The
            default is the first and the last.
        encoding: the encoding of the files, for example ``latin-1`` for CoNLL-2002.
        comments: lines that start with this are skipped, such as ``# id`` in MultiCoNER.
        word_prefix: a prefix of every word, such as ``{language}:`` in WikiANN.

    Raises:
        InputError: an option is invalid, a file is missing or has no sentence, or a line is
            malformed.
    """
    given = languages if isinstance(languages, Mapping) else {name: name for name in languages}
    names = {language: as_written(name) for language, name in given.items()}
    of_split = _named_splits(splits)
    places = _places(columns)
    _check_encoding(encoding)
    for option, value in (("files", files), ("word_prefix", word_prefix)):
        _fill(option, value, "xx", "train")
    found: dict[str, list[Example]] = {split: [] for split in SPLITS}
    read_as: dict[Path, tuple[str, str]] = {}
    for language, name in names.items():
        for split, published in of_split.items():
            file = _existing(path / _fill("files", files, name, published))
            if file is None:
                if split == "dev":  # some languages have no dev split
                    continue
                raise InputError(
                    f"{path / _fill('files', files, name, published)} is missing; correct the "
                    f"dataset's `files` or `splits`, or leave {language} out of its `languages`"
                )
            if file in read_as:
                raise InputError(
                    f"{file} would be {' '.join(read_as[file])} and {language} {split}; put "
                    "{language} and {split} into the dataset's `files`, and give `splits` different "
                    "names"
                )
            read_as[file] = language, split
            sentences = read_sentences(
                file,
                word=places["word"],
                tag=places["tag"],
                encoding=encoding,
                comments=comments,
                word_prefix=_fill("word_prefix", word_prefix, name, published),
            )
            found[split] += examples_of(file, language, split, sentences)
    return found


def _named_splits(splits: Mapping[str, str] | None) -> dict[str, str]:
    if splits is None:
        return {split: split for split in SPLITS}
    unknown = sorted(set(splits) - set(SPLITS))
    if unknown or not {"train", "test"} <= set(splits):
        raise InputError(
            f"the dataset's `splits` is {dict(splits)} and must give the names of train, dev and "
            "test in the files; correct it in the config"
        )
    return {split: str(splits[split]) for split in SPLITS if split in splits}


def _places(columns: Mapping[str, int] | None) -> dict[str, int]:
    places = {"word": 1, "tag": -1} | dict(columns or {})
    if set(places) != {"word", "tag"} or not all(
        type(place) is int and place != 0 for place in places.values()
    ):
        raise InputError(
            f"the dataset's `columns` is {dict(columns or {})} and must give `word` and `tag` the "
            "numbers of their columns, from 1, or from -1 backwards; correct it in the config"
        )
    return places


def _check_encoding(encoding: str) -> None:
    try:
        is_known = codecs.lookup(encoding).name and "a\n".encode(encoding) == b"a\n"
    except (LookupError, TypeError):
        is_known = False
    if not is_known:
        raise InputError(
            f"the dataset's `encoding` is {encoding!r} and must be utf-8, latin-1 or another that "
            "extends ASCII; correct it in the config"
        )


def _fill(option: str, pattern: str, language: str, split: str) -> str:
    try:
        return pattern.format(language=language, split=split)
    except (AttributeError, KeyError, IndexError, ValueError) as error:
        raise InputError(
            f"the dataset's `{option}` is {pattern!r} and must be text with {{language}} and "
            "{split} in place of their names; correct it in the config"
        ) from error


def _existing(file: Path) -> Path | None:
    """The file, or its gzipped version."""
    for candidate in (file, file.with_name(f"{file.name}.gz")):
        if candidate.is_file():
            return candidate
    return None


def _column(fields: list[str], number: int) -> str:
    return fields[number - 1 if number > 0 else number]


def _tag(label: str) -> bool:
    """Whether this is O, or a mark of a scheme with a type."""
    mark, dash, kind = label.partition("-")
    written = f"B-{kind}" if dash and mark in (*_INSIDE, *_SINGLE) else label
    return is_tag(written)


def _malformed(path: Path, number: int, line: str, expected: str) -> InputError:
    return InputError(f"{path}, line {number}: {expected}, not {line!r}; fix or remove the line")


def _expected(word: int, tag: int | None, width: int | None, prefix: str) -> str:
    if width == 2:
        return "a word and its tag (O, B-TYPE or I-TYPE) separated by a space are expected"
    what = f"a word in column {word}" + (f" that begins with {prefix!r}" if prefix else "")
    return what + (
        f" and its tag (O, B-TYPE, I-TYPE …) in column {tag} are expected"
        if tag
        else " is expected"
    )
