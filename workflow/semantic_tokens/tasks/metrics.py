"""The metrics of the tasks: SQuAD F1, counts for entity F1, and nDCG@10."""

import collections
import re
import string
import unicodedata
from collections.abc import Mapping

NORMALIZATIONS = ("squad", "unicode")
# Scripts without spaces between words. Each of their characters counts as a word, as in
# multilingual versions of SQuAD's script. Otherwise F1 would be an exact match.
_UNSPACED = re.compile(
    r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])"
)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def squad_f1(gold: str, predicted: str, normalization: str = "squad") -> float:
    """Word-overlap F1 of two answers, 0–1.

    Args:
        normalization: ``squad`` follows SQuAD 1.1's official script, which TyDiQA-GoldP uses: lower
            case, without ASCII punctuation and English articles, words separated by spaces.
            ``unicode`` removes all punctuation, and counts each character of scripts without spaces
            as a word.
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
    """The words of an answer for F1; see :func:`squad_f1`."""
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
    """The counts of one sentence for entity micro-F1, with entities as in seqeval, from IOB2 tags.

    Returns:
        twice the number of correct entities, and the number of entities in gold and prediction.
    """
    from seqeval.metrics.sequence_labeling import get_entities

    wanted, found = set(get_entities(gold)), set(get_entities(predicted))
    return 2.0 * len(wanted & found), float(len(wanted) + len(found))


def ndcg_at_10(
    qrels: Mapping[str, Mapping[str, int]], run: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    """nDCG@10 of every query, as in trec_eval: the gain is the grade, the discount log2(rank + 1).

    Equal scores are sorted as in trec_eval, by decreasing passage id (as a string).

    Args:
        qrels: query id -> passage id -> grade; other passages have grade 0.
        run: query id -> passage id -> score. A query without passages scores 0. Queries that are
            not in ``qrels`` are ignored.

    Returns:
        query id -> value in [0, 1], in the order of ``qrels``.
    """
    # The provider is named, since ir_measures would silently use another one if it is missing, with
    # another order of ties.
    from ir_measures import nDCG, pytrec_eval

    grades = {query: dict(relevant) for query, relevant in qrels.items()}
    scores = {query: dict(ranked) for query, ranked in run.items()}
    values = {m.query_id: m.value for m in pytrec_eval.iter_calc([nDCG @ 10], grades, scores)}
    return {query: float(values[query]) for query in qrels}
