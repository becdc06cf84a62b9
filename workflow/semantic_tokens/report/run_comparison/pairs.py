"""Which scores of two runs can be compared item by item, and why others cannot."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from semantic_tokens.json_files import read_jsonl
from semantic_tokens.report.run_comparison.runs import Cell, Run, Training
from semantic_tokens.study.ingredients import Digests, searched_passages
from semantic_tokens.tasks.scored_items import ScoredItem, read_items


class Pairs:
    """The scores of two runs that can be compared item by item, and the reasons for others.

    Attributes:
        notes: the list of remarks, which is extended.
        unpaired: the cells that cannot be compared, with the trainings of both runs.
    """

    def __init__(self, first: Run, second: Run, notes: list[str]) -> None:
        self.first, self.second, self.notes = first, second, notes
        self.unpaired: dict[Cell, tuple[Sequence[Training], Sequence[Training]]] = {}
        self._differing: set[str] = set()  # tasks

    def check_task(self, task: str) -> None:
        """Record a task with different test data, even if the items have the same ids."""
        configurations = [self.first.configuration, self.second.configuration]
        if None in configurations or any(task not in (c or {})["tasks"] for c in configurations):
            return
        paths, digests, searched = [], [], []
        for configuration in configurations:
            assert configuration is not None
            dataset = configuration["tasks"][task]["dataset"]
            path = f"results/datasets/{dataset}/{configuration['evaluation_split']}.jsonl"
            known = Digests(configuration)
            paths.append(path)
            digests.append((known.of(path), configuration["evaluation_split"]))
            if configuration["tasks"][task]["kind"] == "retrieval":
                searched.append(known.of(searched_passages(configuration, dataset)))
        if len(searched) == 2 and searched[0] != searched[1]:
            self.notes.append(
                f"{task}: the runs search different passages, which also affects scores."
            )
        if digests[0] == digests[1] and digests[0][0] is not None:
            return
        files = [run.file(path) for run, path in zip((self.first, self.second), paths, strict=True)]
        if files[0] is None or files[1] is None:
            self.notes.append(
                f"{task}: the runs read their test items in different ways, and the items cannot "
                "be compared; items with the same id are assumed to be equal."
            )
        elif _examples(files[0]) != _examples(files[1]):
            self._differing.add(task)

    def grouped(
        self, cells: Iterable[Cell]
    ) -> dict[tuple[str, tuple[tuple[str, str], ...], tuple[Sequence[Training], ...]], list[str]]:
        """The comparable cells, as experiments by task, items and trainings."""
        groups: dict[Any, list[str]] = {}
        reasons: dict[str, str] = {}
        for cell in cells:
            trainings = self._trainings(cell)
            if trainings is None:
                continue
            first, second = (
                read_items(run.scored_items[cell][own[0]])
                for run, own in zip((self.first, self.second), trainings, strict=True)
            )
            ids, others = _identities(first), _identities(second)
            if cell.task in self._differing or ids != others:
                self.unpaired[cell] = trainings
                both = len(set(ids) & set(others))
                reasons[cell.task] = (
                    f"{cell.task}: the test items differ ({len(ids):,} in {self.first.name}, "
                    f"{len(others):,} in {self.second.name}"
                    + (", under the same ids" if ids == others else f", {both:,} ids in both")
                    + "), so scores cannot be paired: there are no differences, and each score has "
                    "the interval of its own items."
                )
            else:
                groups.setdefault((cell.task, ids, trainings), []).append(cell.experiment)
        self.notes += reasons.values()
        return groups

    def _trainings(self, cell: Cell) -> tuple[tuple[Training, ...], tuple[Training, ...]] | None:
        """The trainings of both runs for a score, equally many of each.

        None if one is not finished.
        """
        sides = []
        for run in (self.first, self.second):
            found = set(run.scored_items[cell])
            if run.configuration:
                expected = {
                    Training(replicate, seed)
                    for replicate in range(1, run.configuration["replicates"] + 1)
                    for seed in run.configuration["seeds"]
                }
                if missing := expected - found:
                    self.notes.append(
                        f"{cell.task}, {cell.experiment}: left out, since {len(missing)} of "
                        f"{len(expected)} trainings of run {run.name} are missing."
                    )
                    return None
                found = expected
            sides.append(found)
        if both := sides[0] & sides[1]:
            sides = [both, both]
        first, second = (_rectangle(side) for side in sides)
        replicates = min(len(first), len(second))
        seeds = min(len(first[0]), len(second[0]))
        chosen = tuple(
            tuple(training for row in side[:replicates] for training in row[:seeds])
            for side in (first, second)
        )
        if not chosen[0]:
            self.notes.append(
                f"{cell.task}, {cell.experiment}: left out, because there is no common seed."
            )
            return None
        if any(
            len(set(run.scored_items[cell])) != len(chosen[0]) for run in (self.first, self.second)
        ):
            note = (
                "If the trainings of the runs differ, scores are means over the common trainings."
            )
            if note not in self.notes:
                self.notes.append(note)
        return chosen[0], chosen[1]


def _rectangle(trainings: Iterable[Training]) -> list[list[Training]]:
    """The trainings by replicate, with the common seeds of all replicates."""
    found = set(trainings)
    replicates = sorted({training.replicate for training in found})
    seeds = [
        seed
        for seed in sorted({training.seed for training in found})
        if all(Training(replicate, seed) in found for replicate in replicates)
    ]
    return [[Training(replicate, seed) for seed in seeds] for replicate in replicates]


def _identities(items: Iterable[ScoredItem]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((item.language, item.id) for item in items))


def _examples(path: Path) -> dict[str, Any]:
    return {example["id"]: example for example in read_jsonl(path)}
