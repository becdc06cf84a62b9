"""How well embeddings find held-out translations, and how far alignment moved them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from semantic_tokens.data.lexicons.entry import Entry
from semantic_tokens.data.lexicons.table import is_held_out

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_QUERIES_AT_ONCE = 256


@dataclass(frozen=True)
class TranslationTest:
    """A test that searches the translations of subwords among the subwords of other languages.

    Attributes:
        candidates: [C] int64, the subwords that are words in a lexicon, ascending.
        queries: [Q] int64, indices in ``candidates``.
        right: for each query, the indices of its held-out translations.
        known: for each query, the indices of its translations under concepts that are not held
            out. They may be training data, so they are not candidates.
        languages: [C, L] scipy sparse bool, the languages of each candidate.
    """

    candidates: np.ndarray
    queries: np.ndarray
    right: tuple[frozenset[int], ...]
    known: tuple[frozenset[int], ...]
    languages: "csr_array"


def translation_test(
    entries: Iterable[Entry],
    token_id_of: Callable[[str], int | None],
    fraction: float,
    *,
    max_queries: int = 5000,
    seed: int = 0,
) -> TranslationTest:
    """Draw queries from concepts that are held out of alignment.

    Args:
        entries: the entries of all lexicons of the alignment.
        token_id_of: returns the token id of a word that is a single subword, else None.
        fraction: the fraction of held-out concepts, ``alignment.held_out_fraction``.
        max_queries: the maximum number of queries, which are a random sample.
        seed: the seed of the sample.

    Returns:
        no queries if no held-out concept has single subwords in two languages.
    """
    from scipy.sparse import csr_array

    members: dict[tuple[str, str], set[int]] = {}
    concepts_of: dict[int, set[tuple[str, str]]] = {}
    token_languages: dict[int, set[str]] = {}
    for entry in entries:
        token = token_id_of(entry.word)
        if token is not None:
            concept = (entry.source, entry.concept)
            members.setdefault(concept, set()).add(token)
            concepts_of.setdefault(token, set()).add(concept)
            token_languages.setdefault(token, set()).add(entry.language)
    candidates = np.array(sorted(token_languages), dtype=np.int64)
    place = {token: i for i, token in enumerate(candidates.tolist())}
    held_out = {concept: is_held_out(concept[1], fraction) for concept in members}
    eligible = sorted({t for concept, found in members.items() if held_out[concept] for t in found})
    order = np.random.default_rng(seed).permutation(len(eligible)).tolist()
    queries: list[int] = []
    right: list[frozenset[int]] = []
    known: list[frozenset[int]] = []
    for token in (eligible[i] for i in order):
        translations: dict[bool, set[int]] = {False: set(), True: set()}
        for concept in concepts_of[token]:
            translations[held_out[concept]] |= members[concept]
        seen = translations[False]
        unseen = {
            t for t in translations[True] - seen if not token_languages[t] & token_languages[token]
        }
        if unseen and len(queries) < max_queries:
            queries.append(place[token])
            right.append(frozenset(place[t] for t in unseen))
            known.append(frozenset(place[t] for t in seen))
    names = {name: i for i, name in enumerate(sorted(set().union(*token_languages.values())))}
    pairs = [(place[t], names[name]) for t, found in token_languages.items() for name in found]
    where = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    languages = csr_array(
        (np.ones(len(where), dtype=np.int32), (where[:, 0], where[:, 1])),
        (len(candidates), len(names)),
    )
    return TranslationTest(
        candidates, np.array(queries, dtype=np.int64), tuple(right), tuple(known), languages
    )


def translation_accuracy(embeddings: torch.Tensor, test: TranslationTest) -> float:
    """Accuracy@1: the fraction of queries with a correct result of :func:`translations_found`; NaN
    without queries."""
    found = translations_found(embeddings, test)
    return float(found.mean()) if len(found) else float("nan")


def translations_found(embeddings: torch.Tensor, test: TranslationTest) -> np.ndarray:
    """Whether each query's nearest subword by cosine is a held-out translation. Candidates are
    subwords that are words of other languages only.

    Args:
        embeddings: [V, d] floating.

    Returns:
        [Q] bool.
    """
    unit = functional.normalize(embeddings[torch.from_numpy(test.candidates)].float())
    found: list[bool] = []
    for start in range(0, len(test.queries), _QUERIES_AT_ONCE):
        span = slice(start, start + _QUERIES_AT_ONCE)
        queries = test.queries[span]
        similarity = unit[torch.from_numpy(queries)] @ unit.T
        # A query shares its language with itself, so it is never its own answer.
        shared = (test.languages[queries] @ test.languages.T).tocoo()
        rows, columns = (torch.from_numpy(part.astype(np.int64)) for part in shared.coords)
        similarity[rows, columns] = -torch.inf
        for row, known in enumerate(test.known[span]):
            similarity[row, list(known)] = -torch.inf
        nearest = similarity.argmax(dim=1).tolist()
        found += [answer in right for answer, right in zip(nearest, test.right[span], strict=True)]
    return np.array(found, dtype=bool)


def mean_cosine(before: torch.Tensor, after: torch.Tensor) -> float:
    """The mean cosine between rows before and after, both [n, d]; 1 for unchanged rows."""
    same = (before == after).all(dim=1)
    cosine = functional.cosine_similarity(before.double(), after.double(), dim=1)
    return float(torch.where(same, 1.0, cosine).mean())
