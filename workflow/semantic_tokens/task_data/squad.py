"""SQuAD's JSON: TyDiQA's gold passages (paper, section 3.1), and XQuAD's paragraphs as a small
retrieval corpus in parallel languages."""

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from semantic_tokens.errors import InputError
from semantic_tokens.languages import iso639_3
from semantic_tokens.task_data.canonical import SPLITS, Example, is_in_place
from semantic_tokens.task_data.sources import files_by_language, require_languages
from semantic_tokens.task_data.splitting import (
    check_fraction,
    check_fractions,
    groups_sharing,
    part_of,
)

log = logging.getLogger(__name__)


class Paragraph(NamedTuple):
    """A paragraph of SQuAD's JSON.

    Attributes:
        title: its document.
        questions: canonical examples of question answering.
    """

    title: str
    context: str
    questions: list[Example]


class Question(NamedTuple):
    """A canonical example of question answering and the document it is from."""

    title: str
    example: Example


def squad_json(
    path: Path,
    languages: Sequence[str] | None = None,
    dev_fraction: float = 0.1,
    drop_test_contexts: bool = True,
    seed: int = 0,
) -> dict[str, list[Example]]:
    """TyDiQA-GoldP as JSON files ``{English name}.{train,dev}.json``.

    The publishers' dev is the test set; ours is carved out of train (:func:`carve_dev`). A
    language that has dev alone is tested without training data of its own.

    Raises:
        InputError: names file and remedy if a file is malformed, or most answers of one are not
            where it says.
    """
    check_fraction("dev_fraction", dev_fraction)
    train = files_by_language(path, "*.train.json", _language_of_file, None)
    test = files_by_language(path, "*.dev.json", _language_of_file, None)
    require_languages(languages, {*train, *test}, str(path))
    questions = {
        split: [
            Question(paragraph.title, example)
            for language, file in files.items()
            if languages is None or language in languages
            for paragraph in read_squad(file, language)
            for example in paragraph.questions
        ]
        for split, files in (("train", train), ("test", test))
    }
    return carve_dev(
        questions["train"],
        questions["test"],
        dev_fraction=dev_fraction,
        drop_test_contexts=drop_test_contexts,
        seed=seed,
    )


def carve_dev(
    train: list[Question],
    test: list[Question],
    *,
    dev_fraction: float,
    drop_test_contexts: bool,
    seed: int,
) -> dict[str, list[Example]]:
    """Move documents at random from train to dev, so that neither shares one with the other.

    Args:
        dev_fraction: the share of documents that move.
        drop_test_contexts: leave out training questions about passages that are tested on
            (TyDiQA has 151 in Korean and Swahili).
    """
    if drop_test_contexts:
        tested = {question.example["context"] for question in test}
        apart = [question for question in train if question.example["context"] not in tested]
        if len(apart) < len(train):
            log.info("%d training questions on tested passages dropped", len(train) - len(apart))
        train = apart
    splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
    documents = groups_sharing(
        [
            [(example["language"], "title", title), (example["language"], example["context"])]
            for title, example in train
        ]
    )
    for (_, example), first in zip(train, documents, strict=True):
        name = train[first].example["id"]
        splits[part_of(name, seed, train=1 - dev_fraction, dev=dev_fraction)].append(example)
    splits["test"] = [question.example for question in test]
    return splits


def xquad_ranking(
    path: Path,
    languages: Sequence[str] | None = None,
    train_fraction: float = 0.6,
    dev_fraction: float = 0.1,
    seed: int = 0,
) -> dict[str, list[Example]]:
    """XQuAD's questions as queries for its paragraphs, from files ``xquad.{language}.json``.

    A question's own paragraph is the relevant one. The languages are parallel, so a paragraph
    and its questions go to the same split in all of them; every paragraph can be found from
    every split. Titles are left empty: the publishers give English ones in every language.

    Raises:
        InputError: names the file that is malformed or not parallel to the others.
    """
    check_fractions(train_fraction, dev_fraction)
    files = files_by_language(path, "xquad.*.json", _language_of_file, languages)
    splits: dict[str, list[Example]] = {split: [] for split in (*SPLITS, "passages")}
    reference: tuple[Path, list[list[str]]] | None = None
    for language, file in files.items():
        paragraphs = read_squad(file, language, check_answers=False)
        ids = [[question["id"] for question in paragraph.questions] for paragraph in paragraphs]
        reference = reference or (file, ids)
        if ids != reference[1]:
            raise InputError(
                f"{file} does not ask the questions of {reference[0]} in the same order, so a "
                "paragraph could be trained on in one language and tested on in the other; leave "
                f"{language} out of the dataset's `languages`"
            )
        for number, paragraph in enumerate(paragraphs):
            passage = f"{language}-{number}"
            splits["passages"].append(
                {"id": passage, "language": language, "title": "", "text": paragraph.context}
            )
            part = part_of(str(number), seed, train=train_fraction, dev=dev_fraction)
            splits[part] += [
                {
                    "id": f"{language}-{question['id']}",
                    "language": language,
                    "query": question["question"],
                    "relevant": {passage: 1},
                }
                for question in paragraph.questions
            ]
    return splits


def read_squad(path: Path, language: str, check_answers: bool = True) -> list[Paragraph]:
    """The paragraphs of a file of SQuAD v1.1's form.

    Args:
        check_answers: drop answers that are not where the file says, as :func:`drop_misplaced`.

    Raises:
        InputError: the file is not of that form.
    """
    try:
        articles = json.loads(path.read_text(encoding="utf-8"))["data"]
        paragraphs = [
            _paragraph(article, paragraph, language)
            for article in articles
            for paragraph in article["paragraphs"]
        ]
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not JSON in UTF-8 ({error}); fetch it again") from error
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not of SQuAD v1.1's form ({type(error).__name__}: {error}); it takes "
            "data, paragraphs, context, qas, id, question, answers, text and answer_start"
        ) from error
    if not check_answers:
        return paragraphs
    questions = drop_misplaced((q for p in paragraphs for q in p.questions), str(path))
    kept = {question["id"]: question for question in questions}
    return [
        paragraph._replace(
            questions=[kept[q["id"]] for q in paragraph.questions if q["id"] in kept]
        )
        for paragraph in paragraphs
    ]


def drop_misplaced(examples: Iterable[Example], where: str) -> list[Example]:
    """Leave out answers that do not stand where they say, and questions left without any.

    Raises:
        InputError: that is most of the questions: ``start`` is counted in something else than
            characters.
    """
    kept, count = [], 0
    for example in examples:
        count += 1
        answers = [a for a in example["answers"] if is_in_place(a, example["context"])]
        if answers:
            kept.append(example | {"answers": answers})
    if 2 * len(kept) < count:
        raise InputError(
            f"{where}: {count - len(kept)} of {count} questions have no answer at its "
            "`answer_start`; count it in characters (not bytes) from 0"
        )
    if len(kept) < count:
        log.warning("%s: %d questions with misplaced answers dropped", where, count - len(kept))
    return kept


def _paragraph(article: dict[str, Any], paragraph: dict[str, Any], language: str) -> Paragraph:
    context = paragraph["context"]
    if not isinstance(context, str):
        raise TypeError(f"a context is {context!r}")
    questions = [
        {
            "id": question["id"],
            "language": language,
            "context": context,
            "question": question["question"],
            "answers": [
                {"text": answer["text"], "start": answer["answer_start"]}
                for answer in question["answers"]
            ],
        }
        for question in paragraph["qas"]
    ]
    return Paragraph(article.get("title", ""), context, questions)


def _language_of_file(path: Path) -> str:
    """``xquad.de.json`` and ``german.train.json`` are both German."""
    first, second = path.name.split(".")[:2]
    return iso639_3(second if first == "xquad" else first)
