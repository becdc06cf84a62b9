import json
import math
from collections import Counter

import pytest

from semantic_tokens.data.bm25 import bm25_candidates, pool_passages, split_words
from semantic_tokens.errors import InputError
from semantic_tokens.tasks.metrics import ndcg_at_10


def passage(identifier: str, text: str, title: str = "", language: str = "eng") -> dict[str, str]:
    return {"id": identifier, "language": language, "title": title, "text": text}


def query(identifier: str, text: str, language: str = "eng") -> dict[str, str]:
    return {"id": identifier, "language": language, "query": text}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't STOP, Straße!", ["don", "t", "stop", "strasse"]),
        ("ﬁne ＡＢＣ１２", ["fine", "abc12"]),  # compatibility forms
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),  # vowel signs are part of the word
        ("తెలుగు বাংলা", ["తెలుగు", "বাংলা"]),
        ("ẹ̀kọ́ Yorùbá", ["ẹ̀kọ́", "yorùbá"]),  # marks that have no composed form
        ("한국어 문장", ["한국어", "문장"]),  # Korean puts spaces between words
        ("東京都", ["東京", "京都"]),
        ("大", ["大"]),
        ("ラーメン屋", ["ラー", "ーメ", "メン", "ン屋"]),
        ("กินน้อง", ["กิน", "นน้", "น้อ", "อง"]),  # pairs of letters with their marks
        ("iPhone手机15", ["iphone", "手机", "15"]),
        ("… — !", []),
    ],
)
def test_text_in_many_scripts_is_split_into_words(text, words):
    assert split_words(text) == words


def brute_force_bm25(texts: dict[str, str], question: str, k1: float, b: float) -> dict[str, float]:
    """Lucene's variant, from Kamphuis et al. (2020), table 1, computed word by word."""
    counts = {identifier: Counter(text.lower().split()) for identifier, text in texts.items()}
    average = sum(c.total() for c in counts.values()) / len(counts)
    scores = dict.fromkeys(texts, 0.0)
    for word in question.lower().split():
        df = sum(word in c for c in counts.values())
        idf = math.log(1 + (len(texts) - df + 0.5) / (df + 0.5))
        for identifier, count in counts.items():
            norm = k1 * (1 - b + b * count.total() / average)
            scores[identifier] += idf * count[word] / (count[word] + norm)
    return scores


TEXTS = {
    "d1": "the cat sat on the mat",
    "d2": "a dog and a cat and a cat",
    "d3": "birds sing",
    "d4": "the dog chased the cat that chased the bird over the garden wall",
    "d5": "nothing of the kind",
}


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.5, 0.75), (1.2, 0.0)])
@pytest.mark.parametrize("is_mapped", [False, True])
@pytest.mark.parametrize("question", ["the cat", "cat dog wall", "dog dog unheard"])
def test_scores_equal_the_bm25_formula(question, is_mapped, k1, b, tmp_path):
    passages = [passage(i, text.split(" ", 1)[1], text.split()[0]) for i, text in TEXTS.items()]
    folder = tmp_path if is_mapped else None
    (ranked,) = bm25_candidates(passages, [query("q", question)], 10, k1, b, folder)
    expected = {i: s for i, s in brute_force_bm25(TEXTS, question, k1, b).items() if s > 0}
    scores = dict(zip(ranked["candidates"], ranked["scores"], strict=True))
    assert scores == pytest.approx(expected, rel=1e-5)
    assert ranked["scores"] == sorted(ranked["scores"], reverse=True)


def test_ties_are_ordered_by_id_before_the_list_is_cut():
    passages = [passage(i, "same words") for i in ("p3", "p10", "p1", "p2")]
    passages += [passage("p0", "other text"), passage("p4", "same same")]
    (ranked,) = bm25_candidates(passages, [query("q", "same")], 4)
    assert ranked["candidates"] == ["p4", "p1", "p10", "p2"]


def test_query_uses_only_passages_and_statistics_of_its_language():
    german = [passage("d1", "die Hand", language="deu"), passage("d2", "der Arm", language="deu")]
    english = [passage(f"e{i}", "hand in hand") for i in range(5)]
    questions = [query("x", "hand"), query("y", "Hand", "deu"), query("z", "arm", "deu")]
    both_languages = list(bm25_candidates(english + german, questions, 3))
    assert [r["id"] for r in both_languages] == ["y", "z", "x"]
    assert [r["candidates"] for r in both_languages] == [["d1"], ["d2"], ["e0", "e1", "e2"]]
    german_only = list(bm25_candidates(german, questions[1:], 3))
    assert both_languages[:2] == german_only


def test_a_query_without_a_known_word_has_no_candidates():
    (ranked,) = bm25_candidates([passage("p", "some text")], [query("q", "?! unheard")], 3)
    assert ranked == {"id": "q", "candidates": [], "scores": []}


@pytest.mark.parametrize("passages", [[passage("p", "text")], [passage("p", "…", language="swa")]])
def test_language_without_passages_is_named_with_a_query_in_the_error(passages):
    with pytest.raises(InputError, match=r"query q7 is in swa.*passages\.jsonl"):
        list(bm25_candidates(passages, [query("q7", "habari", "swa")], 3))


@pytest.mark.parametrize("language", ["ar", "en", "hi", "zh"])
def test_bm25_ranks_the_paragraph_of_a_real_question_high(language, shared_data):
    path = shared_data / f"xquad/xquad.{language}.json"
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    passages, queries, qrels = [], [], {}
    for article in articles:
        for paragraph in article["paragraphs"]:
            identifier = f"p{len(passages)}"
            passages.append(passage(identifier, paragraph["context"], language=language))
            for question in paragraph["qas"]:
                queries.append(query(question["id"], question["question"], language))
                qrels[question["id"]] = {identifier: 1}
    run = {
        ranked["id"]: dict(zip(ranked["candidates"], ranked["scores"], strict=True))
        for ranked in bm25_candidates(passages, queries, 100)
    }
    values = ndcg_at_10(qrels, run)
    assert sum(values.values()) / len(values) > 0.85


def test_ndcg_of_a_worked_example():
    # Järvelin and Kekäläinen's (2002) grades 3 2 3 0 0 1 2 2 3 0 at ranks 1 to 10, and a
    # further relevant passage that is not retrieved but counts in the ideal ranking.
    grades = [3, 2, 3, 0, 0, 1, 2, 2, 3, 0]
    run = {f"p{rank}": 20.0 - rank for rank in range(1, 11)}
    qrels = {f"p{rank}": grade for rank, grade in enumerate(grades, start=1)} | {"missed": 2}
    gained = 3 + 2 / 1.58496 + 3 / 2 + 1 / 2.80735 + 2 / 3 + 2 / 3.16993 + 3 / 3.32193
    ideal = 3 + 3 / 1.58496 + 3 / 2 + 2 / 2.32193 + 2 / 2.58496 + 2 / 2.80735 + 2 / 3 + 1 / 3.16993
    assert ndcg_at_10({"q": qrels}, {"q": run})["q"] == pytest.approx(gained / ideal, abs=1e-5)


def test_ndcg_uses_only_the_first_ten_passages():
    run = {f"p{rank:02}": 20.0 - rank for rank in range(1, 13)}
    assert ndcg_at_10({"q": {"p11": 1}}, {"q": run}) == {"q": 0.0}
    tenth = ndcg_at_10({"q": {"p10": 1}}, {"q": run})["q"]
    assert tenth == pytest.approx(1 / math.log2(11))


def test_ndcg_breaks_ties_like_trec_eval_in_any_order_of_the_run():
    forwards = {"a": 1.0, "b": 1.0, "c": 1.0}
    backwards = dict(reversed(forwards.items()))
    for run in (forwards, backwards):
        assert ndcg_at_10({"q": {"c": 1}}, {"q": run})["q"] == 1
        assert ndcg_at_10({"q": {"a": 1}}, {"q": run})["q"] == pytest.approx(1 / 2)


def test_ndcg_of_queries_missing_from_the_judgements_or_the_run():
    qrels = {"found": {"a": 1}, "empty": {"a": 1}, "unlisted": {"a": 1}}
    run = {"unjudged": {"a": 1.0}, "empty": {}, "found": {"a": 1.0}}
    assert list(ndcg_at_10(qrels, run).items()) == [("found", 1), ("empty", 0), ("unlisted", 0)]


# Pools


def test_pool_holds_judged_passages_bm25_candidates_and_random_others() -> None:
    passages = [
        {"id": f"{language}{i}", "language": language, "title": "", "text": "x"}
        for i in range(50)
        for language in ("eng", "deu")
    ]
    queries = [
        {"id": "q1", "relevant": {"eng7": 1}, "irrelevant": ["eng30"]},
        {"id": "q2", "relevant": {"deu9": 1}},
    ]
    candidates = [
        {"id": "q1", "candidates": ["eng1", "eng2", "eng3"]},
        {"id": "q2", "candidates": ["deu1"]},
    ]

    def pool(others: int, seed: int = 1) -> set[str]:
        chosen = [
            passage["id"]
            for passage in pool_passages(
                iter(passages), queries, candidates, depth=2, random_per_language=others, seed=seed
            )
        ]
        assert len(set(chosen)) == len(chosen)
        return set(chosen)

    required = {"eng7", "eng30", "deu9", "eng1", "eng2", "deu1"}
    assert pool(0) == required
    with_random = pool(5)
    assert required < with_random < pool(12)
    for language, count in (("eng", 4 + 5), ("deu", 2 + 5)):
        assert sum(name.startswith(language) for name in with_random) == count
    assert pool(5, seed=2) != with_random
    assert pool(1000) == {passage["id"] for passage in passages}
