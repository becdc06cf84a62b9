"""Whether two models differ by more than their test items' luck (the paper has no such test).

By the paired bootstrap of :mod:`semantic_tokens.evaluation.bootstrap`: test items are drawn anew, the same
ones for both models. Where there are several seeds, these are drawn too.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from tqdm import tqdm

from semantic_tokens.evaluation.bootstrap import (
    Experiment,
    ItemsOf,
    Resampling,
    Runs,
    TaskScores,
    bootstrap_p,
    experiment_name,
    read_runs,
)
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

#: A comparison with the experiment that relative performance is to, whatever they differ in.
TO_REFERENCE = "reference"


@dataclass(frozen=True)
class Comparison:
    """Two experiments, as positions among the rows, and the part of the recipe they differ in."""

    first: int
    second: int
    compared: str


def comparisons(rows: Sequence[Experiment]) -> list[Comparison]:
    """Every pair of experiments that differ in one part of the recipe alone, and every
    experiment with its backbone's reference.

    Args:
        rows: each recipe and training once.
    """
    parts = [*PATTERNS, "training"]
    pairs = []
    for first, second in itertools.combinations(range(len(rows)), 2):
        differing = [part for part in parts if rows[first][part] != rows[second][part]]
        # Two backbones have other vocabularies, and often other layers: no operation.
        if len(differing) == 1 and differing != ["backbone"]:
            pairs.append(Comparison(first, second, differing[0]))
    references = {row["backbone"]: i for i, row in enumerate(rows) if row["reference"]}
    for index, row in enumerate(rows):
        reference = references.get(row["backbone"])
        if reference is not None and reference != index:
            pairs.append(Comparison(index, reference, TO_REFERENCE))
    return pairs


def significance(
    rows_by_task: Mapping[str, Sequence[Experiment]],
    runs: Runs,
    items_of: ItemsOf,
    resampling: Resampling,
) -> pd.DataFrame:
    """Every comparison of :func:`comparisons`, in every task.

    Args:
        rows_by_task: task -> the experiments that have it; of those with the same recipe and
            training the first stands for all, and is a reference if one of them is.
        runs: of the trainings; a score is their mean.

    Returns:
        :data:`COLUMNS`. ``compared`` is the part of the recipe that differs, or ``reference``;
        ``difference`` is first minus second in the units of the metric, ``low`` and ``high`` its
        interval by percentiles, ``p`` as :func:`bootstrap_p`, and ``p_adjusted`` after Benjamini
        and Hochberg over the task's comparisons of one kind.
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
        scores = TaskScores(task, models, resampling, runs.replicates)
        lines: list[dict[str, Any]] = []
        for pair in comparisons(rows):
            first, second = names[pair.first], names[pair.second]
            differences = scores.draws(first) - scores.draws(second)
            low, high = resampling.interval(differences)
            lines.append(
                {
                    "task": task,
                    "compared": pair.compared,
                    "first": first,
                    "second": second,
                    "first_score": scores.draws(first)[0],
                    "second_score": scores.draws(second)[0],
                    "difference": differences[0],
                    "low": low,
                    "high": high,
                    "p": bootstrap_p(differences[1:]),
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
    """The comparisons of one kind, with what two experiments share said once.

    Returns:
        without ``compared``; ``experiment`` is what both are, with ``*`` for what differs, which
        ``first`` and ``second`` say. Where the second is the reference, only the first is told.
    """
    part = table[table["compared"] == compared].drop(columns="compared")
    if compared == TO_REFERENCE:
        return part.drop(columns="second").rename(columns={"first": "experiment"})
    place = [*PATTERNS, "training"].index(compared)
    split = {side: [path.split("/") for path in part[side]] for side in ("first", "second")}
    shared = ["/".join([*p[:place], "*", *p[place + 1 :]]) for p in split["first"]]
    told = {side: [path[place] for path in paths] for side, paths in split.items()}
    wide = part.assign(experiment=shared, **told)
    return wide[["task", "experiment", *(c for c in part if c != "task")]]


def _each_once(rows: Sequence[Experiment]) -> list[Experiment]:
    kept: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        identity = tuple(row[part] for part in [*PATTERNS, "training"])
        first = kept.setdefault(identity, dict(row))
        first["reference"] = first["reference"] or row["reference"]
    return list(kept.values())
