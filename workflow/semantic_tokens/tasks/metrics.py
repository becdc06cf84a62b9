"""The metrics of the tasks: SQuAD F1, what a sentence adds to entity F1, and nDCG@10."""

import collections
import re
import string
import unicodedata
from collections.abc import Mapping

NORMALIZATIONS = ("squad", "unicode")
# Scripts written without spaces between words: their characters count as words of their own,
# as in the multilingual versions of SQuAD's script; otherwise F1 would be exact match there.
_UNSPACED = re.compile(
    r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])"
)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def squad_f1(gold: str, predicted: str, normalization: str = "squad") -> float:
    """Word-overlap F1 of two answers, 0–1.

    Args:
        normalization: ``squad`` is that of SQuAD 1.1's official script, which TyDiQA-GoldP uses:
            small letters, without ASCII punctuation and English articles, words parted by spaces.
            ``unicode`` drops all punctuation, and counts the characters of scripts without spaces
            as words.
    """
    gold_words = normalized_words(gold, normalization)
    words = normalized_words(predicted, normalization)
    if normalization == "unicode" and not (gold_words and words):
        return float(gold_words == words)
    common = sum((collections.Counter(gold_words) & collections.Counter(words)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(words), common / len(gold_words)
    return 2 * precision * recall / (precision + recall)


def normalized_words(text: str, normalization: str) -> list[str]:
    """The words of an answer that F1 compares; see :func:`squad_f1`."""
    is_unicode = normalization == "unicode"
    kept = [
        character
        for character in text.lower()
        if character not in string.punctuation
        and not (is_unicode and unicodedata.category(character).startswith("P"))
    ]
    text = _ARTICLES.sub(" ", "".join(kept))
    return (_UNSPACED.sub(r" \1 ", text) if is_unicode else text).split()


def entity_counts(gold: list[str], predicted: list[str]) -> tuple[float, float]:
    """What one sentence's IOB2 tags add to entity micro-F1, with entities as seqeval finds them.

    Returns:
        twice the entities that are right, and the entities of gold and prediction together.
    """
    from seqeval.metrics.sequence_labeling import get_entities

    wanted, found = set(get_entities(gold)), set(get_entities(predicted))
    return 2.0 * len(wanted & found), float(len(wanted) + len(found))


def ndcg_at_10(
    qrels: Mapping[str, Mapping[str, int]], run: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    """nDCG@10 of every query, by trec_eval: gain is the grade, discount log2(rank + 1).

    Equal scores are ordered as trec_eval orders them, the larger passage id first (compared as
    strings), whatever their order in ``run``.

    Args:
        qrels: query id -> passage id -> grade; what is not listed has grade 0.
        run: query id -> passage id -> score. A query that is not listed, or has no passages,
            scores 0; one that is not in ``qrels`` is left out.

    Returns:
        query id -> value in [0, 1], in the order of ``qrels``.
    """
    # The provider is named, for ir_measures would else take another where this one is missing,
    # and with it another order of ties.
    from ir_measures import nDCG, pytrec_eval

    grades = {query: dict(relevant) for query, relevant in qrels.items()}
    scores = {query: dict(ranked) for query, ranked in run.items()}
    values = {m.query_id: m.value for m in pytrec_eval.iter_calc([nDCG @ 10], grades, scores)}
    return {query: float(values[query]) for query in qrels}
