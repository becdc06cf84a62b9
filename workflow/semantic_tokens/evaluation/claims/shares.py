"""Scores as percentages of an oracle's, from which the statistics of claims are made."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from semantic_tokens.evaluation.claims.study import MeasuredStudy, MeasuredTask, Variant

#: The task of a row that covers all tasks of a claim.
ALL = "all"


class Value(NamedTuple):
    """A claim's statistic.

    Attributes:
        draws: [1 + resamples + trainings], as in :mod:`semantic_tokens.evaluation.bootstrap`.
        doubt: the reason why it is not used for the verdict, or empty.
        is_of_chance: whether it is a share of a score that does not differ from chance. Such a
            share can contradict a claim. It cannot support one, since it is no understanding.
    """

    draws: np.ndarray
    doubt: str = ""
    is_of_chance: bool = False


class TaskShares:
    """A task's scores as percentages of an oracle's."""

    def __init__(self, task: MeasuredTask, oracle: Variant) -> None:
        self.task = task
        self.oracle = oracle
        self.doubt = (
            "its oracle cannot be distinguished from chance" if oracle in task.at_chance else ""
        )
        self.is_of_chance = False

    def __call__(self, key: Variant) -> np.ndarray | None:
        """[draws]; None if it was not trained."""
        if key not in self.task.scores or self.oracle not in self.task.scores:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            share: np.ndarray = 100 * self.task.scores[key] / self.task.scores[self.oracle]
        return np.where(np.isfinite(share), share, np.nan)

    def known(self, keys: Iterable[Variant]) -> list[tuple[Variant, np.ndarray]]:
        """The trained keys among these, with their percentages."""
        return [(key, share) for key in keys if (share := self(key)) is not None]

    def difference(self, pairs: Iterable[tuple[Variant, Variant]]) -> np.ndarray | None:
        """The mean of first minus second, over pairs of trained models."""
        found = [
            first - second
            for a, b in pairs
            if (first := self(a)) is not None and (second := self(b)) is not None
        ]
        return np.mean(found, axis=0) if found else None

    def keeps(self, key: Variant) -> np.ndarray | None:
        """The percentage of one model, which then cannot support a claim if the model does not
        differ from chance."""
        self.is_of_chance |= key in self.task.at_chance
        return self(key)


def in_each(
    study: MeasuredStudy,
    kinds: Sequence[str],
    statistic: Callable[[TaskShares], np.ndarray | None],
    *,
    oracle: Variant | None = None,
) -> dict[str, Value]:
    """A statistic in every task of these kinds with the needed experiments.

    A task is in doubt if its oracle does not differ from chance.
    """
    found = {}
    for name, task in study.tasks.items():
        if task.kind not in kinds:
            continue
        of_task = TaskShares(task, oracle or study.oracle)
        draws = statistic(of_task) if of_task.oracle in task.scores else None
        if draws is not None:
            found[name] = Value(draws, of_task.doubt, of_task.is_of_chance)
    return found


def slope(ratios: Sequence[float], shares: Sequence[np.ndarray]) -> np.ndarray:
    """[draws], the change of a percentage per doubling of the ratio, by least squares. It
    is positive if scores fall with the ratio.

    >>> slope([1.0, 0.5, 0.25], [np.array([100.0]), np.array([90.0]), np.array([80.0])])
    array([10.])
    """
    x = np.log2(ratios)
    x = x - x.mean()
    found: np.ndarray = (x[:, None] * np.array(shares)).sum(axis=0) / (x**2).sum()
    return found


def slope_of(share_of: TaskShares, keys: Iterable[Variant]) -> np.ndarray | None:
    """The slope over the trained keys among these; it needs at least three."""
    found = share_of.known(keys)
    if len(found) < 3:
        return None
    return slope([key.ratio for key, _ in found], [share for _, share in found])
