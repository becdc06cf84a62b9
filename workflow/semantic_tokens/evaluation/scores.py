"""The scores of experiments and baselines, each with its interval.

The intervals are those of :mod:`semantic_tokens.evaluation.bootstrap`.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from semantic_tokens.evaluation.bootstrap import (
    ROUNDING,
    Resampling,
    gather,
    resampled_by_language,
    scores_by_run,
    trainings_of,
)
from semantic_tokens.study.experiments import ALL_LANGUAGES, ExperimentRow, recipe_of
from semantic_tokens.study.recipe import PATTERNS
from semantic_tokens.study.replicates import in_replicate, seed_in
from semantic_tokens.tasks.scored_items import ScoredItem, read_items

ItemsOf = Callable[
    [ExperimentRow, str, int], list[ScoredItem]
]  # for an experiment, a task and a seed
BaselineOf = Callable[[str, str], list[ScoredItem] | None]  # for a baseline and a task

#: The baselines, which need no model. Only rankings have BM25.
BASELINES = ("chance", "bm25")


class Trainings(NamedTuple):
    """The repeated trainings of each experiment.

    Attributes:
        seeds: the seeds of fine-tuning in each replicate.
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


def experiment_name(row: ExperimentRow) -> str:
    """The path of an experiment's scores: its recipe and training, joined by ``/``."""
    return "/".join(row[part] for part in [*PATTERNS, "training"])


def _spreads(runs: np.ndarray) -> tuple[float | None, float | None]:
    """The standard deviations of [replicates, seeds] scores over seeds and over replicates."""
    replicates, seeds = runs.shape
    within = float(np.sqrt(runs.var(axis=1, ddof=1).mean())) if seeds > 1 else None
    return within, float(runs.mean(axis=1).std(ddof=1)) if replicates > 1 else None


class TaskScores:
    """The scores of some experiments and baselines in one task, on the same resampled items.

    A score is a mean over languages. The score of a model that was trained on one language is for
    transfer to the others, so it leaves this language out (section 4.5).

    Args:
        models: name -> its items by run, sorted by replicate; all models have the same number.
        replicates: the number of replicates.
        languages_trained_on: name -> the only language on which this model was trained.
    """

    def __init__(
        self,
        task: str,
        models: Mapping[str, Iterable[list[ScoredItem]]],
        resampling: Resampling,
        replicates: int = 1,
        languages_trained_on: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.resampling = resampling
        self.replicates = replicates
        self._trained_on = languages_trained_on
        self._place = {name: place for place, name in enumerate(models)}
        self._items = items = gather(models, task)
        self._by_run = scores_by_run(items)
        self.counts = {language: len(names) for language, names in items.clusters.items()}
        runs = next(iter(items.earned.values())).shape[2]
        self.trainings = trainings_of(runs, replicates)
        self._total = np.zeros((1 + resampling.resamples + self.trainings, len(models)))
        self._left_out: dict[str, np.ndarray] = {}
        for language, scores in resampled_by_language(items, resampling, replicates):
            self._total += scores
            if language in languages_trained_on.values():
                self._left_out[language] = scores

    def __contains__(self, name: str) -> bool:
        return name in self._place

    @property
    def languages(self) -> list[str]:
        return list(self.counts)

    @functools.cached_property
    def _by_language(self) -> dict[str, np.ndarray]:
        """Language -> [4, models], every score, its interval, and the lower end of the interval of
        its difference to chance (NaN without chance)."""
        found = {}
        interval = self.resampling.interval
        drawn = resampled_by_language(self._items, self.resampling, self.replicates)
        for language, scores in drawn:
            edges = np.array([interval(draws) for draws in scores.T]).T
            above = np.full((1, scores.shape[1]), np.nan)
            if "chance" in self:
                margins = scores - scores[:, [self._place["chance"]]]
                above = np.array([[interval(draws)[0] for draws in margins.T]])
            found[language] = np.concatenate([scores[:1], edges, above])
        return found

    def languages_of(self, *names: str) -> list[str]:
        """The languages of the mean in which these models are compared: all but those on which one
        of them alone was trained. If no other is tested, it is all languages."""
        trained = {self._trained_on.get(name) for name in names}
        return [code for code in self.languages if code not in trained] or self.languages

    def draws(self, name: str, *beside: str) -> np.ndarray:
        """[1 + resamples + trainings], the score on the actual items, on every sample, and of each
        training.

        Args:
            beside: other models with which it is compared, in the same languages.
        """
        place = self._place[name]
        languages = self.languages_of(name, *beside)
        left_out = [self._left_out[c][:, place] for c in self.languages if c not in languages]
        found: np.ndarray = (self._total[:, place] - sum(left_out)) / len(languages)
        return found

    def estimate(self, name: str) -> Estimate:
        """The score, a mean over languages and runs."""
        draws = self.draws(name)
        of_languages = [self._by_run[code][self._place[name]] for code in self.languages_of(name)]
        runs = np.mean(of_languages, axis=0)
        spreads = _spreads(runs.reshape(self.replicates, -1))
        return Estimate(float(draws[0]), *self.resampling.interval(draws), *spreads)

    def in_language(self, name: str, language: str) -> Estimate:
        """The score in one language, a mean over runs."""
        place = self._place[name]
        value, low, high, _ = self._by_language[language][:, place].tolist()
        spreads = _spreads(self._by_run[language][place].reshape(self.replicates, -1))
        return Estimate(value, low, high, *spreads)

    def draws_by_language(self, names: Sequence[str]) -> list[dict[str, np.ndarray]]:
        """For each model, its :meth:`draws` in every language. They are drawn again to save
        memory."""
        places = [self._place[name] for name in names]
        earned, possible = (
            {language: values[:, places] for language, values in part.items()}
            for part in (self._items.earned, self._items.possible)
        )
        some = self._items._replace(earned=earned, possible=possible)
        found: list[dict[str, np.ndarray]] = [{} for _ in names]
        if names:
            for language, scores in resampled_by_language(some, self.resampling, self.replicates):
                for place, of_model in enumerate(found):
                    of_model[language] = scores[:, place]
        return found

    def is_above_chance(self, name: str, language: str | None = None) -> bool:
        """Whether the score is significantly above chance: the interval of the difference, paired
        by item, is above zero.

        Args:
            language: for the score in this language; None for the mean over languages.
        """
        if language is None:
            low, _ = self.resampling.interval(self.draws(name) - self.draws("chance", name))
        else:
            low = float(self._by_language[language][3, self._place[name]])
        return low > ROUNDING


def languages_trained_on(rows: Iterable[ExperimentRow]) -> dict[str, str]:
    """Name of an experiment -> the only language on which it is trained, if there is only one."""
    return {
        experiment_name(row): row["training"] for row in rows if row["training"] != ALL_LANGUAGES
    }


def read_runs(
    items_of: ItemsOf, row: ExperimentRow, task: str, runs: Trainings
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
        runs: Trainings,
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
            self._tasks[task] = TaskScores(
                task, models, resampling, runs.replicates, languages_trained_on(rows)
            )

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
        trained = Path(folder) / recipe_of(row).path / task / row["training"]
        return read_items(trained / f"seed-{seed}.items.parquet")

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
    runs: Trainings,
    resampling: Resampling,
) -> Scores:
    """The :class:`Scores` of files in two folders."""
    return Scores(rows_by_task, runs, items_in(scores), baselines_in(baselines), resampling)
