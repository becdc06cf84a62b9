"""A paired bootstrap over test items, and the variation between trainings.

Each sample draws test items with replacement, the same items for all models, and computes every
score again (Efron and Tibshirani 1993; Koehn 2004). Items that depend on each other are drawn
together, as a cluster (Davison and Hinkley 1997, section 3.8): questions about one passage, and
translations of an item in all languages.

If experiments were trained several times, a score is the mean over trainings. Its variance is then
the sum of the bootstrap's and of that of the mean over trainings, and its interval a t interval with
Satterthwaite's (1946) degrees of freedom. Drawing trainings again would not do: with three of them,
it calls up to a quarter of equal models different. Trainings of one replicate of the pipeline share
earlier steps, so with several replicates, the mean of a replicate counts as one training.

So a statistic is an array of draws, [1 + resamples + trainings]: its value on the actual items, on
every sample, and if there are several trainings, of each training alone on the actual items.
"""

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from semantic_tokens.components import groups_sharing
from semantic_tokens.errors import InputError
from semantic_tokens.tasks.scored_items import ScoredItem

#: Sums of equal scores may differ by this much.
ROUNDING = 1e-9
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
        """The interval of a statistic: of percentiles with one training, else a t interval.

        Args:
            draws: [1 + resamples + trainings].
        """
        if len(draws) <= 1 + self.resamples:
            tail = 100 * (1 - self.confidence) / 2
            low, high = np.nanpercentile(draws[1:], [tail, 100 - tail])
            return float(low), float(high)
        from scipy.stats import t

        error, freedom = self._error(draws)
        margin = t.ppf((1 + self.confidence) / 2, freedom) * error
        return float(draws[0] - margin), float(draws[0] + margin)

    def p_of_no_difference(self, differences: np.ndarray) -> float:
        """Two-sided p of a difference of zero.

        With one training, it is twice the smaller fraction of samples on one side of zero. One is
        added to both counts, since the data are also a sample. So p is never 0 (Davison and Hinkley
        1997).

        Args:
            differences: [1 + resamples + trainings].
        """
        items = differences[1 : 1 + self.resamples]
        if len(differences) > 1 + self.resamples:
            error, freedom = self._error(differences)
            if error > ROUNDING:
                from scipy.stats import t

                return float(2 * t.sf(abs(differences[0]) / error, freedom))
        sides = (np.count_nonzero(items <= ROUNDING), np.count_nonzero(items >= -ROUNDING))
        return float(min(1.0, 2 * (min(sides) + 1) / (len(items) + 1)))

    def _error(self, draws: np.ndarray) -> tuple[float, float]:
        """The standard error of a mean over trainings, and its degrees of freedom."""
        items, trainings = draws[1 : 1 + self.resamples], draws[1 + self.resamples :]
        of_items = float(np.nanvar(items, ddof=1))
        of_trainings = float(np.nanvar(trainings, ddof=1)) / len(trainings)
        total = of_items + of_trainings
        freedom = math.inf
        if of_trainings > 0:
            freedom = (len(trainings) - 1) * (total / of_trainings) ** 2
        return math.sqrt(total), freedom


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
        the language, and [1 + resamples + trainings, models] float64: the mean over runs on the
        actual items, then on each sample, and then each training (:func:`trainings_of`) on the
        actual items.
    """
    for language in sorted(items.earned):
        earned, possible = items.earned[language], items.possible[language]
        count, models, runs = earned.shape
        trainings = trainings_of(runs, replicates)
        block = items.blocks[language]
        names = sorted({name for other in block for name in items.clusters[other]})
        number_of = {name: number for number, name in enumerate(names)}
        cluster = np.array([number_of[name] for name in items.clusters[language]])
        generator = np.random.default_rng([resampling.seed, _number("+".join(block), names)])
        sums = [part.reshape(count, -1) for part in (earned, possible)]
        scores = np.empty((1 + resampling.resamples + trainings, models))
        actual = _scores(np.ones((1, count)), sums, (models, runs))[0]
        scores[0] = actual.mean(axis=1)
        if trainings:
            scores[-trainings:] = actual.reshape(models, trainings, -1).mean(axis=2).T
        for start in range(1, 1 + resampling.resamples, _RESAMPLES_AT_ONCE):
            part = slice(start, min(start + _RESAMPLES_AT_ONCE, 1 + resampling.resamples))
            size = part.stop - part.start
            even = np.full(len(names), 1 / len(names))
            counts = generator.multinomial(len(names), even, size=size)[:, cluster]
            counts[counts.sum(axis=1) == 0] = 1
            drawn = _scores(counts.astype(np.float64), sums, (models, runs))
            scores[part] = drawn.mean(axis=2)
        yield language, scores


def trainings_of(runs: int, replicates: int) -> int:
    """The number of independent trainings: of replicates, or of seeds if there is one replicate. 0
    if there is only one, whose variation is unknown."""
    trainings = replicates if replicates > 1 else runs
    return trainings if trainings > 1 else 0


def _scores(counts: np.ndarray, sums: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """[resamples, models, runs] from ``counts`` [resamples, items], how often each item was
    drawn."""
    got, could = (counts @ values for values in sums)
    score = np.divide(got, could, out=np.zeros_like(got), where=could > 0)
    return score.reshape(-1, *shape)


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
