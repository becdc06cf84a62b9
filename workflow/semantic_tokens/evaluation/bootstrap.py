"""Uncertainty of scores: a paired bootstrap over test items, seeds and replicates.

Each sample draws test items with replacement within each language, the same items for all models,
and computes every score again (Efron and Tibshirani 1993; Koehn 2004). If experiments were trained
several times, trainings are drawn too: first replicates of the entire pipeline, then the
fine-tuning seeds of each replicate. The interval then covers both sources of variation.
"""

import functools
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from semantic_tokens.errors import InputError
from semantic_tokens.study.experiments import ExperimentRow
from semantic_tokens.study.recipe import PATTERNS
from semantic_tokens.study.replicates import in_replicate, seed_in
from semantic_tokens.tasks.scored_items import ScoredItem, read_items

ItemsOf = Callable[
    [ExperimentRow, str, int], list[ScoredItem]
]  # for an experiment, a task and a seed
BaselineOf = Callable[[str, str], list[ScoredItem] | None]  # for a baseline and a task

#: The baselines, which need no model. Only rankings have BM25.
BASELINES = ("chance", "bm25")

_RESAMPLES_AT_ONCE = 500
_ROUNDING = 1e-9  # the possible difference between sums of equal scores


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


class Runs(NamedTuple):
    """The number of trainings.

    Attributes:
        seeds: the number of fine-tunings per replicate.
        replicates: the number of runs of the entire pipeline.
    """

    seeds: Sequence[int]
    replicates: int = 1


class Estimate(NamedTuple):
    """A number with its interval.

    Attributes:
        std: the sample standard deviation over the fine-tuning seeds of a replicate; None for one
            seed.
        std_replicates: the sample standard deviation of the replicates' means; None for one
            replicate.
    """

    value: float
    low: float
    high: float
    std: float | None = None
    std_replicates: float | None = None

    @property
    def spreads(self) -> dict[str, float]:
        """The available standard deviations, by the suffix of their column."""
        both = {"std": self.std, "std_replicates": self.std_replicates}
        return {name: value for name, value in both.items() if value is not None}


class Items(NamedTuple):
    """Some models' scored items in one task.

    Attributes:
        ids: language -> the items' ids, in order.
        earned, possible: language -> [items, models, runs] float64, as in
            :class:`~semantic_tokens.tasks.scored_items.ScoredItem`.
    """

    ids: Mapping[str, Sequence[str]]
    earned: Mapping[str, np.ndarray]
    possible: Mapping[str, np.ndarray]


def experiment_name(row: ExperimentRow) -> str:
    """The path of an experiment's scores: its recipe and training, joined by ``/``."""
    return "/".join(row[part] for part in [*PATTERNS, "training"])


def gather(models: Mapping[str, Iterable[list[ScoredItem]]], task: str) -> Items:
    """Put the items of all models in the same order.

    Args:
        models: name -> its items by run. Each is iterated once, so they may be read one by one from
            files.

    Raises:
        InputError: two models were scored on different items, or there are no items.
    """
    ids: list[tuple[str, str]] | None = None
    first = next(iter(models))
    columns = []
    for name, runs in models.items():
        for number, run in enumerate(runs, start=1):
            items = sorted(run, key=lambda item: (item.language, item.id))
            found = [(item.language, item.id) for item in items]
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
    languages = np.array([language for language, _ in ids])
    names = np.array([name for _, name in ids])
    earned, possible = (values[..., part].transpose(2, 0, 1) for part in (0, 1))
    found_in = [str(language) for language in np.unique(languages)]
    return Items(
        {language: names[languages == language].tolist() for language in found_in},
        {language: earned[languages == language] for language in found_in},
        {language: possible[languages == language] for language in found_in},
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

    The draws of a language depend only on its items and the seed. So other experiments do not
    change them, and two tasks over the same items have the same draws.

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
        generator = np.random.default_rng([resampling.seed, _number(language, items.ids[language])])
        sums = [part.reshape(count, -1) for part in (earned, possible)]
        scores = np.empty((1 + resampling.resamples, models))
        scores[:1] = _scores(np.ones((1, count)), sums, (models, runs), weights[:1])
        for start in range(1, len(scores), _RESAMPLES_AT_ONCE):
            part = slice(start, min(start + _RESAMPLES_AT_ONCE, len(scores)))
            size = part.stop - part.start
            counts = generator.multinomial(count, np.full(count, 1 / count), size=size)
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


def bootstrap_p(differences: np.ndarray) -> float:
    """Two-sided p of no difference: twice the smaller fraction of samples on one side of zero.

    One is added to both counts, since the data are also a sample. So p is never 0 (Davison and
    Hinkley 1997).

    Args:
        differences: [resamples].
    """
    sides = (np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    return float(min(1.0, 2 * (min(sides) + 1) / (len(differences) + 1)))


def _spreads(runs: np.ndarray) -> tuple[float | None, float | None]:
    """The standard deviations of [replicates, seeds] scores over seeds and over replicates."""
    replicates, seeds = runs.shape
    within = float(np.sqrt(runs.var(axis=1, ddof=1).mean())) if seeds > 1 else None
    return within, float(runs.mean(axis=1).std(ddof=1)) if replicates > 1 else None


class TaskScores:
    """The scores of some experiments and baselines in one task, on the same resampled items.

    Args:
        models: name -> its items by run, sorted by replicate; all models have the same number.
        replicates: the number of replicates.
    """

    def __init__(
        self,
        task: str,
        models: Mapping[str, Iterable[list[ScoredItem]]],
        resampling: Resampling,
        replicates: int = 1,
    ) -> None:
        self.resampling = resampling
        self.replicates = replicates
        self._place = {name: place for place, name in enumerate(models)}
        self._items = items = gather(models, task)
        self._by_run = scores_by_run(items)
        self.counts = {language: len(ids) for language, ids in items.ids.items()}
        total = np.zeros((1 + resampling.resamples, len(models)))
        for _, scores in resampled_by_language(items, resampling, replicates):
            total += scores
        self._draws = total / len(self.counts)

    def __contains__(self, name: str) -> bool:
        return name in self._place

    @property
    def languages(self) -> list[str]:
        return list(self.counts)

    @functools.cached_property
    def _by_language(self) -> dict[str, np.ndarray]:
        """Language -> [3, models], every score and its interval."""
        found = {}
        tail = 100 * (1 - self.resampling.confidence) / 2
        drawn = resampled_by_language(self._items, self.resampling, self.replicates)
        for language, scores in drawn:
            edges = np.percentile(scores[1:], [tail, 100 - tail], axis=0)
            found[language] = np.concatenate([scores[:1], edges])
        return found

    def draws(self, name: str) -> np.ndarray:
        """[1 + resamples], the score on the actual items, then on every sample."""
        column: np.ndarray = self._draws[:, self._place[name]]
        return column

    def estimate(self, name: str) -> Estimate:
        """The score, a mean over languages and runs."""
        draws = self.draws(name)
        runs = np.mean([by_run[self._place[name]] for by_run in self._by_run.values()], axis=0)
        spreads = _spreads(runs.reshape(self.replicates, -1))
        return Estimate(float(draws[0]), *self.resampling.interval(draws), *spreads)

    def in_language(self, name: str, language: str) -> Estimate:
        """The score in one language, a mean over runs."""
        place = self._place[name]
        value, low, high = self._by_language[language][:, place].tolist()
        spreads = _spreads(self._by_run[language][place].reshape(self.replicates, -1))
        return Estimate(value, low, high, *spreads)

    def draws_by_language(self, names: Sequence[str]) -> list[dict[str, np.ndarray]]:
        """For each model, its :meth:`draws` in every language. They are drawn again to save
        memory."""
        places = [self._place[name] for name in names]
        some = Items(
            self._items.ids,
            {language: part[:, places] for language, part in self._items.earned.items()},
            {language: part[:, places] for language, part in self._items.possible.items()},
        )
        found: list[dict[str, np.ndarray]] = [{} for _ in names]
        if names:
            for language, scores in resampled_by_language(some, self.resampling, self.replicates):
                for place, of_model in enumerate(found):
                    of_model[language] = scores[:, place]
        return found

    def is_above_chance(self, name: str) -> bool:
        """Whether the score is significantly above chance: the interval of the difference, paired
        by item, is above zero."""
        low, _ = self.resampling.interval(self.draws(name) - self.draws("chance"))
        return low > _ROUNDING


def read_runs(
    items_of: ItemsOf, row: ExperimentRow, task: str, runs: Runs
) -> Iterator[list[ScoredItem]]:
    """Yield the items of one training after another, to save memory."""
    for replicate in range(1, runs.replicates + 1):
        own = {**row, "backbone": in_replicate(row["backbone"], replicate)}
        for seed in runs.seeds:
            yield items_of(own, task, seed_in(seed, replicate))


class Scores:
    """The scores of some experiments in some tasks; see :class:`TaskScores`.

    Args:
        rows_by_task: task -> its experiments.
        baseline_of: the items of each of :data:`BASELINES`; None if a task has none.
    """

    def __init__(
        self,
        rows_by_task: Mapping[str, Sequence[ExperimentRow]],
        runs: Runs,
        items_of: ItemsOf,
        baseline_of: BaselineOf,
        resampling: Resampling,
    ) -> None:
        self._tasks: dict[str, TaskScores] = {}
        for task, rows in tqdm(rows_by_task.items(), desc="bootstrap", unit="task"):
            models: dict[str, Iterable[list[ScoredItem]]] = {
                # Several figures may show one experiment.
                experiment_name(row): read_runs(items_of, row, task, runs)
                for row in rows
            }
            for baseline in BASELINES:
                items = baseline_of(baseline, task)
                if items is not None:
                    models[baseline] = [items] * (len(runs.seeds) * runs.replicates)
            self._tasks[task] = TaskScores(task, models, resampling, runs.replicates)

    def __getitem__(self, task: str) -> TaskScores:
        return self._tasks[task]

    def of(self, row: ExperimentRow, task: str) -> Estimate:
        """An experiment's score in a task."""
        return self[task].estimate(experiment_name(row))

    def is_above_chance(self, row: ExperimentRow, task: str) -> bool:
        """See :meth:`TaskScores.is_above_chance`."""
        return self[task].is_above_chance(experiment_name(row))


def items_in(folder: str | Path) -> ItemsOf:
    """A function that reads an experiment's items from the score files in a folder."""

    def items_of(row: ExperimentRow, task: str, seed: int) -> list[ScoredItem]:
        recipe = "/".join(row[part] for part in PATTERNS)
        return read_items(
            Path(folder) / recipe / task / row["training"] / f"seed-{seed}.items.parquet"
        )

    return items_of


def baselines_in(folder: str | Path) -> BaselineOf:
    """A function that reads a baseline's items from a folder; None if a task has none."""

    def baseline_of(baseline: str, task: str) -> list[ScoredItem] | None:
        path = Path(folder) / baseline / f"{task}.items.parquet"
        return read_items(path) if path.is_file() else None

    return baseline_of


def scores_in(
    scores: str | Path,
    baselines: str | Path,
    rows_by_task: Mapping[str, Sequence[ExperimentRow]],
    runs: Runs,
    resampling: Resampling,
) -> Scores:
    """The :class:`Scores` of files in two folders."""
    return Scores(rows_by_task, runs, items_in(scores), baselines_in(baselines), resampling)
