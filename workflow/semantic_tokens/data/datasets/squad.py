"""SQuAD's JSON: TyDiQA-GoldP (paper, section 3.1), and XQuAD's paragraphs as a small retrieval
corpus in parallel languages."""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from semantic_tokens.data.datasets.canonical import SPLITS, Example, Placed, is_in_place
from semantic_tokens.data.datasets.sources import (
    SplitFiles,
    files_by_language,
    files_of_split,
    warn_untested,
)
from semantic_tokens.data.datasets.splitting import (
    check_fraction,
    check_fractions,
    in_clusters,
    part_of,
)
from semantic_tokens.data.languages import known_language, require_languages
from semantic_tokens.errors import InputError
from semantic_tokens.text_files import files_in, json_document, plain_name

log = logging.getLogger(__name__)

# Other parts of the names of such files: the benchmark and its version.
_NO_LANGUAGE = re.compile(r"tydiqa|goldp|xquad|squad|v?\d+|")
# MLQA has a file for each split, language of the passages, and language of the questions.
_MLQA = re.compile(r"(dev|test)-context-([a-z]+)-question-([a-z]+)")


class Paragraph(NamedTuple):
    """A paragraph of SQuAD's JSON.

    Attributes:
        title: the title of its document.
        questions: canonical examples of question answering.
    """

    title: str
    context: str
    questions: list[Example]


class Question(NamedTuple):
    """A canonical example of question answering.

    Attributes:
        title: the title of its document.
        shared: the id that it has in common with its translations; None if it has none.
    """

    title: str
    example: Example
    shared: str | None = None


def squad_json(
    path: Path,
    languages: Sequence[str] | None = None,
    train_languages: Sequence[str] | None = None,
    dev_fraction: float = 0.1,
    drop_test_contexts: bool = True,
    seed: int = 0,
) -> dict[str, list[Example]]:
    """Questions in SQuAD's JSON, such as TyDiQA-GoldP's.

    The name of a file contains its split, and its language if there is only one:
    ``german.train.json``, ``tydiqa.goldp.sw.dev.json``. In a file with several languages, such as
    ``tydiqa-goldp-v1.1-train.json``, the ids of questions contain the language (``swahili-…``).
    Without either, ``languages`` must name one language. Files in subfolders are read too. Of MLQA,
    the test files with questions in the language of their passages are read.

    Parallel sets, such as XQuAD and MLQA, have the same ids in all languages. Such ids get the
    language, and the translations of a question are in one cluster.

    The publishers' dev split is our test split, and our dev split is split from train
    (:func:`carve_dev`). A language with only a dev split is tested without its own training data.
    A language with only a training file is not tested, and the log names it.

    Args:
        train_languages: the languages of train and dev (ISO 639-3); the other ``languages`` are
            only tested. None trains on all.

    Raises:
        InputError: a file is malformed, or most answers in it are not at their positions.
    """
    check_fraction("dev_fraction", dev_fraction, may_be_zero=True)
    files = {split: _files_of(path, split, languages) for split in ("train", "dev")}
    questions = {
        split: [
            question
            for language, file in of_split.chosen
            for question in _questions(file, language, languages)
        ]
        for split, of_split in files.items()
    }
    languages_found = {q.example["language"] for of_split in questions.values() for q in of_split}
    available = languages_found.union(*(of_split.languages for of_split in files.values()))
    if available:
        require_languages(languages, languages_found, str(path), available=available)
    for split, found in questions.items():
        if not found:
            raise InputError(
                f"{path} contains no question of {split}; its files are named "
                f"{{language}}.{split}.json or as TyDiQA's: correct the dataset's `path` or "
                "`languages` in the config"
            )
    if languages is not None:
        questions = {
            split: [q for q in of_split if q.example["language"] in languages]
            for split, of_split in questions.items()
        }
    read = {q.example["language"] for of_split in questions.values() for q in of_split}
    warn_untested(read, (question.example for question in questions["dev"]), str(path))
    if train_languages is not None:
        require_languages(
            train_languages,
            (question.example["language"] for question in questions["train"]),
            f"{path}, train",
            option="dataset's `train_languages`",
        )
        questions["train"] = [
            q for q in questions["train"] if q.example["language"] in train_languages
        ]
    _add_languages_to_ids(questions)
    return carve_dev(
        questions["train"],
        questions["dev"],
        dev_fraction=dev_fraction,
        drop_test_contexts=drop_test_contexts,
        seed=seed,
    )


def split_and_code(path: Path) -> tuple[str | None, str | None]:
    """The split and the language's code or name in the name of a file of SQuAD's JSON.

    Either is None if it is not in the name. Other text in the name becomes the code, which is then
    not a language.

    >>> split_and_code(Path("tydiqa-goldp-v1.1-dev.json")), split_and_code(Path("xquad.de.json"))
    (('dev', None), (None, 'de'))
    """
    stem = plain_name(path).removesuffix(".json").lower()
    if mlqa := _MLQA.fullmatch(stem):
        published, of_context, of_question = mlqa.groups()
        # Other publishers have only a dev split, which is our test split. Of MLQA, it is their test.
        split = "dev" if published == "test" else None
        return split, of_context if of_context == of_question else stem
    words = re.split(r"[._-]", stem)
    split = next((word for word in words if word in ("train", "dev")), None)
    rest = [word for word in words if word != split and not _NO_LANGUAGE.fullmatch(word)]
    return split, "-".join(rest) or None


def _add_languages_to_ids(questions: dict[str, list[Question]]) -> None:
    """Put the language into ids that a split has in several languages.

    An id that is also in the other split is left as it is, and refused later: a question could be
    trained on in one language and tested on in the other.
    """
    languages_of: dict[str, dict[str, set[str]]] = {split: {} for split in questions}
    for split, of_split in questions.items():
        for question in of_split:
            name, language = str(question.example["id"]), question.example["language"]
            languages_of[split].setdefault(name, set()).add(language)
    in_both = set.intersection(*map(set, languages_of.values()))
    for split, of_split in questions.items():
        for number, question in enumerate(of_split):
            name, language = str(question.example["id"]), question.example["language"]
            if len(languages_of[split][name]) > 1 and name not in in_both:
                question.example["id"] = f"{language}-{name}"
                of_split[number] = question._replace(shared=name)


def _files_of(path: Path, split: str, languages: Sequence[str] | None) -> SplitFiles:
    codes = {file: split_and_code(file) for file in files_in(path, "**/*.json")}
    coded = {file: code for file, (of_file, code) in codes.items() if of_file == split}
    return files_of_split(f"{path}, {split}", coded, languages)


def carve_dev(
    train: list[Question],
    test: list[Question],
    *,
    dev_fraction: float,
    drop_test_contexts: bool,
    seed: int,
) -> dict[str, list[Example]]:
    """Move random documents from train to dev, so that no document is in both.

    Args:
        dev_fraction: the fraction of documents to move.
        drop_test_contexts: leave out training questions about passages of the test split (TyDiQA
            has 151 in Korean and Swahili).
    """
    if drop_test_contexts:
        tested = {question.example["context"] for question in test}
        apart = [question for question in train if question.example["context"] not in tested]
        if len(apart) < len(train):
            log.info("%d training questions on tested passages dropped", len(train) - len(apart))
        train = apart
    splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
    for example in _by_document(train):
        part = part_of(example["cluster"], seed, train=1 - dev_fraction, dev=dev_fraction)
        splits[part].append(example)
    splits["test"] = _by_document(test)
    return splits


def _by_document(questions: Sequence[Question]) -> list[Example]:
    """Questions that share a title or a passage, and translations, are in one cluster."""
    features = [
        [(example["language"], "context", example["context"])]
        + ([(example["language"], "title", title)] if title else [])
        + ([("id", shared)] if shared else [])
        for title, example, shared in questions
    ]
    return in_clusters([question.example for question in questions], features)


def xquad_ranking(
    path: Path,
    languages: Sequence[str] | None = None,
    train_fraction: float = 0.6,
    dev_fraction: float = 0.1,
    seed: int = 0,
) -> dict[str, list[Example]]:
    """XQuAD's questions as queries for its paragraphs, from files ``xquad.{language}.json``.

    The paragraph of a question is relevant. The languages are parallel, so a paragraph and its
    questions are in the same split in all languages. All splits search all paragraphs. Questions on
    one article are in one cluster, since its paragraphs are the likely wrong answers. Titles are
    left empty, because they are in English in every language.

    Raises:
        InputError: a file is malformed, or not parallel to the others.
    """
    check_fractions(train_fraction, dev_fraction)
    files = files_by_language(
        path, "xquad.*.json", lambda file: split_and_code(file)[1] or "", languages
    )
    splits: dict[str, list[Example]] = {split: [] for split in (*SPLITS, "passages")}
    reference: tuple[Path, list[list[str]]] | None = None
    articles: list[str] = []
    for language, file in files.items():
        paragraphs = read_squad(file, language)
        ids = [[question["id"] for question in paragraph.questions] for paragraph in paragraphs]
        if reference is None:
            reference = file, ids
            articles = [p.title or str(number) for number, p in enumerate(paragraphs)]
        if ids != reference[1]:
            raise InputError(
                f"{file} does not ask the questions of {reference[0]} in the same order, so a "
                "paragraph could be trained on in one language and tested on in the other; leave "
                f"{language} out of the dataset's `languages`"
            )
        for number, paragraph in enumerate(paragraphs):
            passage = f"{language}-{number}"
            text = {"id": passage, "language": language, "title": "", "text": paragraph.context}
            splits["passages"].append(Placed(text, file))
            part = part_of(str(number), seed, train=train_fraction, dev=dev_fraction)
            for question in paragraph.questions:
                query = {
                    "id": f"{language}-{question['id']}",
                    "language": language,
                    "query": question["question"],
                    "relevant": {passage: 1},
                    "cluster": articles[number],
                }
                splits[part].append(Placed(query, file))
    return splits


def _questions(path: Path, language: str | None, languages: Sequence[str] | None) -> list[Question]:
    """The questions of a file, without misplaced answers."""
    paragraphs = read_squad(path, language, languages)
    found = [Question(p.title, example) for p in paragraphs for example in p.questions]
    return questions_in_place(found, str(path))


def read_squad(
    path: Path, language: str | None, languages: Sequence[str] | None = None
) -> list[Paragraph]:
    """The paragraphs of a file in SQuAD's format, version 1.1 or 2.

    A question that the file calls impossible has no answers.

    Args:
        language: the language of its questions; None if their ids contain it.
        languages: the requested languages (ISO 639-3). If there is only one, it is the language of
            questions whose ids do not contain one. If there are several, such questions are left
            out.

    Raises:
        InputError: the file has another format, or its language is unknown.
    """
    document = json_document(path)
    try:
        paragraphs = [
            _paragraph(article, paragraph, language, path)
            for article in document["data"]
            for paragraph in article["paragraphs"]
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise _not_squad(path, error) from error
    if language is None:
        questions = [question for paragraph in paragraphs for question in paragraph.questions]
        question_languages = _languages_of(
            [str(question["id"]) for question in questions], path, languages
        )
        for question, question_language in zip(questions, question_languages, strict=True):
            question["language"] = question_language
        paragraphs = [
            paragraph._replace(questions=[q for q in paragraph.questions if q["language"]])
            for paragraph in paragraphs
        ]
    return paragraphs


def read_contexts(
    path: Path, language: str | None, languages: Sequence[str] | None = None
) -> Iterator[tuple[str, str]]:
    """The language and text of each passage of a file in SQuAD's format. Questions are optional.

    Args:
        language, languages: see :func:`read_squad`.

    Raises:
        InputError: the file has another format, or its language is unknown.
    """
    document = json_document(path)
    try:
        contexts = [
            (paragraph["context"], next((str(q["id"]) for q in paragraph.get("qas", ())), ""))
            for article in document["data"]
            for paragraph in article["paragraphs"]
        ]
        if not all(isinstance(context, str) for context, _ in contexts):
            raise TypeError("a context is not text")
    except (AttributeError, KeyError, TypeError) as error:
        raise _not_squad(path, error) from error
    context_languages: Sequence[str | None] = [language] * len(contexts)
    if language is None:
        context_languages = _languages_of([question for _, question in contexts], path, languages)
    for (context, _), context_language in zip(contexts, context_languages, strict=True):
        if context_language is not None:
            yield context_language, context


def drop_misplaced(examples: Iterable[Example], where: str) -> list[Example]:
    """Leave out answers that are not at their positions, and questions that have only such answers.

    Questions without an answer are kept. An empty answer is none; some files mark with it that a
    question has no answer.

    Raises:
        InputError: this affects most of the answered questions, so ``start`` does not count
            characters.
    """
    kept, answered, misplaced = [], 0, 0
    for example in examples:
        example["answers"] = [answer for answer in example["answers"] if answer["text"] != ""]
        answers = [a for a in example["answers"] if is_in_place(a, example["context"])]
        answered += bool(example["answers"])
        if example["answers"] and not answers:
            misplaced += 1
            continue
        example["answers"] = answers
        kept.append(example)
    if 2 * misplaced > answered:
        raise InputError(
            f"{where}: {misplaced} of {answered} questions have no answer at its "
            "`answer_start`; count it in characters (not bytes) from 0"
        )
    if misplaced:
        log.warning("%s: %d questions with misplaced answers dropped", where, misplaced)
    return kept


def questions_in_place(questions: Sequence[Question], where: str) -> list[Question]:
    """The questions that :func:`drop_misplaced` keeps.

    Raises:
        InputError: most answers are misplaced.
    """
    # Compared as objects: other questions may have the same id, which is checked later.
    kept = {id(example) for example in drop_misplaced((q.example for q in questions), where)}
    return [question for question in questions if id(question.example) in kept]


def _paragraph(
    article: dict[str, Any], paragraph: dict[str, Any], language: str | None, path: Path
) -> Paragraph:
    context = paragraph["context"]
    if not isinstance(context, str):
        raise TypeError(f"a context is {context!r}")
    questions: list[Example] = []
    for question in paragraph["qas"]:
        example = {
            "id": question["id"],
            "language": language,
            "context": context,
            "question": question["question"],
            "answers": [
                {"text": answer["text"], "start": answer["answer_start"]}
                for answer in question["answers"]
                if not question.get("is_impossible")
            ],
        }
        questions.append(Placed(example, path))
    return Paragraph(article.get("title", ""), context, questions)


def _languages_of(
    questions: Sequence[str], path: Path, languages: Sequence[str] | None
) -> list[str | None]:
    """The languages at the starts of the ids of a file's questions; otherwise the only requested
    language, or None if several are requested. The log has the number of ids in other languages.

    ``dev-0`` and ``id-7`` begin with codes of languages by chance. So the starts are languages only
    if one of them is requested or is a name in full, as in TyDiQA's ids.

    Raises:
        InputError: no id says a language; or all languages are requested, and one does not.
    """
    starts = [question.partition("-")[0] if "-" in question else "" for question in questions]
    named = {start: known_language(start) for start in set(starts)}
    are_languages = languages is None or any(
        language is not None and (language in languages or len(start) > 3)
        for start, language in named.items()
    )
    only = languages[0] if languages is not None and len(languages) == 1 else None
    found = [(named[start] if are_languages else None) or only for start in starts]
    if None in found and (languages is None or not are_languages):
        raise InputError(
            f"{path}: neither its name nor the id {questions[found.index(None)]!r} says a language; "
            "name it {language}.train.json or {language}.dev.json, or name its one language in "
            "`languages`"
        )
    others = sum(language not in languages for language in found) if languages is not None else 0
    if others:
        log.info("%s: %d ids begin with no language in `languages`", path, others)
    return found


def _not_squad(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} is not of SQuAD's form ({type(error).__name__}: {error}); it takes data, "
        "paragraphs, context, qas, id, question, answers, text and answer_start"
    )
