"""Extractive question answering: SQuAD's F1, the best span, and answers in long contexts."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import Rule, character_tokenizer, write_model, write_task
from torch.nn import functional

from semantic_tokens.errors import InputError
from semantic_tokens.tasks.metrics import squad_f1
from semantic_tokens.tasks.question_answering import QuestionAnswering, best_span
from semantic_tokens.tasks.run import make_task
from semantic_tokens.tasks.scored_items import scores_by_language

VOCABULARY = character_tokenizer().get_vocab()
WINDOWS = {"max_length": 40, "stride": 8, "max_question_length": 16}


# SQuAD's F1


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ("Denver Broncos", "Denver Broncos", 1),
        ("Denver Broncos", "the DENVER broncos!", 1),  # articles, case, punctuation
        ("Saint Bernadette Soubirous", "Bernadette Soubirous", 0.8),  # precision 1, recall 2/3
        ("a golden statue of the Virgin Mary", "the Virgin Mary", 2 * 1 * 0.4 / 1.4),
        ("in the 1870s", "1870s in", 1),  # a bag of words
        ("New York, New York", "New York", 2 / 3),  # that counts repetitions
        ("U.S.A.", "usa", 1),  # punctuation is removed and does not separate words
        ("$1,500", "1500", 1),
        ("Theatre an der Wien", "theatre der wien", 1),  # an article of English in all languages
        ("another", "other", 0),  # articles are entire words
        ("1976", "1977", 0),
        ("", "", 0),  # the official script finds no common word
        ("The", "a", 0),  # only articles: no words remain
        ("1976", "", 0),
        ("«Война и мир»", "война и мир", 1 / 3),  # only ASCII punctuation is removed
        ("¿Qué?", "qué", 0),
        ("北京市", "北京", 0),  # words are separated by spaces
        ("서울 시", "서울", 2 / 3),
    ],
)
def test_official_f1_of_worked_examples(gold: str, predicted: str, expected: float) -> None:
    assert squad_f1(gold, predicted) == pytest.approx(expected)
    assert squad_f1(predicted, gold) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ("Denver Broncos", "the DENVER broncos!", 1),
        ("", "", 1),
        ("The", "a", 1),  # only articles: no words remain
        ("1976", "", 0),
        ("«Война и мир»", "война и мир", 1),
        ("¿Qué?", "qué", 1),
        ("مصر،", "مصر", 1),
        ("北京市", "北京", 0.8),  # characters are words: precision 1, recall 2/3
        ("北京。", "北京", 1),
        ("2008年", "2008", 2 / 3),
        ("トマト", "トマ", 0.8),
        ("서울 시", "서울", 2 / 3),  # Korean has spaces
    ],
)
def test_unicode_f1_of_worked_examples(gold: str, predicted: str, expected: float) -> None:
    assert squad_f1(gold, predicted, "unicode") == pytest.approx(expected)
    assert squad_f1(predicted, gold, "unicode") == pytest.approx(expected)


def test_an_unknown_normalization_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'ascii'; use squad or unicode"):
        QuestionAnswering(tmp_path, tmp_path, tmp_path, normalization="ascii")


# The best span


def window_of(count: int, before: int = 4) -> dict[str, Any]:
    """A window with this number of context tokens of one character each, after ``before`` other
    tokens."""
    return {"context_start": before, "offsets": [edge for i in range(count) for edge in (i, i + 1)]}


@pytest.mark.parametrize("longest", [1, 3, 30])
def test_best_span_has_the_highest_score_of_all_allowed_spans(longest: int) -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        logits = generator.normal(size=(2, 20))
        spans = [
            (logits[0, 4 + i] + logits[1, 4 + j], i, j + 1)
            for i, j in itertools.combinations_with_replacement(range(11), 2)
            if j - i < longest
        ]
        score, begin, end = best_span(logits, window_of(11), longest)
        assert (begin, end) == max(spans)[1:]
        assert score == pytest.approx(max(spans)[0])


def test_the_best_span_is_in_the_context() -> None:
    """Even if the model has higher scores for the question, the special tokens or the padding."""
    logits = np.zeros((2, 20))
    logits[:, :4] = logits[:, 15:] = 99.0
    logits[0, 6], logits[1, 9] = 1.0, 1.0
    assert best_span(logits, window_of(11), 30) == (2.0, 2, 6)


def test_answer_does_not_end_before_it_starts() -> None:
    logits = np.zeros((2, 20))
    logits[0, 9], logits[1, 6] = 5.0, 4.0
    score, begin, end = best_span(logits, window_of(11), 30)
    assert begin < end
    assert score == 5.0


def test_an_empty_context_has_no_span() -> None:
    assert best_span(np.zeros((2, 20)), window_of(0), 30) is None


# The task


def example(number: int, context: str, answer: str, language: str = "eng", **more: Any) -> dict:
    gold = {"text": answer, "start": context.rindex(answer)}
    query = {"id": str(number), "language": language, "context": context, "question": "1 or 9?"}
    return query | {"answers": [gold]} | more


LONG = "he ate a red tomato in may, " * 4
TRAIN = [example(0, "he ate 12 of them", "12"), example(1, "er aß 19 davon", "19", "deu")]
TEST = [
    example(2, "she ate 15629 of them", "15629"),
    example(3, LONG + "and 1239 of them fell", "1239"),
    example(4, "1349. " + LONG, "1349"),
    example(5, "他吃了1029红色的番茄", "1029", "zho"),
    example(6, "番茄 19!", "番茄", "deu"),
]


def answer_by_digits(input_ids: torch.Tensor, **_: torch.Tensor) -> torch.Tensor:
    """A model whose answers start with the digit 1 and end with the digit 9, at any position."""
    begin = input_ids == VOCABULARY["1"]
    end = (input_ids == VOCABULARY["##9"]) | (input_ids == VOCABULARY["9"])
    return torch.stack([begin, end], dim=-1).float()


def answer_by_digits_in_two_outputs(**inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """The same, in the form of transformers' heads for questions."""
    begin, end = answer_by_digits(**inputs).unbind(dim=-1)
    return {"start_logits": begin, "end_logits": end}


@pytest.fixture
def task_arguments(tmp_path: Path) -> dict[str, Any]:
    return write_task(
        tmp_path / "qa", "question_answering", {"train": TRAIN, "test": TEST}, WINDOWS
    )


@pytest.mark.parametrize("rule", [answer_by_digits, answer_by_digits_in_two_outputs])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_answers_are_found_in_any_window_and_script(
    task_arguments: dict, batch_size: int, rule: Callable[..., Any]
) -> None:
    scores = scores_by_language(make_task(**task_arguments).evaluate(Rule(rule), batch_size))
    assert list(scores) == ["deu", "eng", "zho"]
    assert scores["zho"] == (100.0, 1)
    # "15629" is found, and "1239" and "1349" after and before text that fills three windows.
    assert scores["eng"] == (pytest.approx(100.0), 3)
    assert scores["deu"] == (0.0, 1)


def test_answer_comes_from_the_window_with_the_highest_score(task_arguments: dict) -> None:
    """Not the first or the last window, and not one with a lower score."""

    def prefer_windows_with_a_3(input_ids: torch.Tensor, **more: torch.Tensor) -> torch.Tensor:
        return answer_by_digits(input_ids) * (
            1 + (input_ids == VOCABULARY["##3"]).any(dim=1)[:, None, None]
        )

    context = "19 or, " + LONG + "1239" + LONG + " or 19"
    task_arguments = write_task(
        task_arguments["dataset"].parent / "windows",
        "question_answering",
        {"train": TRAIN, "test": [example(7, context, "1239")]},
        WINDOWS,
    )
    assert scores_by_language(
        make_task(**task_arguments).evaluate(Rule(prefer_windows_with_a_3), 4)
    ) == {"eng": (100.0, 1)}


def test_the_best_of_several_gold_answers_counts(tmp_path: Path) -> None:
    gold_answers = [{"text": "she ate 129", "start": 0}, {"text": "129 of", "start": 8}]
    task_arguments = write_task(
        tmp_path,
        "question_answering",
        {
            "train": TRAIN,
            "test": [example(8, "she ate 129 of them", "129") | {"answers": gold_answers}],
        },
        WINDOWS,
    )
    ((score, _),) = scores_by_language(
        make_task(**task_arguments).evaluate(Rule(answer_by_digits), 4)
    ).values()
    assert score == pytest.approx(100 * 2 / 3)


def test_unanswerable_question_is_correct_without_an_answer(tmp_path: Path) -> None:
    """As in SQuAD 2, the score of no answer is the first token's, and the lowest over windows."""

    def slightly_prefer_no_answer(input_ids: torch.Tensor, **more: torch.Tensor) -> torch.Tensor:
        scores = answer_by_digits(input_ids)
        scores[:, 0] = 0.8  # lower than the span from 1 to 9, higher than any other
        return scores

    no_answer = {"answers": []}
    test = [
        example(1, "she ate 19 of them", "19"),
        example(2, LONG + "and none of them fell", "none", "deu") | no_answer,
        example(3, LONG + "and 1239 of them fell", "1239", "zho") | no_answer,
    ]
    task_arguments = write_task(
        tmp_path, "question_answering", {"train": TRAIN, "test": test}, WINDOWS
    )
    scores = scores_by_language(
        make_task(**task_arguments).evaluate(Rule(slightly_prefer_no_answer), 4)
    )
    assert scores == {"eng": (100.0, 1), "deu": (100.0, 1), "zho": (0.0, 1)}
    task_arguments = write_task(
        tmp_path / "answered", "question_answering", {"train": TRAIN, "test": test[:1]}, WINDOWS
    )

    def always_prefer_no_answer(input_ids: torch.Tensor, **more: torch.Tensor) -> torch.Tensor:
        scores = answer_by_digits(input_ids)
        scores[:, 0] = 9
        return scores

    # If all questions have an answer, one is always given.
    assert (
        scores_by_language(make_task(**task_arguments).evaluate(Rule(always_prefer_no_answer), 4))[
            "eng"
        ][0]
        == 100
    )


def test_answers_are_no_longer_than_allowed(task_arguments: dict) -> None:
    scores = scores_by_language(
        make_task(**task_arguments | {"options": {"max_answer_tokens": 4}}).evaluate(
            Rule(answer_by_digits), 8
        )
    )
    assert scores["eng"][0] == pytest.approx(100 * 2 / 3)  # all but "15629"
    assert scores["zho"] == (100.0, 1)


def test_training_on_one_language_uses_only_its_windows(task_arguments: dict) -> None:
    task = make_task(**task_arguments | {"languages": ["deu"]})
    assert len(task.lengths) == 1
    batch = task.collate(np.array([0]))
    begin, end = int(batch["start_positions"]), int(batch["end_positions"])
    answer = batch["input_ids"][0, begin : end + 1]
    assert answer.tolist() == [VOCABULARY["1"], VOCABULARY["##9"]]


def test_padding_does_not_affect_the_loss(task_arguments: dict, tmp_path: Path) -> None:
    task = make_task(**task_arguments)
    model = task.load_model(
        write_model(tmp_path / "model", torch.arange(len(VOCABULARY))), seed=0, dropout=0.0
    )
    batch = task.collate(np.array([0, 1]))
    assert batch["attention_mask"].min() == 0
    assert task.terms(batch) == 2
    single_losses = [task.loss(model, task.collate(np.array([i]))) for i in range(2)]
    torch.testing.assert_close(task.loss(model, batch), torch.stack(single_losses).mean())


def test_loss_is_the_mean_of_start_and_end_losses(task_arguments: dict, tmp_path: Path) -> None:
    task = make_task(**task_arguments)
    batch = task.collate(np.array([0]))
    logits = torch.randn(*batch["input_ids"].shape, 2)
    expected = (
        functional.cross_entropy(logits[:, :, 0], batch["start_positions"])
        + functional.cross_entropy(logits[:, :, 1], batch["end_positions"])
    ) / 2
    torch.testing.assert_close(task.loss(Rule(lambda **_: logits), batch), expected)
