"""The largest part of a study that fits into a budget of hours.

docs/decisions.md describes the rule. First, a smaller pool of passages is searched; then rows are
left out, from the end of the table of experiments; then tasks, the most expensive first. All kept
rows are trained on all kept tasks.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from semantic_tokens.files import atomic_file
from semantic_tokens.plan.costs import Cost, costs_of
from semantic_tokens.plan.study import Pools, Study
from semantic_tokens.study.experiments import COLUMNS, ExperimentRow, experiment_of
from semantic_tokens.study.figures import main_backbone

#: The numbers of random passages per language in a pool; the largest that fits is used.
RANDOM_PASSAGES = (100_000, 10_000, 1_000)
_SEED = 1  # of a pool for a dataset without one in the config
#: The main figures of the study; their rows with the main backbone have priority.
_CORE = ("oracle", "figure3")


@dataclass(frozen=True)
class SubStudy:
    """A part of a study.

    Attributes:
        rows: the experiments, in the order of their table.
        tasks: the tasks, in the order of the config.
        pools: dataset -> the pool to search instead of the config's.
        hours: the hours that it needs.
    """

    rows: Sequence[ExperimentRow]
    tasks: Sequence[str]
    hours: float
    pools: Pools = field(default_factory=dict)


class Budget:
    """Finds sub-studies within a budget.

    Args:
        study: the study.
        rows: its experiments, as :meth:`~semantic_tokens.study.experiments.Experiment.as_dict` gives them.
        hours_of: the hours of jobs, which never decrease with more jobs.
        hours: the budget.
        pool_depths: dataset -> the number of BM25 passages that its ranking tasks use.
    """

    def __init__(
        self,
        study: Study,
        rows: Sequence[ExperimentRow],
        hours_of: Callable[[Mapping[str, Cost]], float],
        hours: float,
        pool_depths: Mapping[str, int],
    ) -> None:
        self.study, self.rows, self.hours = study, list(rows), hours
        self._hours_of, self._pool_depths = hours_of, pool_depths
        self._references = {row["backbone"]: row for row in self.rows if row["reference"]}

    def of(
        self, rows: Sequence[ExperimentRow], tasks: Sequence[str], pools: Pools | None = None
    ) -> SubStudy:
        """A sub-study with its hours, which are infinite if they cannot be counted."""
        costs = costs_of(self.study, rows, tasks, pools)
        is_known = not any(cost.uncounted for cost in costs.values())
        hours = self._hours_of(costs) if is_known else math.inf
        return SubStudy(rows, tasks, hours, pools or {})

    def largest(self) -> SubStudy | None:
        """The largest sub-study within the budget, possibly the entire study; None if nothing
        fits."""
        for tasks in self._fewer_and_fewer_tasks():
            kept = self._rows_within(tasks, self._pools(tasks)[-1])
            if all(row in kept for row in self._core()):
                return self._with_largest_pool(kept, tasks)
        for task in sorted(self.study.tasks, key=self._hours_of_task):
            if kept := self._rows_within([task], self._pools([task])[-1]):
                return self._with_largest_pool(kept, [task])
        return None

    def cheapest(self) -> SubStudy:
        """The smallest sub-study: one row, with its reference, and one task."""
        return min(
            (
                self.of(self._with_reference(row), [task], self._pools([task])[-1])
                for row in self.rows
                for task in self.study.tasks
            ),
            key=lambda found: found.hours,
        )

    def is_complete(self, found: SubStudy) -> bool:
        """Whether this is the entire study."""
        return (
            len(found.rows) == len(self.rows)
            and len(found.tasks) == len(self.study.tasks)
            and not found.pools
        )

    def next_row(self, found: SubStudy) -> SubStudy | None:
        """A sub-study with the first left-out row; None if there is none."""
        for row in self._by_importance():
            if row not in found.rows:
                more = self._with_reference(row)
                rows = [row for row in self.rows if row in found.rows or row in more]
                return self.of(rows, found.tasks, found.pools)
        return None

    def _core(self) -> list[ExperimentRow]:
        main = main_backbone(map(experiment_of, self.rows)) or self.rows[0]["backbone"]
        core = [row for row in self.rows if row["backbone"] == main and row["figure"] in _CORE]
        return core or self.rows[:2]

    def _by_importance(self) -> list[ExperimentRow]:
        core = self._core()
        return [*core, *(row for row in self.rows if row not in core)]

    def _with_reference(self, row: ExperimentRow) -> list[ExperimentRow]:
        reference = self._references.get(row["backbone"], row)
        return [row] if row == reference else [reference, row]

    def _rows_within(self, tasks: Sequence[str], pools: Pools) -> list[ExperimentRow]:
        """Rows by importance, each if it fits together with the earlier ones. A row that does not
        fit does not fit into a larger set either, since costs only add up."""
        kept: list[ExperimentRow] = []
        for row in self._by_importance():
            more = [row for row in self._with_reference(row) if row not in kept]
            if more and self.of([*kept, *more], tasks, pools).hours <= self.hours:
                kept += more
        return [row for row in self.rows if row in kept]

    def _with_largest_pool(self, rows: Sequence[ExperimentRow], tasks: Sequence[str]) -> SubStudy:
        found = (self.of(rows, tasks, pools) for pools in self._pools(tasks))
        return next(one for one in found if one.hours <= self.hours)

    def _fewer_and_fewer_tasks(self) -> Iterator[list[str]]:
        """Yield all tasks, then all without the most expensive ones, down to one task."""
        by_cost = sorted(self.study.tasks, key=self._hours_of_task)
        for count in range(len(by_cost), 0, -1):
            yield [task for task in self.study.tasks if task in by_cost[:count]]

    def _hours_of_task(self, task: str) -> float:
        """The hours of the main rows with only this task, in the smallest pool."""
        return self.of(self._core(), [task], self._pools([task])[-1]).hours

    def _pools(self, tasks: Sequence[str]) -> list[Pools]:
        """The possible pools, from the config's to the smallest."""
        levels: list[Pools] = [{}]
        for number in RANDOM_PASSAGES:
            pools = {}
            for dataset in dict.fromkeys(
                task["dataset"]
                for name, task in self.study.tasks.items()
                if name in tasks and task["kind"] == "retrieval"
            ):
                if pool := self._smaller_pool(dataset, number):
                    pools[dataset] = pool
            if pools:
                levels.append(pools)
        return levels

    def _smaller_pool(self, dataset: str, number: int) -> Mapping[str, Any] | None:
        """A pool with this number of random passages per language, if it is smaller than the
        config's."""
        given, backbone = self.study.datasets[dataset].get("pool"), self.rows[0]["backbone"]
        pool = {"depth": self._pool_depths[dataset], "seed": _SEED} | dict(given or {})
        pool["random_per_language"] = number
        data = self.study.data
        smaller = data.searched(dataset, backbone, pool)
        now = data.counts(dataset, backbone) | data.searched(dataset, backbone, given)
        return pool if smaller and smaller["passages"] < now["passages"] else None


def write_sub_study(
    found: SubStudy, experiments: str | Path, overlay: str | Path, config: Mapping[str, Any]
) -> None:
    """Write a sub-study as a table of experiments and a configuration file.

    Args:
        experiments: the table to write.
        overlay: the configuration to write.
        config: further keys for it.
    """
    title = f"# {len(found.rows)} experiments, {found.hours:.4g} hours by the plan\n"
    with atomic_file(experiments) as partial:
        lines = ["\t".join(COLUMNS)]
        lines += ["\t".join(_cell(row[column]) for column in COLUMNS) for row in found.rows]
        partial.write_text(title + "\n".join(lines) + "\n", encoding="utf-8")
    keys = {"experiments": str(experiments), "tasks_shown": list(found.tasks), **config}
    if found.pools:
        keys["datasets"] = {name: {"pool": dict(pool)} for name, pool in found.pools.items()}
    with atomic_file(overlay) as partial:
        text = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True)
        partial.write_text(title + text, encoding="utf-8")


def _cell(value: str | bool) -> str:
    return value if isinstance(value, str) else "yes" if value else "no"
