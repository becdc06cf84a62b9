"""The scores of every shown task, read from the files of scores, and what was searched for them."""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semantic_tokens.errors import InputError
from semantic_tokens.evaluation.bootstrap import (
    Resampling,
    Runs,
    Scores,
    scores_in,
)
from semantic_tokens.files import folder_above, read_json
from semantic_tokens.study.experiments import ExperimentRow, recipe_of

Record = Mapping[str, Any]
RecordOf = Callable[[ExperimentRow, str, int], Record]  # of an experiment, a task and a seed
#: What the pages call what needs no model.
BASELINE_NAMES = {"chance": "Chance", "bm25": "BM25"}
#: How the field writes the metrics.
METRIC_NAMES = {"f1": "F1", "accuracy": "Accuracy", "ndcg_at_10": "nDCG@10"}


@dataclass(frozen=True)
class ScoredTask:
    """A pair of columns of the table.

    Attributes:
        name: as in the config, e.g. ``masakhaner``.
        kind: e.g. ``question_answering``.
        metric: e.g. ``f1``.
        collection: what was searched instead of the whole collection (see
            :func:`collection_note`); empty where it was whole, or nothing is searched.
    """

    name: str
    kind: str
    metric: str
    collection: str = ""

    @property
    def column(self) -> str:
        return f"{self.name}_{self.metric}"

    @property
    def metric_name(self) -> str:
        return METRIC_NAMES.get(self.metric, self.metric)

    @property
    def is_percentage(self) -> bool:
        """Whether scores run to 100, as the F1 of question answering does, and not to 1."""
        return self.kind == "question_answering"

    @property
    def decimals(self) -> int:
        """Of a score in the CSV files: a ten-thousandth of the scale."""
        return 2 if self.is_percentage else 4

    @property
    def shown_decimals(self) -> int:
        """Of a score in the typeset tables, as the paper prints it."""
        return self.decimals - 1


def records_in(folder: str | Path) -> RecordOf:
    """How to find an experiment's record among the score files in a folder, read once each.

    The function raises :class:`InputError` where there is no such file.
    """
    folder = Path(folder)

    @functools.cache
    def read(path: Path) -> Record:
        if not path.is_file():
            raise InputError(f"{path}: there is no such score; run the workflow to have it made")
        return read_json(path)

    def record_of(row: ExperimentRow, task: str, seed: int) -> Record:
        return read(folder / recipe_of(row).path / task / row["training"] / f"seed-{seed}.json")

    return record_of


def full_dimensions(configs: Iterable[str | Path]) -> dict[str, int]:
    """Backbone -> D, from the backbones' ``config.json`` in folders of their names."""
    from semantic_tokens.modeling.encoders import embedding_width

    return {Path(path).parent.name: embedding_width(Path(path).parent) for path in configs}


def describe_tasks(
    names: Iterable[str], rows: Sequence[ExperimentRow], seeds: Sequence[int], record_of: RecordOf
) -> list[ScoredTask]:
    """The tasks of these names in order, their kinds and metrics as the records state them."""
    records = {name: record_of(rows[0], name, seeds[0]) for name in names}
    return [
        ScoredTask(name, record["kind"], record["metric"], collection_note([record]))
        for name, record in records.items()
    ]


def read_scores(
    score_files: Iterable[str | Path],
    baseline_files: Iterable[str | Path],
    names: Sequence[str],
    rows: Sequence[ExperimentRow],
    runs: Runs,
    resampling: Resampling,
) -> tuple[list[ScoredTask], Scores]:
    """The tasks of these names, and what these experiments and the baselines score in each.

    Args:
        score_files: in ``results/scores``, as paths below it spell the experiments.
        baseline_files: in ``results/baselines``.
    """
    folder = folder_above(score_files, "scores")
    tasks = describe_tasks(names, rows, runs.seeds, records_in(folder))
    baselines_folder = folder_above(baseline_files, "baselines")
    by_task = dict.fromkeys(names, rows)
    return tasks, scores_in(folder, baselines_folder, by_task, runs, resampling)


def collection_note(records: Iterable[Record]) -> str:
    """What these scores searched instead of the whole collection, in words; empty if all of it.

    >>> collection_note([{"collection": {"distractors": 0.1}}])
    'what is judged and 10% of the other passages'
    """
    notes = [_collection(record.get("collection") or {}) for record in records]
    return "; ".join(dict.fromkeys(note for note in notes if note))


def _collection(collection: Mapping[str, Any]) -> str:
    parts = []
    if pool := collection.get("pool"):
        parts.append(
            f"what is relevant, BM25's first {pool['depth']} and "
            f"{pool['random_per_language']} others a language (seed {pool['seed']})"
        )
    if (share := collection.get("distractors")) is not None:
        parts.append(f"what is judged and {100 * share:.4g}% of the other passages")
    return ", out of ".join(parts)


def percent(value: float, oracle: float) -> float:
    """A score relative to another in percent; NaN where that is 0."""
    return 100 * value / oracle if oracle else math.nan
