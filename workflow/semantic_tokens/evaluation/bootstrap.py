"""A paired bootstrap over test items, seeds and replicates.

Each sample draws test items with replacement, the same items for all models, and computes every
score again (Efron and Tibshirani 1993; Koehn 2004). Items that depend on each other are drawn
together, as a cluster (Davison and Hinkley 1997, section 3.8): questions about one passage, and
translations of an item in all languages. If experiments were trained
several times, trainings are drawn too: first replicates of the entire pipeline, then the
fine-tuning seeds of each replicate. The interval then covers both sources of variation.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from semantic_tokens.components import groups_sharing
from semantic_tokens.errors import InputError
from semantic_tokens.tasks.scored_items import ScoredItem

_RESAMPLES_AT_ONCE = 500


@dataclass(frozen=True)
class Resampling:
    """The config's ``significance``.

    Attributes:
        resamples: the number of bootstrap samples.
        seed: the seed of the samples.
        confidence: the confidence level of the intervals.
    """

    resamples: int = 10_000
    seed: int = 1
    confidence: float = 0.95

    def interval(self, draws: np.ndarray) -> tuple[float, float]:
        """The percentile interval of [1 + resamples] values, the first of which is the actual
        score."""
        tail = 100 * (1 - self.confidence) / 2
        low, high = np.nanpercentile(draws[1:], [tail, 100 - tail])
        return float(low), float(high)


class Items(NamedTuple):
    """Some models' scored items in one task.

    Attributes:
        clusters: language -> the cluster of every item, in order; the item's own id if it is
            independent.
        earned, possible: language -> [items, models, runs] float64, as in
            :class:`~semantic_tokens.tasks.scored_items.ScoredItem`.
        blocks: language -> the languages, this one among them, that share clusters, directly or
            through others.
    """

    clusters: Mapping[str, Sequence[str]]
    earned: Mapping[str, np.ndarray]
    possible: Mapping[str, np.ndarray]
    blocks: Mapping[str, Sequence[str]]


def gather(models: Mapping[str, Iterable[list[ScoredItem]]], task: str) -> Items:
    """Put the items of all models in the same order.

    Args:
        models: name -> its items by run. Each is iterated once, so they may be read one by one from
            files.

    Raises:
        InputError: two models were scored on different items, or there are no items.
    """
    ids: list[tuple[str, str, str | None]] | None = None
    first = next(iter(models))
    columns = []
    for name, runs in models.items():
        for number, run in enumerate(runs, start=1):
            items = sorted(run, key=lambda item: (item.language, item.id))
            found = [(item.language, item.id, item.cluster) for item in items]
            ids = found if ids is None else ids
            if found != ids:
                raise InputError(
                    f"{task}: {name} (run {number}) was scored on other test items than "
                    f"{first}; delete both scores and run again"
                )
            columns.append(np.array([(item.earned, item.possible) for item in items]))
    if not ids:
        raise InputError(f"{task}: there is no scored item; check the dataset of this task")
    values = np.stack(columns).reshape(len(models), -1, len(ids), 2)
    languages = np.array([language for language, _, _ in ids])
    earned, possible = (values[..., part].transpose(2, 0, 1) for part in (0, 1))
    found_in = [str(language) for language in np.unique(languages)]
    clusters = {
        language: [c or name for at, name, c in ids if at == language] for language in found_in
    }
    first_of = groups_sharing([{c for at, _, c in ids if c and at == name} for name in found_in])
    return Items(
        clusters,
        {language: earned[languages == language] for language in found_in},
        {language: possible[languages == language] for language in found_in},
        {
            language: [
                other for other, same in zip(found_in, first_of, strict=True) if same == first
            ]
            for language, first in zip(found_in, first_of, strict=True)
        },
    )


def scores_by_run(items: Items) -> dict[str, np.ndarray]:
    """Language -> [models, runs], every training's score on the actual items."""
    scores = {}
    for language in sorted(items.earned):
        got, could = (part[language].sum(axis=0) for part in (items.earned, items.possible))
        scores[language] = np.divide(got, could, out=np.zeros_like(got), where=could > 0)
    return scores


def resampled_by_language(
    items: Items, resampling: Resampling, replicates: int = 1
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each language's scores, on the same resampled items for all models.

    The draws depend only on the clusters and the seed. So other experiments do not change them, and
    two tasks over the same items have the same draws. Languages without common clusters are drawn
    independently of each other. If a sample has no item of a language, all its items count once.

    Args:
        replicates: the number of replicates; runs are sorted by replicate.

    Yields:
        the language, and [1 + resamples, models] float64: the score on the actual items, then on
        each sample. Scores are means over runs, which are drawn too.
    """
    weights: np.ndarray | None = None
    for language in sorted(items.earned):
        earned, possible = items.earned[language], items.possible[language]
        count, models, runs = earned.shape
        if weights is None:
            weights = _weights_of_runs(replicates, runs // replicates, resampling)
        block = items.blocks[language]
        names = sorted({name for other in block for name in items.clusters[other]})
        number_of = {name: number for number, name in enumerate(names)}
        cluster = np.array([number_of[name] for name in items.clusters[language]])
        generator = np.random.default_rng([resampling.seed, _number("+".join(block), names)])
        sums = [part.reshape(count, -1) for part in (earned, possible)]
        scores = np.empty((1 + resampling.resamples, models))
        scores[:1] = _scores(np.ones((1, count)), sums, (models, runs), weights[:1])
        for start in range(1, len(scores), _RESAMPLES_AT_ONCE):
            part = slice(start, min(start + _RESAMPLES_AT_ONCE, len(scores)))
            size = part.stop - part.start
            even = np.full(len(names), 1 / len(names))
            counts = generator.multinomial(len(names), even, size=size)[:, cluster]
            counts[counts.sum(axis=1) == 0] = 1
            scores[part] = _scores(counts.astype(np.float64), sums, (models, runs), weights[part])
        yield language, scores


def _scores(
    counts: np.ndarray, sums: Sequence[np.ndarray], shape: tuple[int, int], weights: np.ndarray
) -> np.ndarray:
    """[resamples, models] from ``counts`` [resamples, items], how often each item was drawn."""
    got, could = (counts @ values for values in sums)
    score = np.divide(got, could, out=np.zeros_like(got), where=could > 0)
    weighted: np.ndarray = np.einsum("rms,rs->rm", score.reshape(-1, *shape), weights)
    return weighted


def _weights_of_runs(replicates: int, seeds: int, resampling: Resampling) -> np.ndarray:
    """[1 + resamples, replicates * seeds], the weight of each training; equal weights in the first
    row.

    Replicates are drawn first, and then the seeds of each drawn replicate, because trainings of one
    replicate share earlier steps and are not independent.
    """
    generator = np.random.default_rng([resampling.seed, _number("runs")])
    resamples = resampling.resamples
    drawn = generator.multinomial(replicates, np.full(replicates, 1 / replicates), size=resamples)
    weights = generator.multinomial(drawn * seeds, np.full(seeds, 1 / seeds))
    even = np.ones((1, replicates * seeds))
    return np.concatenate([even, weights.reshape(resamples, -1)]) / even.size


def _number(name: str, ids: Sequence[str] = ()) -> int:
    """The number of a random stream."""
    return zlib.crc32("\n".join([name, *ids]).encode())


def interval_of_share(
    earned: np.ndarray, possible: np.ndarray, resampling: Resampling
) -> tuple[float, float]:
    """The interval of a share, sum(earned) / sum(possible), if its units are drawn again.

    Args:
        earned, possible: [units] of each unit, ``possible`` above 0. Units are independent of each
            other: dependent observations are summed in one unit.
    """
    kinds, counts = np.unique(np.stack([earned, possible], axis=1), axis=0, return_counts=True)
    generator = np.random.default_rng([resampling.seed, _number("share")])
    units = len(earned)
    drawn = generator.multinomial(units, counts / units, size=resampling.resamples)
    got, could = (np.concatenate([[counts], drawn]).astype(np.float64) @ kinds).T
    return resampling.interval(got / could)


def bootstrap_p(differences: np.ndarray) -> float:
    """Two-sided p of no difference: twice the smaller fraction of samples on one side of zero.

    One is added to both counts, since the data are also a sample. So p is never 0 (Davison and
    Hinkley 1997).

    Args:
        differences: [resamples].
    """
    sides = (np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return float(min(1.0, 2 * (min(sides) + 1) / (len(differences) + 1)))
