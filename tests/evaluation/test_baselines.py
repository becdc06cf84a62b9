import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from semantic_tokens.errors import InputError
from semantic_tokens.evaluation.baselines import (
    METRICS,
    bm25_order,
    chance,
    commonest_class,
    constant_answer,
    constant_tag,
    expected_ndcg_at_10,
    record,
    word_spans,
)
from semantic_tokens.tasks.metrics import ndcg_at_10, squad_f1
from semantic_tokens.tasks.scored_items import mean_score


def labelled(*labels: str) -> list[dict]:
    return [{"id": f"{n}", "language": "eng", "label": label} for n, label in enumerate(labels)]


def test_pair_classification_baseline_is_the_most_common_training_class() -> None:
    items, rule = commonest_class(labelled("a", "a", "b"), labelled("a", "b", "b", "b"))
    assert [item.earned for item in items] == [1, 0, 0, 0]
    assert rule == "always a"


def test_equally_common_classes_share_the_score() -> None:
    items, _ = commonest_class(labelled(*"abcabc"), labelled(*"aabbbc"))
    assert mean_score(items) == pytest.approx(1 / 3)


def tagged(*sentences: str) -> list[dict]:
    return [
        {"id": f"{n}", "language": "eng", "tags": tags.split()} for n, tags in enumerate(sentences)
    ]


def test_tagging_baseline_is_the_best_constant_tag_of_the_training_data() -> None:
    # B-LOC for every word is right twice, so F1 is 2 · 2 / (2 gold + 4 predicted). O finds nothing.
    train = tagged("O B-LOC", "B-LOC O")
    items, rule = constant_tag(train, tagged("O O B-LOC", "B-PER I-PER O"))
    assert rule == "the tag B-LOC for every word"
    assert [(item.earned, item.possible) for item in items] == [(2.0, 4.0), (0.0, 4.0)]


def test_tagging_baseline_is_zero_if_no_constant_tag_finds_an_entity() -> None:
    """A single tag for all words finds no entity of two words in a longer sentence."""
    items, _ = constant_tag(tagged("B-PER I-PER O O"), tagged("B-PER I-PER O"))
    assert mean_score(items) == 0.0


def question(number: int, context: str, answer: str, language: str = "eng") -> dict:
    answers = [{"text": answer, "start": context.index(answer)}]
    return {"id": f"{number}", "language": language, "context": context, "answers": answers}


def test_answer_baseline_is_a_fixed_word_position_in_the_passage() -> None:
    train = [question(n, f"see {name} go there now", name) for n, name in enumerate(["Ada", "Bo"])]
    test = [question(0, "see Cy go", "Cy"), question(1, "it is Di here", "Di")]
    items, rule = constant_answer(train, test, squad_f1)
    assert rule == "the words of the passage from word 2 to word 2"
    assert [item.earned for item in items] == [100, 0]


def test_passage_shorter_than_the_fixed_answer_position_scores_zero() -> None:
    train = [question(0, "one two three four", "four")]
    items, rule = constant_answer(train, [question(0, "one two", "two")], squad_f1)
    assert rule.startswith("the words of the passage from word 4")
    assert items[0].earned == 0


def test_no_answer_to_any_question_is_a_rule_of_chance() -> None:
    text = "one two three four five six seven eight nine ten"
    unanswerable = [question(n, text, "one") | {"answers": []} for n in range(3)]
    train, test = [question(3, text, "one"), *unanswerable], unanswerable[:1]
    items, rule = constant_answer(train, [*test, question(4, "a b", "b")], squad_f1)
    assert rule == "no answer to any question"
    assert [item.earned for item in items] == [100, 0]
    items, rule = constant_answer(train[:1], test, squad_f1)
    assert rule == "the words of the passage from word 1 to word 1"
    assert items[0].earned == 0


@pytest.mark.parametrize(("normalization", "f1"), [("squad", 0), ("unicode", 80)])
def test_chance_of_questions_has_the_f1_of_the_task(normalization: str, f1: float) -> None:
    """The official F1 takes Chinese text without spaces as one word."""
    train, test = [question(0, "西红柿", "西红")], [question(1, "番茄好", "番茄好")]
    items, _ = chance("question_answering", train, test, answer_normalization=normalization)
    assert items[0].earned == pytest.approx(f1)


def test_words_of_unspaced_scripts_are_characters() -> None:
    assert [("ก東 to-do."[a:b]) for a, b in word_spans("ก東 to-do.")] == ["ก", "東", "to-do."]


def mean_ndcg_over_all_orders(grades: list[int], judged: dict[str, int]) -> float:
    """The mean over all orders, computed by trec_eval."""
    names = [f"p{n}" for n in range(len(grades))]
    values = []
    for order in itertools.permutations(names):
        run = {"q": {name: -float(rank) for rank, name in enumerate(order)}}
        values.append(ndcg_at_10({"q": judged}, run)["q"])
    return float(np.mean(values))


@pytest.mark.parametrize(
    ("grades", "missed"), [([1, 0, 0], []), ([2, 1, 0, 0], []), ([1, 0], [1, 3]), ([1], [])]
)
def test_the_expected_ndcg_is_the_mean_over_all_orders(
    grades: list[int], missed: list[int]
) -> None:
    judged = {f"p{n}": grade for n, grade in enumerate(grades) if grade}
    judged |= {f"missed{n}": grade for n, grade in enumerate(missed)}
    expected = expected_ndcg_at_10([g for g in grades if g], len(grades), list(judged.values()))
    assert expected == pytest.approx(mean_ndcg_over_all_orders(grades, judged))


def test_the_expected_ndcg_of_a_long_list_agrees_with_random_orders() -> None:
    generator = np.random.default_rng(0)
    judged = {"p3": 1, "p17": 2, "elsewhere": 1}
    values = []
    for _ in range(4_000):
        order = generator.permutation(40)
        run = {"q": {f"p{n}": -float(rank) for rank, n in enumerate(order)}}
        values.append(ndcg_at_10({"q": judged}, run)["q"])
    expected = expected_ndcg_at_10([1, 2], 40, list(judged.values()))
    assert expected == pytest.approx(np.mean(values), abs=4 * np.std(values) / 4_000**0.5)


def test_expected_ndcg_is_zero_without_ranked_or_relevant_passages() -> None:
    assert expected_ndcg_at_10([], 0, [1]) == 0.0
    assert expected_ndcg_at_10([], 5, []) == 0.0


QUERIES = [
    {"id": "q1", "language": "eng", "relevant": {"a": 1}},
    {"id": "q2", "language": "deu", "relevant": {"z": 1}},
]
CANDIDATES = {"q1": ["b", "a", "c"], "q2": ["x", "y"]}


def test_reranking_baseline_is_a_random_order_down_to_the_depth() -> None:
    items, _ = chance("reranking", [], QUERIES, candidates=CANDIDATES, depth=2)
    # a is the first or the second of two, and z is not among the candidates
    assert [item.earned for item in items] == pytest.approx([(1 + 1 / np.log2(3)) / 2, 0.0])


def test_retrieval_baseline_is_a_random_order_within_the_language() -> None:
    items, _ = chance("retrieval", [], QUERIES, passages={"eng": 2, "deu": 4})
    gains = 1 / np.log2(np.arange(2, 6))
    assert [item.earned for item in items] == pytest.approx([gains[:2].sum() / 2, gains.sum() / 4])


def test_bm25_baseline_is_scored_in_its_own_order() -> None:
    items = bm25_order(QUERIES, CANDIDATES, None)
    assert [(item.id, item.earned) for item in items] == [
        ("q1", pytest.approx(1 / np.log2(3))),
        ("q2", 0.0),
    ]
    assert bm25_order(QUERIES, CANDIDATES, 1)[0].earned == 0.0


def test_an_unknown_kind_is_an_input_error() -> None:
    with pytest.raises(InputError, match="task kind 'ranking' is not one of"):
        chance("ranking", [], [])


def test_baseline_record_has_the_keys_of_a_score() -> None:
    items, rule = commonest_class(labelled("a"), labelled("a", "b"))
    written = record("pair_classification", items, task="nli", baseline="chance", rule=rule)
    assert json.loads(json.dumps(written)) == {
        "task": "nli", "baseline": "chance", "rule": "always a", "kind": "pair_classification",
        "metric": "accuracy", "value": 0.5, "by_language": {"eng": 0.5},
        "count_by_language": {"eng": 2},
    }  # fmt: skip


def test_baselines_use_the_metrics_of_the_tasks() -> None:
    import importlib

    for kind, metric in METRICS.items():
        name = "".join(part.capitalize() for part in kind.split("_"))
        task = getattr(importlib.import_module(f"semantic_tokens.tasks.{kind}"), name)
        assert task.metric == metric


def test_answer_baseline_scores_low_on_real_questions(shared_data: Path) -> None:
    """TyDiQA-GoldP in English: the score of a fixed position in the passage."""

    file = json.loads((shared_data / "tydiqa_goldp/english.train.json").read_text(encoding="utf-8"))
    rows = [
        {
            "id": qa["id"],
            "language": "eng",
            "context": paragraph["context"],
            "answers": [{"text": a["text"], "start": a["answer_start"]} for a in qa["answers"]],
        }
        for article in file["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]
    half = len(rows) // 2
    items, rule = constant_answer(rows[:half], rows[half:], squad_f1)
    assert 1 < mean_score(items) < 20, rule
