"""Table 5 (paper, Appendix G): the scores of all experiments, and their percentages of the oracle.

An experiment is a row of the table of experiments as plain values: ``figure``, ``table5``,
``reference``, the parts of its recipe, and ``training``. A record is the JSON of one score
(docs/architecture.md). Numbers are not rounded in data frames; only the writers round.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from semantic_tokens.errors import InputError
from semantic_tokens.evaluation.baselines import METRICS
from semantic_tokens.evaluation.scores import BASELINES, Estimate, Scores, experiment_name
from semantic_tokens.evaluation.task_scores import ScoredTask, percent
from semantic_tokens.study.experiments import ExperimentRow, recipe_of
from semantic_tokens.study.recipe import Recipe

PERC_DECIMALS = 1

#: Suffixes of columns: standard deviations over seeds and over replicates.
SPREADS = ("_std", "_std_replicates")

#: The columns in addition to :func:`identity`, which the paper's table does not need. They
#: distinguish First-k from K-Means, lexicons of alignments, and training languages.
REST_OF_RECIPE = ("alignment", "grouping", "training")
_NOTHING = Estimate(math.nan, math.nan, math.nan)


def table5(
    rows: Sequence[ExperimentRow],
    tasks: Sequence[ScoredTask],
    scores: Scores,
    full_dimension: Mapping[str, int],
) -> pd.DataFrame:
    """Table 5: one row per experiment whose ``table5`` is true, in the given order.

    Args:
        full_dimension: backbone -> D, the dimension of its word embeddings.

    Returns:
        ``figure, backbone, dim, ratio, clsa, pretrain`` (see :func:`identity`); ``alignment,
        grouping, training`` as in the table of experiments; then for each task ``{task}_{metric}``
        (mean over seeds), ``…_std`` with several seeds, ``…_std_replicates`` with several
        replicates, the interval ``…_low`` and ``…_high``, ``…_perc`` (100 · mean / mean of the
        backbone's reference in the same languages, NaN if the latter is 0), ``…_above_chance``
        (``yes`` or ``no``), and ``…_collection`` if only a part of a collection was searched
        (:func:`collection_note`).

    Raises:
        InputError: a backbone has no reference, or more than one.
    """
    references = references_of(rows)
    lines = []
    for row in rows:
        if not row["table5"]:  # a reference that is not shown
            continue
        line = whole_identity(row, full_dimension)
        for task in tasks:
            score = scores.of(row, task.name)
            name, oracle = map(experiment_name, (row, references[row["backbone"]]))
            line[task.column] = score.value
            line |= {f"{task.column}_{part}": std for part, std in score.spreads.items()}
            line[f"{task.column}_low"], line[f"{task.column}_high"] = score.low, score.high
            line[f"{task.column}_perc"] = percent(name, oracle, scores[task.name])
            is_above = scores.is_above_chance(row, task.name)
            line[f"{task.column}_above_chance"] = "yes" if is_above else "no"
            if task.collection:
                line[f"{task.column}_collection"] = task.collection
        lines.append(line)
    return pd.DataFrame(lines)


def baselines(
    tasks: Sequence[ScoredTask], scores: Scores, reference: ExperimentRow
) -> pd.DataFrame:
    """The baselines in the columns of :func:`table5`: one row for chance, and one for BM25.

    Args:
        reference: the experiment to which ``…_perc`` is relative.

    Returns:
        ``baseline``; for each task ``{task}_{metric}``, ``…_low``, ``…_high`` and ``…_perc``, NaN
        if the task has no such baseline.
    """
    lines = []
    for baseline in BASELINES:
        line: dict[str, Any] = {"baseline": baseline}
        for task in tasks:
            found = scores[task.name]
            score, share = _NOTHING, math.nan
            if baseline in found:
                score = found.estimate(baseline)
                share = percent(baseline, experiment_name(reference), found)
            line[task.column] = score.value
            line[f"{task.column}_low"], line[f"{task.column}_high"] = score.low, score.high
            line[f"{task.column}_perc"] = share
        if not all(math.isnan(line[task.column]) for task in tasks):
            lines.append(line)
    return pd.DataFrame(lines)


def columns_of(kinds: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Task -> its column of scores in :func:`table5`, and its kind, which is the paper's column.

    >>> columns_of({"miracl": "retrieval"})
    {'miracl': ('miracl_ndcg_at_10', 'retrieval')}
    """
    return {
        task: (ScoredTask(task, kind, METRICS[kind]).column, kind) for task, kind in kinds.items()
    }


def references_of(rows: Sequence[ExperimentRow]) -> dict[str, ExperimentRow]:
    """Backbone -> the reference for its relative performance.

    Raises:
        InputError: a backbone of Table 5 has no reference, or more than one.
    """
    references: dict[str, ExperimentRow] = {}
    for row in rows:
        if row["reference"] and row["backbone"] in references:
            raise InputError(
                f"backbone {row['backbone']} has more than one row with `reference` yes in the "
                "table of experiments; leave it at one"
            )
        if row["reference"]:
            references[row["backbone"]] = row
    missing = {row["backbone"] for row in rows if row["table5"]} - set(references)
    if missing:
        raise InputError(
            f"backbone {min(missing)} has no row with `reference` yes in the table of experiments; "
            "mark the row to which its scores are relative"
        )
    return references


def identity(row: ExperimentRow, full_dimension: Mapping[str, int]) -> dict[str, Any]:
    """The paper's columns that identify experiments.

    ``dim`` is d; ``ratio`` is r_G, 1.0 without grouping and None for lexicons; ``clsa`` is ``yes``,
    ``no``, or empty without grouping (the paper's dash); ``pretrain`` is ``yes`` or ``no``.
    """
    recipe = recipe_of(row)
    return {
        "figure": row["figure"],
        "backbone": recipe.backbone,
        "dim": recipe.dimension_number or full_dimension[recipe.backbone],
        "ratio": None if recipe.grouping_method == "lexicon" else recipe.ratio,
        "clsa": _clsa(recipe),
        "pretrain": "yes" if recipe.is_pretrained else "no",
    }


def whole_identity(row: ExperimentRow, full_dimension: Mapping[str, int]) -> dict[str, Any]:
    """The columns of :func:`identity` and :data:`REST_OF_RECIPE`."""
    return identity(row, full_dimension) | {part: row[part] for part in REST_OF_RECIPE}


def _clsa(recipe: Recipe) -> str:
    if recipe.is_aligned:
        return "yes"
    return "" if recipe.grouping_method == "ungrouped" else "no"


def by_language(
    rows: Sequence[ExperimentRow],
    tasks: Sequence[ScoredTask],
    scores: Scores,
    full_dimension: Mapping[str, int],
) -> pd.DataFrame:
    """The scores of :func:`table5` in every language, one per row (not in the paper).

    Returns:
        The columns of :func:`whole_identity`; ``task``, ``metric``,
        ``language``, ``value``, ``std`` with several seeds, ``std_replicates`` with several
        replicates, the interval ``low`` and ``high``, ``above_chance`` (``yes`` or ``no``), the
        ``count`` of test items, and ``collection`` if only a part of one was searched.
    """
    lines = []
    for row in rows:
        if not row["table5"]:  # a reference that is not shown
            continue
        who = whole_identity(row, full_dimension)
        for task in tasks:
            found = scores[task.name]
            name = experiment_name(row)
            for language in found.languages:
                score = found.in_language(name, language)
                line = who | {"task": task.name, "metric": task.metric, "language": language}
                line["value"] = score.value
                line |= score.spreads
                line |= {"low": score.low, "high": score.high}
                line["above_chance"] = "yes" if found.is_above_chance(name, language) else "no"
                line["count"] = found.counts[language]
                if task.collection:
                    line["collection"] = task.collection
                lines.append(line)
    return pd.DataFrame(lines)
