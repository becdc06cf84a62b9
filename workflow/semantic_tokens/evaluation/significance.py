"""Significance tests of differences between models (not in the paper).

They use the paired bootstrap of :mod:`semantic_tokens.evaluation.bootstrap`: each sample draws the
same test items for both models. Several trainings add their variation.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from tqdm import tqdm

from semantic_tokens.evaluation.bootstrap import Resampling
from semantic_tokens.evaluation.scores import (
    ItemsOf,
    TaskScores,
    Trainings,
    experiment_name,
    languages_trained_on,
    read_runs,
)
from semantic_tokens.study.experiments import ExperimentRow
from semantic_tokens.study.recipe import PATTERNS

COLUMNS = (
    "task",
    "compared",
    "first",
    "second",
    "first_score",
    "second_score",
    "difference",
    "low",
    "high",
    "p",
    "p_adjusted",
)

#: A comparison with the reference experiment, with any differences.
TO_REFERENCE = "reference"


@dataclass(frozen=True)
class Comparison:
    """Two experiments, as indices of rows, and the part of the recipe in which they differ."""

    first: int
    second: int
    compared: str


def comparisons(rows: Sequence[ExperimentRow]) -> list[Comparison]:
    """All pairs of experiments that differ in exactly one part of the recipe, and all experiments
    with their backbone's reference.

    Args:
        rows: the experiments, with each recipe and training once.
    """
    parts = [*PATTERNS, "training"]
    pairs = []
    for first, second in itertools.combinations(range(len(rows)), 2):
        differing = [part for part in parts if rows[first][part] != rows[second][part]]
        # Backbones differ in vocabularies and often in layers, which is not an operation.
        if len(differing) == 1 and differing != ["backbone"]:
            pairs.append(Comparison(first, second, differing[0]))
    references = {row["backbone"]: i for i, row in enumerate(rows) if row["reference"]}
    for index, row in enumerate(rows):
        reference = references.get(row["backbone"])
        if reference is not None and reference != index:
            pairs.append(Comparison(index, reference, TO_REFERENCE))
    return pairs


def significance(
    rows_by_task: Mapping[str, Sequence[ExperimentRow]],
    runs: Trainings,
    items_of: ItemsOf,
    resampling: Resampling,
) -> pd.DataFrame:
    """Every comparison of :func:`comparisons`, in every task.

    Args:
        rows_by_task: task -> its experiments. Among experiments with the same recipe and training,
            the first represents all; it is a reference if one of them is.
        runs: the trainings; a score is their mean.

    Returns:
        :data:`COLUMNS`. ``compared`` is the part of the recipe that differs, or ``reference``;
        ``difference`` is first minus second in the units of the metric, ``low`` and ``high`` its
        interval, ``p`` is from :meth:`Resampling.p_of_no_difference`, and ``p_adjusted`` is
        corrected with Benjamini and Hochberg over the task's comparisons of one kind.
    """
    from scipy.stats import false_discovery_control

    frames = []
    for task, given in tqdm(rows_by_task.items(), desc="paired bootstrap", unit="task"):
        rows = _each_once(given)
        names = [experiment_name(row) for row in rows]
        models = {
            name: read_runs(items_of, row, task, runs)
            for name, row in zip(names, rows, strict=True)
        }
        scores = TaskScores(task, models, resampling, runs.replicates, languages_trained_on(rows))
        lines: list[dict[str, Any]] = []
        for pair in comparisons(rows):
            first, second = names[pair.first], names[pair.second]
            of_first, of_second = scores.draws(first, second), scores.draws(second, first)
            differences = of_first - of_second
            low, high = resampling.interval(differences)
            lines.append(
                {
                    "task": task,
                    "compared": pair.compared,
                    "first": first,
                    "second": second,
                    "first_score": of_first[0],
                    "second_score": of_second[0],
                    "difference": differences[0],
                    "low": low,
                    "high": high,
                    "p": resampling.p_of_no_difference(differences),
                }
            )
        if lines:
            frame = pd.DataFrame(lines)
            frame["p_adjusted"] = frame.groupby("compared")["p"].transform(
                lambda values: false_discovery_control(values, method="bh")
            )
            frames.append(frame)
    if not frames:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(frames, ignore_index=True)[list(COLUMNS)]


def side_by_side(table: pd.DataFrame, compared: str) -> pd.DataFrame:
    """The comparisons of one kind, in a compact form.

    Returns:
        the table without ``compared``. ``experiment`` is the common part of both experiments, with
        ``*`` for the difference, which is in ``first`` and ``second``. In comparisons with the
        reference, only the first is named.
    """
    part = table[table["compared"] == compared].drop(columns="compared")
    if compared == TO_REFERENCE:
        return part.drop(columns="second").rename(columns={"first": "experiment"})
    place = [*PATTERNS, "training"].index(compared)
    split = {side: [path.split("/") for path in part[side]] for side in ("first", "second")}
    shared = ["/".join([*p[:place], "*", *p[place + 1 :]]) for p in split["first"]]
    sides = {side: [path[place] for path in paths] for side, paths in split.items()}
    wide = part.assign(experiment=shared, **sides)
    return wide[["task", "experiment", *(c for c in part if c != "task")]]


def _each_once(rows: Sequence[ExperimentRow]) -> list[ExperimentRow]:
    kept: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        identity = tuple(row[part] for part in [*PATTERNS, "training"])
        first = kept.setdefault(identity, dict(row))
        first["reference"] = first["reference"] or row["reference"]
    return list(kept.values())
