"""Cross-lingual subword alignment, CLSA (paper, section 2.2; Appendix B).

Words of one concept in different languages, each a single subword, are pulled together by a
contrastive loss. Only word embeddings train; the rest of the model is never loaded.
"""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from semantic_tokens.data.lexicons.table import Entry
from semantic_tokens.errors import InputError
from semantic_tokens.jobs.efficiency import device_name
from semantic_tokens.jobs.gpus import within_gpu_memory

log = logging.getLogger(__name__)

_ROWS_AT_ONCE = 4096  # compared with all of another language at a time


@dataclass(frozen=True)
class TranslationPairs:
    """Pairs of subwords that mean the same, each unordered pair once.

    Attributes:
        token_ids: [P, 2] int64, two different ids a pair.
        concepts: [P] int64; pairs of one concept are never each other's negatives.
    """

    token_ids: np.ndarray
    concepts: np.ndarray

    def __len__(self) -> int:
        return len(self.token_ids)


@dataclass(frozen=True)
class AlignmentLog:
    """What became of the training.

    Attributes:
        pairs: how many there were to train on.
        subwords: how many rows they touch.
        losses: the mean loss of each tenth of the steps, in nats; of each step where there are
            fewer than ten.
        mean_cosine: of a touched row before and after.
        share_kept: of the angle that training turned each row by; below 1 where the rows were
            turned back to respect the limit of drift.
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

    Two subwords are a pair if they are words of at least two languages: synonyms within one
    language are left to their common translations. All pairs of n words grow with n². Beyond
    the limit each word is paired with equally many others instead, its next ones on a circle
    of all words in random order, so that no frequent concept outweighs the rest.

    Args:
        entries: words of one concept of one source translate each other.
        token_id_of: a word's only subword or None, such as
            :func:`~semantic_tokens.tokenization.vocabulary.single_subword_id`.
        max_pairs_per_concept: the limit; a concept of more words than that has one pair a word.
        seed: decides the order on the circle.

    Returns:
        no pair at all if no concept has two such words.
    """
    random = np.random.default_rng(seed)
    concepts: dict[tuple[str, str], dict[int, set[str]]] = {}
    for entry in entries:
        token = token_id_of(entry.word)
        if token is not None:
            tokens = concepts.setdefault((entry.source, entry.concept), {})
            tokens.setdefault(token, set()).add(entry.language)
    pairs, concept_ids = [], []
    for concept_id, tokens in enumerate(concepts.values()):
        for first, second in _paired(sorted(tokens), max_pairs_per_concept, random):
            if len(tokens[first] | tokens[second]) > 1:
                pairs.append((first, second))
                concept_ids.append(concept_id)
    return _each_once(
        np.array(pairs, dtype=np.int64).reshape(-1, 2), np.array(concept_ids, dtype=np.int64)
    )


def token_ids_by_language(
    entries: Iterable[Entry], token_id_of: Callable[[str], int | None]
) -> dict[str, np.ndarray]:
    """The subwords that are words of each language, ascending int64, by language code."""
    ids: dict[str, set[int]] = {}
    for entry in entries:
        token = token_id_of(entry.word)
        if token is not None:
            ids.setdefault(entry.language, set()).add(token)
    return {language: np.array(sorted(ids[language]), dtype=np.int64) for language in sorted(ids)}


def round_trip_pairs(
    embeddings: torch.Tensor, ids_by_language: Mapping[str, np.ndarray]
) -> TranslationPairs:
    """Subwords of two languages that are each other's nearest neighbour by cosine (Appendix B).

    A subword of both languages would find itself and is left out.

    Args:
        embeddings: [V, d] float32, before alignment.
        ids_by_language: the subwords of each language, int64.

    Returns:
        every pair a concept of its own.
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
    """The pairs of several sources, each once, concepts of different sources kept apart."""
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
    """InfoNCE with in-batch negatives (Oord et al., 2018), both ways.

    The mean over rows of -log softmax(cosine / temperature) at the row's own positive, once
    from anchors among positives and once from positives among anchors.

    Args:
        anchors, positives: [B, d]; row i of one belongs to row i of the other.
        temperature: above 0.
        excluded: [B, B] bool, symmetric; where true, i and j are not negatives of each other.
            The diagonal is not looked at.

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
    """Which pairs of a batch must not be each other's negatives: those of the same concept,
    and those that share a subword, since what translates it is a translation in both.

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

    The loss does not see lengths, while the model that reads the embeddings does. So it is the
    rows' directions that train, from length one, and each row gets its original length back.
    One learning rate then means the same for every backbone: an update of Adam moves a
    coordinate by about 0.001, where coordinates are about 1/√d (0.036 at d = 768).

    The paper's hyperparameters are lost, so these are choices. The rest of the model expects the
    rows near where they were, so the strength of the alignment is how far they move, and it does
    not depend on the size of the lexicon: the number of steps is fixed, and the rows are turned
    back, all by the same share of their angle, where their mean cosine to the original would
    fall below ``min_mean_cosine``. docs/decisions.md shows what this gives from 3,000 to 1,000,000 pairs.

    A step costs what its batch's rows cost, and not the matrix: see :class:`_RowwiseAdam`. Rows
    outside every pair are no parameters at all: they come back bit for bit.

    Args:
        embeddings: [V, d] floating.
        pairs: what to align.
        seed: decides the order of the pairs.
        temperature: of the softmax over cosines.
        batch_size: pairs in a step, whose others are the negatives.
        steps: optimizer steps, whatever the number of pairs; a small lexicon is seen many times,
            and a very large one in part.
        learning_rate: of Adam.
        min_mean_cosine: what the mean cosine of a touched row before and after is at the least;
            -1 sets no limit.

    Returns:
        [V, d] of the same dtype, new, and the log.

    Raises:
        InputError: there is no pair, or the GPU's memory does not suffice.
    """
    if not len(pairs):
        raise InputError(
            "the lexicons of this alignment hold no two words of a concept that are single "
            "subwords of the backbone; name others in the row's `alignment` in "
            "config/experiments.tsv, or widen their `languages` in the config"
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
    """Batches of pairs without end, [at most batch_size] int64: a new random order of all pairs
    for every pass, cut into batches of nearly equal size."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(count, generator=generator)
        yield from order.tensor_split(-(-count // batch_size))


def _limit_drift(
    before: torch.Tensor, after: torch.Tensor, min_mean_cosine: float
) -> tuple[float, float]:
    """Turn rows back towards where they were, in place, until they are near enough on average.

    Each row goes along the arc between its two directions, all rows by the same share of their
    angle, so that those which moved furthest go back furthest.

    Args:
        before, after: [n, d], rows of length one; rows of length zero in ``before`` are ignored.
        min_mean_cosine: of the two; the largest share that reaches it is kept.

    Returns:
        the mean cosine afterwards, and the share of the angles that is left, 0 to 1.
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
    for _ in range(50):  # each halves what is uncertain
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
    """Adam on a matrix of which a step has gradients in some rows: what dense Adam makes of it, for
    the cost of those rows.

    Dense Adam moves all rows at every step, also by what their earlier gradients left in its
    moments. From the last step t that had a gradient in a row, that is at step s the direction
    m / √v of then, times lr · r^(s-t) · c_s, where r = β₁ / √β₂ and c_s corrects both moments'
    bias. A row catches up with the sum of these when it is looked up again, and at the end.
    (Adam's epsilon, of no weight beside gradients that are not zero, is left out of that sum.)

    Args:
        weight: [n, d] float32, trained in place.
        learning_rate: of Adam.
        steps: how many there will be.
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
        """[m] int64, distinct -> a copy of these rows as they are after all steps so far,
        [m, d]."""
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
        """Move these rows, which were looked up, by their gradient, [m, d]."""
        self.taken += 1
        first, second = self.BETAS
        mean = self._first[rows].lerp_(gradient, 1 - first)
        square = self._second[rows].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        self._first[rows], self._second[rows], self._last[rows] = mean, square, self.taken
        size = (square / (1 - second**self.taken)).sqrt_().add_(self.EPSILON)
        rate = self.learning_rate / (1 - first**self.taken)
        self.weight[rows] = self.weight[rows].addcdiv_(mean, size, value=-rate)

    def finished(self) -> torch.Tensor:
        """All rows, caught up."""
        every = torch.arange(len(self.weight), device=self.weight.device)
        for rows in every.split(_ROWS_AT_ONCE):
            self.look_up(rows)
        return self.weight


def _paired(
    tokens: list[int], limit: int, random: np.random.Generator
) -> Iterable[tuple[int, int]]:
    """All pairs of a concept's subwords, or a balanced selection of at most ``limit``."""
    count = len(tokens)
    if count * (count - 1) // 2 <= limit:
        return itertools.combinations(tokens, 2)
    circle = random.permutation(tokens).tolist()
    steps = range(1, max(1, limit // count) + 1)
    return ((circle[i], circle[(i + step) % count]) for step in steps for i in range(count))


def _each_once(token_ids: np.ndarray, concepts: np.ndarray) -> TranslationPairs:
    """Drop repetitions, in either order, the first occurrence staying."""
    ordered = np.sort(token_ids, axis=1)
    _, first = np.unique(ordered, axis=0, return_index=True)
    first.sort()
    return TranslationPairs(ordered[first], concepts[first])


def _nearest_both_ways(ours: torch.Tensor, theirs: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """For rows of length one, [n, d] and [m, d]: the most similar of theirs to each of ours,
    [n] int64, and of ours to each of theirs, [m] int64."""
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
