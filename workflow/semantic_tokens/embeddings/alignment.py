"""Cross-lingual subword alignment, CLSA (paper, section 2.2; Appendix B).

A contrastive loss pulls together words of one concept in different languages, if each is a single
subword. Only word embeddings are trained; the rest of the model is not loaded.
"""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from semantic_tokens.data.lexicons.entry import Entry
from semantic_tokens.errors import InputError
from semantic_tokens.jobs.device import device_name
from semantic_tokens.jobs.gpus import within_gpu_memory

log = logging.getLogger(__name__)

_ROWS_AT_ONCE = 4096  # rows that are compared with another language at a time


@dataclass(frozen=True)
class TranslationPairs:
    """Pairs of subwords with the same meaning, each unordered pair once.

    Attributes:
        token_ids: [P, 2] int64, two different ids per pair.
        concepts: [P] int64; pairs of one concept are never negatives of each other.
    """

    token_ids: np.ndarray
    concepts: np.ndarray

    def __len__(self) -> int:
        return len(self.token_ids)


@dataclass(frozen=True)
class AlignmentLog:
    """The record of the training.

    Attributes:
        pairs: the number of training pairs.
        subwords: the number of rows in pairs.
        losses: the mean loss of each tenth of the steps, in nats; of each step if there are fewer
            than ten.
        mean_cosine: the mean cosine of a row in pairs before and after.
        share_kept: the fraction of each row's rotation that is kept; below 1 if rows were rotated
            back to respect the limit of drift.
    """

    pairs: int
    subwords: int
    losses: tuple[float, ...]
    mean_cosine: float
    share_kept: float


def single_subword_pairs(
    entries: Iterable[Entry],
    token_id_of: Callable[[str], int | None],
    *,
    max_pairs_per_concept: int = 1000,
    seed: int = 0,
) -> TranslationPairs:
    """Pair the words of each concept that are single subwords (section 2.2).

    Two subwords form a pair if they are words of at least two languages. Synonyms within one
    language are not paired; their common translations connect them. The number of all pairs grows
    with the square of the number of words. Above the limit, all words are put on a circle in random
    order, and each is paired with the same number of next words. So no concept with many words
    dominates.

    Args:
        entries: words with the same concept and source are translations of each other.
        token_id_of: returns the token id of a word that is a single subword, else None, such as
            :func:`~semantic_tokens.tokenization.vocabulary.single_subword_id`.
        max_pairs_per_concept: the limit; a concept with more words than this has one pair per word.
        seed: the seed of the order on the circle.

    Returns:
        no pairs if no concept has two such words.
    """
    random = np.random.default_rng(seed)
    pairs, concept_ids = [], []
    for concept_id, tokens in enumerate(_languages_by_concept(entries, token_id_of)):
        for first, second in _paired(sorted(tokens), max_pairs_per_concept, random):
            if len(tokens[first] | tokens[second]) > 1:
                pairs.append((first, second))
                concept_ids.append(concept_id)
    return _each_once(
        np.array(pairs, dtype=np.int64).reshape(-1, 2), np.array(concept_ids, dtype=np.int64)
    )


def connected_translations(
    entries: Iterable[Entry], token_id_of: Callable[[str], int | None]
) -> np.ndarray:
    """The fewest pairs that connect all words of each concept that are single subwords (Appendix F).

    A concept needs words of two languages. Then each of its words has a translation among the
    others, and its translations connect them all.

    Args:
        entries, token_id_of: as in :func:`single_subword_pairs`.

    Returns:
        [P, 2] int64, token ids.
    """
    pairs = [
        pair
        for tokens in _languages_by_concept(entries, token_id_of)
        if len(set().union(*tokens.values())) > 1
        for pair in itertools.pairwise(sorted(tokens))
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _languages_by_concept(
    entries: Iterable[Entry], token_id_of: Callable[[str], int | None]
) -> list[dict[int, set[str]]]:
    """For each concept: token id of a word that is a single subword -> the word's languages."""
    concepts: dict[tuple[str, str], dict[int, set[str]]] = {}
    for entry in entries:
        token = token_id_of(entry.word)
        if token is not None:
            tokens = concepts.setdefault((entry.source, entry.concept), {})
            tokens.setdefault(token, set()).add(entry.language)
    return list(concepts.values())


def token_ids_by_language(
    entries: Iterable[Entry], token_id_of: Callable[[str], int | None]
) -> dict[str, np.ndarray]:
    """Language code -> the ids of its words that are single subwords, ascending int64."""
    ids: dict[str, set[int]] = {}
    for entry in entries:
        token = token_id_of(entry.word)
        if token is not None:
            ids.setdefault(entry.language, set()).add(token)
    return {language: np.array(sorted(ids[language]), dtype=np.int64) for language in sorted(ids)}


def round_trip_pairs(
    embeddings: torch.Tensor, ids_by_language: Mapping[str, np.ndarray]
) -> TranslationPairs:
    """Pairs of subwords of two languages that are mutual nearest neighbours by cosine (Appendix B).

    Subwords that belong to both languages are left out, since they would find themselves.

    Args:
        embeddings: [V, d] float32, before alignment.
        ids_by_language: the subwords of each language, int64.

    Returns:
        the pairs; each pair is its own concept.
    """
    unit = functional.normalize(embeddings)
    found = [np.empty((0, 2), dtype=np.int64)]
    pairs_of_languages = list(itertools.combinations(sorted(ids_by_language), 2))
    for first, second in tqdm(pairs_of_languages, desc="round trips", mininterval=2):
        ours = np.setdiff1d(ids_by_language[first], ids_by_language[second])
        theirs = np.setdiff1d(ids_by_language[second], ids_by_language[first])
        if len(ours) and len(theirs):
            there, back = _nearest_both_ways(unit[ours], unit[theirs])
            mutual = np.flatnonzero(back[there] == np.arange(len(ours)))
            found.append(np.stack([ours[mutual], theirs[there[mutual]]], axis=1))
    pairs = np.concatenate(found)
    return _each_once(pairs, np.arange(len(pairs)))


def merge_pairs(sources: Sequence[TranslationPairs]) -> TranslationPairs:
    """The pairs of several sources, each once. Concepts of different sources are different."""
    concepts, used = [], 0
    for pairs in sources:
        concepts.append(pairs.concepts + used)
        used += int(pairs.concepts.max(initial=-1)) + 1
    return _each_once(
        np.concatenate([pairs.token_ids for pairs in sources]), np.concatenate(concepts)
    )


def info_nce(
    anchors: torch.Tensor, positives: torch.Tensor, temperature: float, excluded: torch.Tensor
) -> torch.Tensor:
    """InfoNCE with in-batch negatives (Oord et al., 2018), in both directions.

    The mean over rows of -log softmax(cosine / temperature) at the row's own positive, once
    from anchors among positives and once from positives among anchors.

    Args:
        anchors, positives: [B, d]; rows with the same index are pairs.
        temperature: above 0.
        excluded: [B, B] bool, symmetric; if true, i and j are not negatives of each other. The
            diagonal is ignored.

    Returns:
        a scalar, in nats.
    """
    similarity = functional.normalize(anchors) @ functional.normalize(positives).T / temperature
    own = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    similarity = similarity.masked_fill(excluded & ~own, -torch.inf)
    target = torch.arange(len(similarity), device=similarity.device)
    there = functional.cross_entropy(similarity, target)
    back = functional.cross_entropy(similarity.T, target)
    return (there + back) / 2


def known_positives(token_ids: torch.Tensor, concepts: torch.Tensor) -> torch.Tensor:
    """Which pairs of a batch must not be negatives of each other: pairs of the same concept, and
    pairs that share a subword, since each then contains a translation of it.

    Args:
        token_ids: [B, 2] int64.
        concepts: [B] int64.

    Returns:
        [B, B] bool, symmetric, true on the diagonal.
    """
    shared = (token_ids[:, None, :, None] == token_ids[None, :, None, :]).flatten(2).any(dim=2)
    return shared | (concepts[:, None] == concepts[None, :])


def align(
    embeddings: torch.Tensor,
    pairs: TranslationPairs,
    *,
    seed: int,
    temperature: float = 0.05,
    batch_size: int = 256,
    steps: int = 1000,
    learning_rate: float = 1e-3,
    min_mean_cosine: float = 0.98,
) -> tuple[torch.Tensor, AlignmentLog]:
    """Train the word embeddings of translation pairs towards each other (section 2.2).

    The loss ignores lengths, but the model uses them. So training changes the directions of rows,
    starting from length one, and each row gets its original length back. A learning rate therefore
    means the same for every backbone: an update of Adam moves a coordinate by about 0.001, and
    coordinates are about 1/√d (0.036 at d = 768).

    The paper's hyperparameters are unknown, so these are our choices. The rest of the model expects
    rows near their original places, so the strength of the alignment is how far rows move. It does
    not depend on the size of the lexicon: the number of steps is fixed, and if the mean cosine to
    the original rows falls below ``min_mean_cosine``, all rows are rotated back by the same
    fraction of their angle. docs/decisions.md shows the results for 3,000 to 1,000,000 pairs.

    The cost of a step depends on the batch, not on the matrix; see :class:`_RowwiseAdam`. Rows
    outside all pairs are not parameters, and do not change.

    Args:
        embeddings: [V, d] floating.
        pairs: the training pairs.
        seed: the seed of the order of the pairs.
        temperature: the temperature of the softmax over cosines.
        batch_size: the number of pairs per step, which are negatives of each other.
        steps: the number of optimizer steps. Small lexicons are repeated, and of very large ones
            only a part is used.
        learning_rate: the learning rate of Adam.
        min_mean_cosine: the minimum mean cosine between a row in pairs before and after; -1 sets no
            limit.

    Returns:
        a new [V, d] of the same dtype, and the log.

    Raises:
        InputError: there are no pairs, or the GPU has too little memory.
    """
    if not len(pairs):
        raise InputError(
            "the lexicons of this alignment contain no two words of a concept that are single "
            "subwords of the backbone; name others in the row's `alignment` in "
            "the table of experiments, or widen their `languages` in the config"
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    log.info("CLSA on %s, float32: %d pairs, batches of %d", device_name(), len(pairs), batch_size)
    smaller = f"lower `alignment.training.batch_size`, which is {batch_size} here"
    with within_gpu_memory("CLSA", lambda: smaller):
        touched, local = np.unique(pairs.token_ids, return_inverse=True)
        rows = torch.from_numpy(touched)
        token_ids = torch.from_numpy(local.reshape(-1, 2)).to(device)
        concepts = torch.from_numpy(pairs.concepts).to(device)
        before = functional.normalize(embeddings[rows]).to(device)
        table = _RowwiseAdam(before.clone(), learning_rate, steps)
        losses = []
        batches = _batches(len(pairs), batch_size, seed)
        for batch in tqdm(
            itertools.islice(batches, steps),
            total=steps,
            desc="aligning",
            unit="step",
            mininterval=2,
        ):
            ids = token_ids[batch.to(device)]
            excluded = known_positives(ids, concepts[batch.to(device)])
            distinct, where = ids.unique(return_inverse=True)
            values = table.look_up(distinct).requires_grad_()
            loss = info_nce(values[where[:, 0]], values[where[:, 1]], temperature, excluded)
            (gradient,) = torch.autograd.grad(loss, values)
            table.step(distinct, gradient)
            losses.append(loss.item())
        after = functional.normalize(table.finished())
        mean_cosine, share_kept = _limit_drift(before, after, min_mean_cosine)
    aligned = embeddings.clone()
    aligned[rows] = after.cpu() * embeddings[rows].norm(dim=1, keepdim=True)
    tenths = np.array_split(np.array(losses), min(10, steps))
    return aligned, AlignmentLog(
        pairs=len(pairs),
        subwords=len(touched),
        losses=tuple(float(tenth.mean()) for tenth in tenths),
        mean_cosine=mean_cosine,
        share_kept=share_kept,
    )


def _batches(count: int, batch_size: int, seed: int) -> Iterator[torch.Tensor]:
    """Endless batches of pairs, [at most batch_size] int64. Each pass has a new random order of all
    pairs, cut into batches of nearly equal size."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(count, generator=generator)
        yield from order.tensor_split(-(-count // batch_size))


def _limit_drift(
    before: torch.Tensor, after: torch.Tensor, min_mean_cosine: float
) -> tuple[float, float]:
    """Rotate rows back towards their original directions, in place, until the mean cosine is
    reached.

    Each row moves along the arc between its two directions. The fraction of the angle is the same
    for all rows, so rows that moved further go back further.

    Args:
        before: [n, d], rows of length one; rows of length zero are ignored.
        after: [n, d], rows of length one.
        min_mean_cosine: the minimum of the mean cosine between ``before`` and ``after``. The
            largest fraction of the angles that reaches it is kept.

    Returns:
        the mean cosine afterwards, and the kept fraction of the angles, 0 to 1.
    """
    angles = torch.zeros(len(before), dtype=torch.float64, device=before.device)
    parts = [
        (before[span], after[span], angles[span])
        for span in (slice(i, i + _ROWS_AT_ONCE) for i in range(0, len(before), _ROWS_AT_ONCE))
    ]  # views
    for old, new, angle in parts:
        cosine = (old * new).sum(dim=1)
        sine = (new - cosine.unsqueeze(1) * old).norm(dim=1)
        angle.copy_(torch.atan2(sine, cosine) * (old != 0).any(dim=1))

    def mean_cosine(share: float) -> float:
        return float((angles * share).cos().mean())

    if mean_cosine(1.0) >= min_mean_cosine:
        return mean_cosine(1.0), 1.0
    kept, too_much = 0.0, 1.0
    for _ in range(50):  # each step halves the interval
        middle = (kept + too_much) / 2
        if mean_cosine(middle) >= min_mean_cosine:
            kept = middle
        else:
            too_much = middle
    for old, new, angle in parts:
        sideways = functional.normalize(new - (old * new).sum(dim=1, keepdim=True) * old)
        turned = (angle * kept).to(old.dtype).unsqueeze(1)
        new.copy_(turned.cos() * old + turned.sin() * sideways)
    return mean_cosine(kept), kept


class _RowwiseAdam:
    """Adam for a matrix with gradients in few rows per step. The result is that of dense Adam, but
    a step costs only as much as its rows.

    Dense Adam moves all rows at every step, because the moments of earlier gradients are not zero.
    Let t be the last step with a gradient in a row. At a later step s, dense Adam moves the row by
    lr · r^(s-t) · c_s · m / √v, where m and v are the moments at step t, r = β₁ / √β₂, and c_s
    corrects the bias of both moments. Here the row moves by the sum of these when it is looked up
    again, and at the end. (The sum neglects Adam's epsilon, which is far smaller than √v.)

    Args:
        weight: [n, d] float32, trained in place.
        learning_rate: Adam's learning rate.
        steps: the number of steps.
    """

    BETAS, EPSILON = (0.9, 0.999), 1e-8

    def __init__(self, weight: torch.Tensor, learning_rate: float, steps: int) -> None:
        self.weight = weight
        self.learning_rate = learning_rate
        self.taken = 0
        self._first = torch.zeros_like(weight)
        self._second = torch.zeros_like(weight)
        self._last = torch.zeros(len(weight), dtype=torch.int64, device=weight.device)
        first, second = self.BETAS
        self._decay = first / second**0.5
        step = np.arange(1, steps + 1, dtype=np.float64)
        correction = np.sqrt(1 - second**step) / (1 - first**step)
        # still_to_come[t]: the sum over s > t of r^(s-t) · c_s.
        still_to_come = np.zeros(steps + 1)
        for t in range(steps - 1, -1, -1):
            still_to_come[t] = self._decay * (correction[t] + still_to_come[t + 1])
        self._still_to_come = torch.from_numpy(still_to_come).to(weight.device)

    def look_up(self, rows: torch.Tensor) -> torch.Tensor:
        """[m] int64, distinct -> a copy of these rows after all steps so far, [m, d]."""
        last = self._last[rows]
        passed = (self.taken - last).double()
        sum_of = self._still_to_come
        share = sum_of[last] - self._decay**passed * sum_of[self.taken]
        share = (share * (last > 0) * self.learning_rate).to(self.weight.dtype).unsqueeze(1)
        first, second = self._first[rows], self._second[rows]
        values = self.weight[rows] - share * first / second.sqrt().clamp(min=1e-30)
        decays = [(beta**passed).to(values.dtype).unsqueeze(1) for beta in self.BETAS]
        self.weight[rows] = values
        self._first[rows], self._second[rows] = first * decays[0], second * decays[1]
        self._last[rows] = torch.where(last > 0, self.taken, 0)
        return values

    def step(self, rows: torch.Tensor, gradient: torch.Tensor) -> None:
        """Update these rows, which were looked up before, with their gradient, [m, d]."""
        self.taken += 1
        first, second = self.BETAS
        mean = self._first[rows].lerp_(gradient, 1 - first)
        square = self._second[rows].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        self._first[rows], self._second[rows], self._last[rows] = mean, square, self.taken
        size = (square / (1 - second**self.taken)).sqrt_().add_(self.EPSILON)
        rate = self.learning_rate / (1 - first**self.taken)
        self.weight[rows] = self.weight[rows].addcdiv_(mean, size, value=-rate)

    def finished(self) -> torch.Tensor:
        """All rows, up to date."""
        every = torch.arange(len(self.weight), device=self.weight.device)
        for rows in every.split(_ROWS_AT_ONCE):
            self.look_up(rows)
        return self.weight


def _paired(
    tokens: list[int], limit: int, random: np.random.Generator
) -> Iterable[tuple[int, int]]:
    """All pairs of a concept's subwords, or a balanced selection of at most ``limit``, or of as
    many as there are subwords if these are more."""
    count = len(tokens)
    if count * (count - 1) // 2 <= limit:
        return itertools.combinations(tokens, 2)
    circle = random.permutation(tokens).tolist()
    steps = range(1, max(1, limit // count) + 1)
    return ((circle[i], circle[(i + step) % count]) for step in steps for i in range(count))


def _each_once(token_ids: np.ndarray, concepts: np.ndarray) -> TranslationPairs:
    """Keep the first occurrence of each pair, ignoring the order within a pair."""
    ordered = np.sort(token_ids, axis=1)
    _, first = np.unique(ordered, axis=0, return_index=True)
    first.sort()
    return TranslationPairs(ordered[first], concepts[first])


def _nearest_both_ways(ours: torch.Tensor, theirs: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """For normalised rows [n, d] and [m, d]: the index of the most similar row of ``theirs`` for
    each of ``ours``, [n] int64, and the reverse, [m] int64."""
    there = []
    best = torch.full((len(theirs),), -torch.inf)
    back = torch.zeros(len(theirs), dtype=torch.int64)
    for start in range(0, len(ours), _ROWS_AT_ONCE):
        similarity = ours[start : start + _ROWS_AT_ONCE] @ theirs.T
        there.append(similarity.argmax(dim=1))
        value, where = similarity.max(dim=0)
        better = value > best
        best = torch.where(better, value, best)
        back = torch.where(better, where + start, back)
    return torch.cat(there).numpy(), back.numpy()
