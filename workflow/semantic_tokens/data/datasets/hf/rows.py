"""Canonical examples of the rows of a table of the hub, for the kinds of tasks that have one table."""

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from semantic_tokens.data.datasets.canonical import Example, Placed, is_blank
from semantic_tokens.data.datasets.conll import to_iob2
from semantic_tokens.data.datasets.xnli import UNDECIDED
from semantic_tokens.data.hub_tables import WITHHELD, Part, as_written
from semantic_tokens.data.languages import language_at
from semantic_tokens.errors import InputError

log = logging.getLogger(__name__)


def canonical_rows(
    rows: Iterable[dict[str, Any]],
    kind: str,
    part: Part,
    split: str,
    labels: Sequence[str] | None,
    languages: Sequence[str] | None,
    where: str,
) -> Iterator[Example]:
    """Canonical examples of a table's rows, without rows in unknown languages if only some are
    requested, and without rows that have nothing to learn or to test. The log counts the latter.

    Raises:
        InputError: a row is malformed, or no row can be used.
    """
    dropped: Counter[str] = Counter()
    kept = 0
    for number, row in enumerate(rows):
        place = f"{where}, row {number}"
        found = row.pop("language", None)
        language = part.language
        if found not in (None, ""):
            language = language_at(place, as_written(found), languages)
            if language is None:
                continue
        if language is None:
            raise InputError(f"{place}: the language is missing; fill it or remove the row")
        name = row.pop("id", None)
        shared = _shared(row, language)
        content = _KINDS[kind](row, labels, place, dropped)
        if content is None:
            continue
        kept += 1
        # Row numbers start again in every configuration and split.
        own = f"{language}-{split}-{number if name is None else name}"
        yield Placed({"id": own, "language": language, **content}, where, number, "row", shared)
    counts = ", ".join(f"{count} {what}" for what, count in sorted((+dropped).items()))
    if counts and not kept:
        raise InputError(
            f"{where}: no row can be used ({counts}); name another split in `splits`, or leave its "
            "configuration out"
        )
    if counts:
        log.warning("%s: %s dropped", where, counts)


def _shared(row: dict[str, Any], language: str) -> list[Hashable]:
    """The title and the cluster of a row, which are removed from it. A title is of one language."""
    title, cluster = row.pop("title", None), row.pop("cluster", None)
    shared: list[Hashable] = []
    if title not in (None, ""):
        shared.append(("title", language, str(title)))
    if cluster not in (None, ""):
        shared.append(("cluster", str(cluster)))
    return shared


def _tagged(
    row: dict[str, Any], labels: Sequence[str] | None, place: str, dropped: Counter[str]
) -> Example | None:
    """A sentence without blank tokens that are outside entities; None if no other token is in it."""
    tokens, tags = row["tokens"], row["tags"]
    if not isinstance(tokens, list) or not isinstance(tags, list):
        raise InputError(f"{place}: tokens and tags must be lists, not {tokens!r} and {tags!r}")
    named = to_iob2([_label(tag, labels, place) for tag in tags])
    if len(tokens) != len(named) or not any(map(is_blank, tokens)):
        return {"tokens": tokens, "tags": named}
    kept = [
        (token, tag)
        for token, tag in zip(tokens, named, strict=True)
        if tag != "O" or not is_blank(token)
    ]
    if not kept:
        dropped["sentences of blank tokens"] += 1
        return None
    dropped["blank tokens"] += len(tokens) - len(kept)
    return {"tokens": [token for token, _ in kept], "tags": [tag for _, tag in kept]}


def _answered(
    row: dict[str, Any], labels: Sequence[str] | None, place: str, dropped: Counter[str]
) -> Example:
    answers = answers_of(row, place)
    return {"context": row["context"], "question": row["question"], "answers": answers}


def answers_of(row: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    """The canonical answers from a column ``answers`` in SQuAD's form: a mapping with the lists
    ``text`` and ``answer_start``, or a list of mappings.

    Raises:
        InputError: they have another form, or another column of the question is not text.
    """
    answers = row["answers"]
    if isinstance(answers, Mapping):
        texts, starts = answers.get("text"), answers.get("answer_start")
        if isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts):
            pairs = zip(texts, starts, strict=True)
            answers = [{"text": text, "answer_start": start} for text, start in pairs]
        else:
            answers = [answers]
    is_sound = isinstance(answers, list) and all(
        isinstance(answer, Mapping)
        and isinstance(answer.get("text"), str)
        and type(answer.get("answer_start")) is int
        for answer in answers
    )
    others = [value for name, value in row.items() if name != "answers"]
    if not is_sound or not all(isinstance(value, str) for value in others):
        raise InputError(
            f"{place}: a question has text in its columns, and in `answers` as many `text` as "
            f"`answer_start`, not {str(row['answers'])[:80]}; fix or remove the row"
        )
    return [{"text": answer["text"], "start": answer["answer_start"]} for answer in answers]


def _paired(
    row: dict[str, Any], labels: Sequence[str] | None, place: str, dropped: Counter[str]
) -> Example | None:
    """A pair; None if its label is withheld or undecided, or a sentence is empty."""
    if _is_withheld(row["label"], labels):
        dropped["pairs without a label"] += 1
        return None
    if row["first"] in (None, "") or row["second"] in (None, ""):
        dropped["pairs with an empty sentence"] += 1
        return None
    label = _label(row["label"], labels, place)
    return {"first": row["first"], "second": row["second"], "label": label}


# Reads a row of the columns of its kind. It counts what is dropped; None if this is the entire row.
_Reader = Callable[[dict[str, Any], Sequence[str] | None, str, Counter[str]], Example | None]
_KINDS: dict[str, _Reader] = {
    "token_classification": _tagged,
    "question_answering": _answered,
    "pair_classification": _paired,
}


def _is_withheld(value: Any, labels: Sequence[str] | None) -> bool:
    """Whether a pair has no label: it is empty or -1, or ``-``, the mark of undecided annotators.
    In a table of text, -1 is a label unless the ``labels`` are given."""
    if value in (None, "") or (type(value) is int and value == WITHHELD):
        return True
    named = list(map(as_written, labels or ()))
    marks = (UNDECIDED, str(WITHHELD)) if labels is not None else (UNDECIDED,)
    return isinstance(value, str) and value in marks and value not in named


def _label(value: Any, labels: Sequence[str] | None, place: str) -> str:
    """The name of a tag or label, from its name or its number in ``labels``, which is text in a table
    of text."""
    is_number = isinstance(value, str) and value.isdecimal() and len(value) < 10
    if is_number and labels is not None and value not in map(as_written, labels):
        value = int(value)
    if type(value) is int and labels is not None and 0 <= value < len(labels):
        return as_written(labels[value])
    if not isinstance(value, str):
        remedy = (
            "which `labels` does not name; correct it, or remove the row"
            if labels is not None
            else "which has no name; list the names of the numbers, from 0, under `labels`"
        )
        raise InputError(f"{place}: the label is {value!r}, {remedy}")
    return value
