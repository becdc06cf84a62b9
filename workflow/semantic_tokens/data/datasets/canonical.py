"""The canonical form of the tasks' examples, and its validation.

docs/architecture.md describes the form. Later steps (tokenisation, ranking, scoring) rely on it, so
every example is validated here once.
"""

import json
import logging
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from semantic_tokens.data.digest_set import DigestSet
from semantic_tokens.data.languages import iso639_3
from semantic_tokens.errors import InputError

log = logging.getLogger(__name__)

Example = dict[str, Any]

#: The splits of every dataset; a ranking dataset also has ``passages``.
SPLITS = ("train", "dev", "test")


class Placed(dict[str, Any]):
    """An example with its place in a publisher's file, for messages.

    Args:
        source: the file, or the description of a table.
        number: the number of its line or row, if it is known.
        unit: ``line`` or ``row``.
        shared: what it has in common with dependent examples, if its keys do not say it.
    """

    __slots__ = ("number", "shared", "source", "unit")

    def __init__(
        self,
        example: Example,
        source: Path | str,
        number: int | None = None,
        unit: str = "line",
        shared: Sequence[Hashable] = (),
    ) -> None:
        super().__init__(example)
        self.source, self.number, self.unit, self.shared = source, number, unit, shared

    @property
    def place(self) -> str:
        if self.number is None:
            return str(self.source)
        return f"{self.source}, {self.unit} {self.number}"


def validate_examples(
    kind: str,
    examples: Iterable[Example],
    path: str | Path,
    *,
    seen: DigestSet | None = None,
) -> Iterator[Example]:
    """Yield the examples and validate each: keys, types, language code, unique id, and the rules of
    its kind (IOB2 tags, positions of answers, positive grades).

    Exact repetitions of earlier examples are left out, and the log has their number.

    Args:
        kind: a key of :data:`KEYS`.
        path: the source, for messages about examples that are not :class:`Placed`.
        seen: ids that are already used; new ids are added.

    Raises:
        InputError: an example is not valid; the message names its place and key.
    """
    if kind not in KEYS:
        raise InputError(f"dataset kind {kind!r} is not one of {', '.join(KEYS)}")
    seen = DigestSet() if seen is None else seen
    contents = DigestSet()
    repeated = 0
    for number, example in enumerate(examples, start=1):
        problem = _problem(kind, example)
        if problem is None:
            is_new = contents.add(json.dumps(example, sort_keys=True))
            if not seen.add(example["id"]):
                if not is_new:
                    repeated += 1
                    continue
                problem = (
                    f"`id` {example['id']!r} is taken by an earlier example, which says something "
                    "else or is in another split; give it another id or remove one"
                )
        if problem:
            place = example.place if isinstance(example, Placed) else f"{path}, record {number}"
            raise InputError(f"{place}: {problem}")
        yield example
    if repeated:
        log.warning("%s: %d examples dropped that repeat an earlier one", path, repeated)


def texts_by_id(rows: Iterable[tuple[str, str, str]], where: str | Path) -> dict[str, str]:
    """Id -> text. Exact repetitions are left out, and the log has their number.

    Args:
        rows: the place, id and text of each row.
        where: the source of all rows, for the log.

    Raises:
        InputError: two texts have the same id.
    """
    texts: dict[str, str] = {}
    repeated = 0
    for place, name, text in rows:
        repeated += name in texts
        if texts.setdefault(name, text) != text:
            raise InputError(
                f"{place}: the id {name!r} is taken by an earlier text, which says something else; "
                "give it another id or remove one"
            )
    if repeated:
        log.warning("%s: %d texts dropped that repeat an earlier one", where, repeated)
    return texts


def add_grade(
    grades: dict[str, dict[str, int]], query: str, passage: str, grade: int, place: str
) -> None:
    """Add a judgement to query -> passage -> grade.

    Raises:
        InputError: the passage has another grade for this query.
    """
    earlier = grades.setdefault(query, {}).setdefault(passage, grade)
    if earlier != grade:
        raise InputError(
            f"{place}: passage {passage} has the grade {grade}, and {earlier} earlier for the same "
            "query; remove one"
        )


def iob2(tags: Sequence[str]) -> list[str]:
    """Tags in IOB2: an I- tag that does not continue an entity becomes B-.

    IOB1 starts entities in this way, and annotators of IOB2 make such errors (12 times in
    MasakhaNER 1.0). seqeval and conlleval also start an entity there, so no entity changes.

    >>> iob2(["O", "I-PER", "I-PER", "I-LOC"])
    ['O', 'B-PER', 'I-PER', 'B-LOC']
    """
    return [
        f"B-{tag[2:]}" if tag.startswith("I-") and previous[2:] != tag[2:] else tag
        for previous, tag in zip(["O", *tags], tags, strict=False)
    ]


def is_tag(tag: object) -> bool:
    """Whether this is O, or B- or I- with a type."""
    return isinstance(tag, str) and (tag == "O" or (tag[:2] in ("B-", "I-") and len(tag) > 2))


def is_blank(text: object) -> bool:
    """Whether this is text with nothing but spaces, tabs and line breaks."""
    return isinstance(text, str) and not text.strip(" \t\r\n")


def is_in_place(answer: dict[str, Any], context: str) -> bool:
    """Whether an answer's text is in its context at the character ``start``."""
    text, start = answer["text"], answer["start"]
    if not isinstance(text, str) or not isinstance(start, int):
        return False
    return text != "" and start >= 0 and context[start : start + len(text)] == text


def _problem(kind: str, example: Example) -> str | None:
    """The error of an example, as text that follows its place; None if it is valid."""
    types = {"id": str, "language": str} | KEYS[kind]
    for key, type_ in types.items():
        if key not in example:
            return f"key `{key}` is missing; a {kind} example has {', '.join(types)}"
        if not isinstance(example[key], type_):
            return f"`{key}` is {example[key]!r} and must be a {_TYPE_NAMES[type_]}"
        if not example[key] and key not in _MAY_BE_EMPTY:
            return f"`{key}` is empty; fill it or remove the example"
    cluster = example.get("cluster", "none")
    if not isinstance(cluster, str) or not cluster:
        return f"`cluster` is {cluster!r} and must be a string that is not empty"
    language = example["language"]
    try:
        code = iso639_3(language)
    except InputError as error:
        return f"`language`: {error}"
    if code != language:
        return f"`language` is {language!r} and must be ISO 639-3: {code}"
    check = _CHECKS.get(kind)
    return check(example) if check else None


def _tagging_problem(example: Example) -> str | None:
    tokens, tags = example["tokens"], example["tags"]
    if len(tokens) != len(tags):
        return f"{len(tokens)} `tokens` have {len(tags)} `tags`; give each token one tag"
    for token in tokens:
        if not isinstance(token, str) or is_blank(token):
            return f"`tokens` contains {token!r}; a token must be a string that is not blank"
    for tag in tags:
        if not is_tag(tag):
            return f"`tags` contains {tag!r}; a tag must be O, B-TYPE or I-TYPE"
    for number, (tag, expected) in enumerate(zip(tags, iob2(tags), strict=True)):
        if tag != expected:
            return f"`tags`[{number}] is {tag} but continues no entity; in IOB2 it is {expected}"
    return None


def _answer_problem(example: Example) -> str | None:
    for answer in example["answers"]:
        if (
            not isinstance(answer, dict)
            or not isinstance(answer.get("text"), str)
            or type(answer.get("start")) is not int
        ):
            return f'`answers` contains {answer!r}; an answer must be {{"text": string, "start": integer}}'
        if not is_in_place(answer, example["context"]):
            return (
                f"the answer {answer['text']!r} is not at character {answer['start']} of "
                "`context`; count `start` in characters (not bytes) from 0"
            )
    return None


def _relevance_problem(example: Example) -> str | None:
    for passage, grade in example["relevant"].items():
        if type(grade) is not int or grade <= 0:
            return (
                f"`relevant` gives passage {passage!r} the grade {grade!r}; a grade is a positive "
                "integer, and a passage that is not relevant is left out"
            )
    irrelevant = example.get("irrelevant", [])
    if not isinstance(irrelevant, list) or not all(type(name) is str for name in irrelevant):
        return f"`irrelevant` is {irrelevant!r} and must be a list of ids of passages"
    return None


#: The keys of examples of each kind, in addition to ``id`` and ``language``.
KEYS: dict[str, dict[str, type]] = {
    "token_classification": {"tokens": list, "tags": list},
    "question_answering": {"context": str, "question": str, "answers": list},
    "pair_classification": {"first": str, "second": str, "label": str},
    "ranking": {"query": str, "relevant": dict},
    "passage": {"title": str, "text": str},
}
#: The passage does not answer a question without an answer.
_MAY_BE_EMPTY = {"title", "answers"}
_TYPE_NAMES: dict[type, str] = {str: "string", list: "list", dict: "mapping"}
_CHECKS: dict[str, Callable[[Example], str | None]] = {
    "token_classification": _tagging_problem,
    "question_answering": _answer_problem,
    "ranking": _relevance_problem,
}
