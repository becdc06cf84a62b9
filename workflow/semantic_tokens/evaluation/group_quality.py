"""How well groups agree with held-out translations (not in the paper).

The pairs come from concepts that are held out of alignment (``alignment.held_out_fraction``). If a
lexicon also has a pair under a concept that is not held out, the pair may have been trained on and
is left out. All groupings of a backbone are measured on the same pairs.

Intervals are from a bootstrap. Pairs that have a subword in common, directly or through other
pairs, are not independent, so they are drawn together. For purity, groups are drawn.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from transformers import PreTrainedTokenizerFast

from semantic_tokens.data.lexicons.entry import Entry
from semantic_tokens.data.lexicons.table import is_held_out
from semantic_tokens.embeddings.alignment import single_subword_pairs
from semantic_tokens.evaluation.bootstrap import Resampling, interval_of_share
from semantic_tokens.grouping.inspection import SYMBOLS, script_of
from semantic_tokens.tokenization.vocabulary import special_ids, subword_texts

#: The number of random labellings for the chance level of purity.
SHUFFLES = 20


@dataclass(frozen=True)
class Together:
    """How many pairs of subwords share a group.

    Attributes:
        pairs: the number of pairs.
        together: the fraction of pairs whose subwords share a group.
        together_low, together_high: its interval.
        together_by_chance: this fraction if each first word is paired with the second words of
            unconnected pairs (:func:`connected_pairs`), so with the same frequencies.
        together_at_random: this fraction for any two subwords of the vocabulary.
    """

    pairs: int
    together: float
    together_low: float
    together_high: float
    together_by_chance: float
    together_at_random: float


@dataclass(frozen=True)
class Purity:
    """How often members of a group have the same label, in groups with two or more labelled
    members.

    Attributes:
        purity: the fraction of labelled members that have their group's most frequent label.
        purity_low, purity_high: its interval.
        purity_by_chance: the same with shuffled labels, the mean over :data:`SHUFFLES`.
        mixed: the fraction of groups whose members have more than one label.
    """

    purity: float
    purity_low: float
    purity_high: float
    purity_by_chance: float
    mixed: float


def held_out_pairs(
    entries: Iterable[Entry], token_id_of: Callable[[str], int | None], fraction: float
) -> np.ndarray:
    """Translation pairs that are in no alignment's training data.

    Args:
        entries: the entries of all lexicons of all alignments.
        token_id_of: returns the token id of a word that is a single subword, else None.
        fraction: the fraction of held-out concepts.

    Returns:
        [P, 2] int64, each unordered pair once.
    """
    every = list(entries)
    everything = 10**9  # no limit of pairs per concept, to find all possible training pairs
    held = [entry for entry in every if is_held_out(entry.concept, fraction)]
    trained = [entry for entry in every if not is_held_out(entry.concept, fraction)]
    ours, theirs = (
        single_subword_pairs(part, token_id_of, max_pairs_per_concept=everything).token_ids
        for part in (held, trained)
    )
    seen = {tuple(pair) for pair in theirs.tolist()}
    kept = [pair for pair in ours.tolist() if tuple(pair) not in seen]
    return np.array(kept, dtype=np.int64).reshape(-1, 2)


def together(token_to_group: np.ndarray, pairs: np.ndarray, resampling: Resampling) -> Together:
    """The fraction of pairs that share a group, its interval, and its chance level.

    Args:
        token_to_group: [V] int64.
        pairs: [P, 2] int64.
    """
    sizes = np.bincount(token_to_group).astype(np.float64)
    count = len(token_to_group)
    anywhere = float((sizes * (sizes - 1)).sum() / (count * (count - 1))) if count > 1 else 0.0
    if not len(pairs):
        unknown = float("nan")
        return Together(0, unknown, unknown, unknown, unknown, anywhere)
    first, second = token_to_group[pairs[:, 0]], token_to_group[pairs[:, 1]]
    shares = first == second
    # Each first word with the second word of each pair that no chain of pairs connects to it, since
    # those of a connected pair may be a translation too.
    cluster = connected_pairs(pairs)
    within = cluster * len(sizes)
    apart = len(pairs) ** 2 - float((np.bincount(cluster).astype(np.float64) ** 2).sum())
    mixed = _equal(first, second) - _equal(within + first, within + second)
    low, high = _interval_over_pairs(shares, pairs, resampling)
    chance = mixed / apart if apart else float("nan")
    return Together(len(pairs), float(shares.mean()), low, high, chance, anywhere)


def _equal(first: np.ndarray, second: np.ndarray) -> float:
    """The number of equal pairs of a value in ``first`` and a value in ``second``."""
    values, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    ours, theirs = (
        np.bincount(side, minlength=len(values)).astype(np.float64)
        for side in (places[: len(first)], places[len(first) :])
    )
    return float(ours @ theirs)


def together_difference(
    token_to_group: np.ndarray, reference: np.ndarray, pairs: np.ndarray, resampling: Resampling
) -> tuple[float, float, float]:
    """How many more pairs share a group than in another grouping, as a fraction of the pairs.

    Args:
        token_to_group, reference: [V] int64, the groups of the same subwords.
        pairs: [P, 2] int64.

    Returns:
        the difference and the limits of its interval; the same pairs are drawn for both groupings.
    """
    if not len(pairs):
        return (float("nan"),) * 3
    ours, theirs = (of[pairs[:, 0]] == of[pairs[:, 1]] for of in (token_to_group, reference))
    differences = ours.astype(np.float64) - theirs
    return float(differences.mean()), *_interval_over_pairs(differences, pairs, resampling)


def _interval_over_pairs(
    values: np.ndarray, pairs: np.ndarray, resampling: Resampling
) -> tuple[float, float]:
    """The interval of the mean of ``values`` [P], with :func:`connected_pairs` drawn together."""
    cluster = connected_pairs(pairs)
    return interval_of_share(np.bincount(cluster, weights=values), np.bincount(cluster), resampling)


def connected_pairs(pairs: np.ndarray) -> np.ndarray:
    """The cluster of each pair: pairs are in one cluster if a chain of pairs with common subwords
    connects them.

    Args:
        pairs: [P, 2] int64, P > 0.

    Returns:
        [P] int64, numbered from 0 without gaps.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    subwords, ends = np.unique(pairs, return_inverse=True)
    ends = ends.reshape(pairs.shape)
    graph = coo_array(
        (np.ones(len(pairs), dtype=bool), (ends[:, 0], ends[:, 1])), (len(subwords),) * 2
    )
    _, component = connected_components(graph, directed=False)
    return component.astype(np.int64)[ends[:, 0]]


def purity(
    token_to_group: np.ndarray,
    labels: Mapping[int, Sequence[str]],
    resampling: Resampling,
    *,
    seed: int = 0,
) -> Purity:
    """How often members of a group have the same script or language.

    A subword with several labels (a word in several languages) agrees with its group if one of them
    is the group's most frequent label. Groups with fewer than two labelled members are ignored.

    Args:
        token_to_group: [V] int64.
        labels: token id -> one or more labels; subwords without labels are ignored.
        seed: the seed of the shuffled labels.
    """
    tokens = np.array(sorted(labels), dtype=np.int64)
    groups = token_to_group[tokens] if len(tokens) else np.empty(0, dtype=np.int64)
    sizes = np.bincount(groups, minlength=1)
    shared = sizes[groups] >= 2 if len(tokens) else np.empty(0, dtype=bool)
    tokens, groups = tokens[shared], groups[shared]
    if not len(tokens):
        return Purity(*[float("nan")] * 5)
    names = {name: i for i, name in enumerate(sorted({n for t in tokens for n in labels[int(t)]}))}
    matrix = np.zeros((len(tokens), len(names)), dtype=np.int64)
    for row, token in enumerate(tokens.tolist()):
        for name in labels[token]:
            matrix[row, names[name]] = 1
    _, group = np.unique(groups, return_inverse=True)
    kinds = int(group.max()) + 1

    def counted(rows: np.ndarray) -> np.ndarray:
        """[groups, labels]: the number of members with each label."""
        counts = np.zeros((kinds, len(names)), dtype=np.int64)
        np.add.at(counts, group, rows)
        return counts

    generator = np.random.default_rng(seed)
    dealt = [counted(generator.permutation(matrix)) for _ in range(SHUFFLES)]
    counts = counted(matrix)
    members = np.bincount(group)
    low, high = interval_of_share(counts.max(axis=1), members, resampling)
    return Purity(
        purity=float(counts.max(axis=1).sum() / len(tokens)),
        purity_low=low,
        purity_high=high,
        purity_by_chance=float(np.mean([c.max(axis=1).sum() / len(tokens) for c in dealt])),
        mixed=float(np.mean(counts.max(axis=1) < members)),
    )


def measured_groups(
    token_to_group: np.ndarray,
    pairs: np.ndarray,
    scripts: Mapping[int, Sequence[str]],
    languages: Mapping[int, Sequence[str]],
    resampling: Resampling,
    *,
    kmeans: np.ndarray | None = None,
) -> dict[str, float]:
    """The columns of one grouping: V and V', :class:`Together`, and both purities.

    Args:
        token_to_group: [V] int64.
        pairs: [P, 2] int64, held-out translations.
        scripts, languages: token id -> its labels.
        kmeans: [V] int64, the groups of unaligned K-Means at the same ratio. If it is given, the
            columns ``together_minus_kmeans…`` are the difference to it, else NaN.
    """
    line: dict[str, float] = {
        "subwords": len(token_to_group),
        "semantic_tokens": int(token_to_group.max()) + 1,
    }
    line |= asdict(together(token_to_group, pairs, resampling))
    difference = (float("nan"),) * 3
    if kmeans is not None:
        difference = together_difference(token_to_group, kmeans, pairs, resampling)
    for edge, value in zip(("", "_low", "_high"), difference, strict=True):
        line[f"together_minus_kmeans{edge}"] = value
    for name, labels in (("script", scripts), ("language", languages)):
        found = asdict(purity(token_to_group, labels, resampling))
        mixed = found.pop("mixed")
        line |= {f"{name}_{column}": value for column, value in found.items()}
        line[f"mixed_{name}"] = mixed
    return line


def labels_of_subwords(
    tokenizer: PreTrainedTokenizerFast,
    entries: Iterable[Entry],
    token_id_of: Callable[[str], int | None],
) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """The script of every subword with a letter, and the languages of the lexicons' words.

    Returns:
        two dictionaries from token id to labels.
    """
    scripts = {}
    special = set(special_ids(tokenizer, with_unused=True))
    for token, piece in enumerate(subword_texts(tokenizer)):
        script = script_of(piece)
        if token not in special and script not in (SYMBOLS, "digits"):
            scripts[token] = [script]
    languages: dict[int, set[str]] = {}
    for entry in entries:
        known = token_id_of(entry.word)
        if known is not None:
            languages.setdefault(known, set()).add(entry.language)
    return scripts, {token: sorted(found) for token, found in languages.items()}
