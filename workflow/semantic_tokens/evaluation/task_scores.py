"""The scores of every shown task, read from the score files, and the searched collections."""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semantic_tokens.errors import InputError
from semantic_tokens.evaluation.bootstrap import Resampling
from semantic_tokens.evaluation.scores import Scores, TaskScores, Trainings, scores_in
from semantic_tokens.files import folder_above
from semantic_tokens.json_files import read_json
from semantic_tokens.study.experiments import ExperimentRow, recipe_of

Record = Mapping[str, Any]
RecordOf = Callable[[ExperimentRow, str, int], Record]  # of an experiment, a task and a seed
#: The names of the baselines in tables and pages.
BASELINE_NAMES = {"chance": "Chance", "bm25": "BM25"}
#: The names of the metrics in tables and pages.
METRIC_NAMES = {"f1": "F1", "accuracy": "Accuracy", "ndcg_at_10": "nDCG@10"}


@dataclass(frozen=True)
class ScoredTask:
    """A task with its metric, which is a pair of columns in tables.

    Attributes:
        name: as in the config, e.g. ``masakhaner``.
        kind: e.g. ``question_answering``.
        metric: e.g. ``f1``.
        collection: the part of the collection that was searched (see :func:`collection_note`).
            Empty if the entire collection was searched, or if the task has no search.
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
        """Whether the maximum score is 100, as for the F1 of question answering, and not 1."""
        return self.kind == "question_answering"

    @property
    def decimals(self) -> int:
        """The number of decimals in CSV files, which shows a ten-thousandth of the scale."""
        return 2 if self.is_percentage else 4

    @property
    def shown_decimals(self) -> int:
        """The number of decimals in typeset tables, as in the paper."""
        return self.decimals - 1


def records_in(folder: str | Path) -> RecordOf:
    """A function that returns an experiment's record from the score files in a folder.

    It reads each file once, and raises :class:`InputError` if the file does not exist.
    """
    folder = Path(folder)

    @functools.cache
    def read(path: Path) -> Record:
        if not path.is_file():
            raise InputError(f"{path}: this score does not exist; run the workflow to compute it")
        return read_json(path)

    def record_of(row: ExperimentRow, task: str, seed: int) -> Record:
        return read(folder / recipe_of(row).path / task / row["training"] / f"seed-{seed}.json")

    return record_of


def full_dimensions(configs: Iterable[str | Path]) -> dict[str, int]:
    """Backbone -> D, from ``{backbone}/config.json``."""
    from semantic_tokens.modeling.encoders import embedding_width

    return {Path(path).parent.name: embedding_width(Path(path).parent) for path in configs}


def describe_tasks(
    names: Iterable[str], rows: Sequence[ExperimentRow], seeds: Sequence[int], record_of: RecordOf
) -> list[ScoredTask]:
    """The tasks of these names, in this order, with their kinds and metrics from the records."""
    records = {name: record_of(rows[0], name, seeds[0]) for name in names}
    return [
        ScoredTask(name, record["kind"], record["metric"], collection_note(record))
        for name, record in records.items()
    ]


def read_scores(
    score_files: Iterable[str | Path],
    baseline_files: Iterable[str | Path],
    names: Sequence[str],
    rows: Sequence[ExperimentRow],
    runs: Trainings,
    resampling: Resampling,
) -> tuple[list[ScoredTask], Scores]:
    """The tasks of these names, and the scores of these experiments and the baselines.

    Args:
        score_files: in ``results/scores``, whose paths name the experiments.
        baseline_files: in ``results/baselines``.
    """
    folder = folder_above(score_files, "scores")
    tasks = describe_tasks(names, rows, runs.seeds, records_in(folder))
    baselines_folder = folder_above(baseline_files, "baselines")
    by_task = dict.fromkeys(names, rows)
    return tasks, scores_in(folder, baselines_folder, by_task, runs, resampling)


def collection_note(record: Record) -> str:
    """Describe the part of the collection that was searched; empty for the entire collection.

    >>> collection_note({"collection": {"distractors": 0.1}})
    'the judged passages and 10% of the other passages'
    """
    collection = record.get("collection") or {}
    parts = []
    if pool := collection.get("pool"):
        parts.append(
            f"the relevant passages, BM25's first {pool['depth']} and "
            f"{pool['random_per_language']} others per language (seed {pool['seed']})"
        )
    if (share := collection.get("distractors")) is not None:
        parts.append(f"the judged passages and {100 * share:.4g}% of the other passages")
    return ", out of ".join(parts)


def percent(name: str, oracle: str, scores: TaskScores) -> float:
    """A model's or a baseline's score as a percentage of the oracle's, both in the languages in
    which they are compared; NaN if the oracle's is 0."""
    value, best = (float(scores.draws(*pair)[0]) for pair in ((name, oracle), (oracle, name)))
    return 100 * value / best if best else math.nan
