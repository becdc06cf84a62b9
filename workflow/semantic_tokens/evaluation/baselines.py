"""Baselines without a model: chance, and BM25.

Chance is the best score without reading the test item, chosen on the training data: always the most
frequent class, one tag for every word, or the same position in every passage or no answer to any
question. For rankings it is the expected score of a random order. A model that is not better has not
learned to use the text.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import regex
from tqdm import tqdm

from semantic_tokens.errors import InputError
from semantic_tokens.tasks.metrics import entity_counts, ndcg_at_10, squad_f1
from semantic_tokens.tasks.scored_items import ScoredItem, mean_score, score_record

Example = Mapping[str, Any]

#: The metric of each kind of task, the same as for fine-tuned models.
METRICS = {
    "token_classification": "f1",
    "question_answering": "f1",
    "pair_classification": "accuracy",
    "reranking": "ndcg_at_10",
    "retrieval": "ndcg_at_10",
}

#: The possible starts of a constant answer, in words from the start of the passage, and its
#: lengths; None is the rest of the passage.
STARTS = range(10)
LENGTHS = (*range(1, 11), None)
#: The rule of no answer to any question: no word of the passage.
NO_ANSWER = (0, 0)
#: The number of training questions for choosing the constant answer, evenly spaced.
CHOSEN_ON = 500

DISCOUNTS = 1 / np.log2(np.arange(2, 12))  # discounts of the first ten ranks

# A word, or one character of a script without spaces between words.
_WORD = regex.compile(
    r"[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}]"
    r"|[^\s\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}]+"
)


def commonest_class(
    train: Iterable[Example], test: Iterable[Example]
) -> tuple[list[ScoredItem], str]:
    """Always predict the most frequent class of the training data; average over equally frequent
    ones.

    Returns:
        the items, each with its probability of being correct, and the rule in words.
    """
    counts = Counter(example["label"] for example in train)
    most_frequent = sorted(label for label in counts if counts[label] == max(counts.values()))
    items = [
        ScoredItem(
            row["id"],
            row["language"],
            float(row["label"] in most_frequent) / len(most_frequent),
            1.0,
        )
        for row in test
    ]
    return items, f"always {' or '.join(most_frequent)}"


def constant_tag(train: Iterable[Example], test: Iterable[Example]) -> tuple[list[ScoredItem], str]:
    """Predict one tag for every word: the tag with the highest entity F1 on the training data.

    Returns:
        the items, and the rule in words.
    """

    def items_of(examples: Iterable[Example], tag: str) -> list[ScoredItem]:
        return [
            ScoredItem(
                row["id"],
                row["language"],
                *entity_counts(row["tags"], [tag] * len(row["tags"])),
            )
            for row in examples
        ]

    train = list(train)
    tags = sorted({tag for row in train for tag in row["tags"]})
    best = max(tags, key=lambda tag: mean_score(items_of(train, tag)))
    return items_of(test, best), f"the tag {best} for every word"


def constant_answer(
    train: Iterable[Example], test: Iterable[Example], answer_f1: Callable[[str, str], float]
) -> tuple[list[ScoredItem], str]:
    """Predict the same position in every passage, or no answer to any question: the rule with the
    highest F1 on the training data.

    Args:
        answer_f1: gold and predicted answer -> F1, 0 to 1.

    Returns:
        the items with scores from 0 to 100, and the rule in words.
    """

    def items_of(
        examples: Iterable[Example], words: Sequence[Sequence[tuple[int, int]]],
        start: int, length: int | None,
    ) -> list[ScoredItem]:  # fmt: skip
        items = []
        for row, spans in zip(examples, words, strict=True):
            chosen = spans[start : None if length is None else start + length]
            answer = row["context"][chosen[0][0] : chosen[-1][1]] if chosen else ""
            f1 = max(
                (answer_f1(gold["text"], answer) for gold in row["answers"]),
                default=float(not answer),
            )
            items.append(ScoredItem(row["id"], row["language"], 100.0 * f1, 1.0))
        return items

    train, test = list(train), list(test)
    some = train[:: max(1, len(train) // CHOSEN_ON)]
    words = [word_spans(row["context"]) for row in some]
    rules = [*itertools.product(STARTS, LENGTHS), NO_ANSWER]
    start, length = max(
        tqdm(rules, desc="constant answers", unit="rule", mininterval=2),
        key=lambda rule: mean_score(items_of(some, words, *rule)),
    )
    last = "the last" if length is None else f"word {start + length}"
    rule = f"the words of the passage from word {start + 1} to {last}"
    return (
        items_of(test, [word_spans(row["context"]) for row in test], start, length),
        "no answer to any question" if (start, length) == NO_ANSWER else rule,
    )


def word_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of every word, and of every character in scripts without spaces.

    >>> word_spans("a 東京")
    [(0, 1), (2, 3), (3, 4)]
    """
    return [match.span() for match in _WORD.finditer(text)]


def random_order(
    queries: Iterable[Example],
    ranked: Callable[[Example], tuple[Iterable[str], int]],
) -> list[ScoredItem]:
    """The expected nDCG@10 of every query with its passages in random order.

    Args:
        queries: queries with ``relevant``, passage id -> grade.
        ranked: a query -> the relevant passages among the ranked ones, and the number of ranked
            passages.
    """
    items = []
    for query in queries:
        found, count = ranked(query)
        grades = [query["relevant"][passage] for passage in found]
        value = expected_ndcg_at_10(grades, count, list(query["relevant"].values()))
        items.append(ScoredItem(query["id"], query["language"], value, 1.0))
    return items


def expected_ndcg_at_10(grades: Sequence[int], count: int, judged: Sequence[int]) -> float:
    """The mean nDCG@10 over all orders of ``count`` passages.

    Every passage is at a rank with the same probability, so the expected gain of a rank is the mean
    grade.

    Args:
        grades: the grades of the ranked passages; zeros may be left out.
        judged: all grades of the query, for the ideal order.
    """
    if not count or not judged:
        return 0.0
    best = np.array(sorted(judged, reverse=True)[: len(DISCOUNTS)], dtype=np.float64)
    ideal = float(best @ DISCOUNTS[: len(best)])
    return sum(grades) / count * float(DISCOUNTS[:count].sum()) / ideal if ideal else 0.0


def bm25_order(
    queries: Sequence[Example], candidates: Mapping[str, Sequence[str]], depth: int | None
) -> list[ScoredItem]:
    """The nDCG@10 of every query with its passages in BM25's order.

    Args:
        candidates: query id -> passage ids, best first.
        depth: the number of ranked passages; None for all.
    """
    run = {
        query["id"]: {
            passage: -float(rank) for rank, passage in enumerate(candidates[query["id"]][:depth])
        }
        for query in queries
    }
    values = ndcg_at_10({query["id"]: query["relevant"] for query in queries}, run)
    return [ScoredItem(q["id"], q["language"], values[q["id"]], 1.0) for q in queries]


def chance(
    kind: str,
    train: Iterable[Example],
    test: Iterable[Example],
    *,
    candidates: Mapping[str, Sequence[str]] | None = None,
    depth: int | None = None,
    passages: Mapping[str, int] | None = None,
    answer_normalization: str = "squad",
) -> tuple[list[ScoredItem], str]:
    """The chance items of a task of this kind, and the rule in words.

    Args:
        candidates: for reranking, query id -> ids of the passages to rerank.
        depth: for reranking, the number of passages.
        passages: for retrieval, language -> the number of passages in the collection.
        answer_normalization: for question answering, that of
            :func:`~semantic_tokens.tasks.metrics.squad_f1`.

    Raises:
        InputError: there is no such kind.
    """
    if kind == "pair_classification":
        return commonest_class(train, test)
    if kind == "token_classification":
        return constant_tag(train, test)
    if kind == "question_answering":
        return constant_answer(train, test, partial(squad_f1, normalization=answer_normalization))
    if kind == "reranking" and candidates is not None:

        def listed(query: Example) -> tuple[Iterable[str], int]:
            ranked = candidates[query["id"]][:depth]
            return [passage for passage in ranked if passage in query["relevant"]], len(ranked)

        return random_order(test, listed), "BM25's passages in random order"
    if kind == "retrieval" and passages is not None:
        return (
            random_order(test, lambda q: (q["relevant"], passages.get(q["language"], 0))),
            "the passages of the language in random order",
        )
    raise InputError(f"task kind {kind!r} is not one of {', '.join(METRICS)}")


def record(kind: str, items: Sequence[ScoredItem], **more: Any) -> dict[str, Any]:
    """The JSON of a baseline's score, in the form of a model's (docs/architecture.md)."""
    return {**more, "kind": kind, **score_record(METRICS[kind], items)}
