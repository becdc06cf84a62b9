"""Control groupings compared with K-Means (not in the paper).

Random and frequency-based groups with the sizes of K-Means' groups show the cost of sharing
embeddings without regard to meaning. First-k is the paper's baseline.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from semantic_tokens.evaluation.bootstrap import ROUNDING
from semantic_tokens.evaluation.scores import Estimate, Scores, experiment_name
from semantic_tokens.evaluation.task_scores import ScoredTask, percent
from semantic_tokens.report.pages import Section, write_csv, write_page
from semantic_tokens.report.tables.table5 import (
    PERC_DECIMALS,
    REST_OF_RECIPE,
    SPREADS,
    whole_identity,
)
from semantic_tokens.study.experiments import ExperimentRow, recipe_of
from semantic_tokens.study.recipe import METHOD_NAMES

#: The method with which others are compared, at the same ratio and pretraining.
COMPARED_WITH = "kmeans-cosine"

_DIFFERENCE = "_minus_kmeans"
_IDENTITY = ("clsa", "ratio", "pretrain", "dim", *REST_OF_RECIPE)


def controls(
    rows: Sequence[ExperimentRow],
    tasks: Sequence[ScoredTask],
    scores: Scores,
    *,
    oracle: ExperimentRow,
    full_dimension: Mapping[str, int],
) -> pd.DataFrame:
    """All grouping methods by ratio, with their differences to K-Means.

    Args:
        rows: the experiments, with each recipe and training once.
        oracle: the reference for relative performance.
        full_dimension: backbone -> D.

    Returns:
        ``method``, ``clsa``, ``ratio``, ``pretrain``; ``dim``, ``alignment``, ``grouping`` and
        ``training``, as in Table 5; for each task ``{task}_{metric}``, its interval ``…_low`` and
        ``…_high``, ``…_std`` with several seeds, ``…_std_replicates`` with several replicates,
        ``…_perc``, ``…_above_chance``, and ``…_minus_kmeans``, the score minus that of unaligned
        K-Means at the same ratio, pretraining, dimension and training, with
        ``…_minus_kmeans_low`` and ``…_high``; NaN if that was not trained, and for K-Means itself.
    """
    by_name = {experiment_name(row): row for row in rows}
    lines = []
    for name, row in by_name.items():
        recipe = recipe_of(row)
        who = whole_identity(row, full_dimension)
        line: dict[str, Any] = {"method": METHOD_NAMES[recipe.grouping_without_ratio]}
        line |= {part: who[part] for part in _IDENTITY}
        plain = {"alignment": "unaligned", "grouping": f"{COMPARED_WITH}-{recipe.ratio:g}"}
        other = experiment_name({**row, **plain})
        for task in tasks:
            found = scores[task.name]
            score = found.estimate(name)
            line[task.column] = score.value
            line[f"{task.column}_low"], line[f"{task.column}_high"] = score.low, score.high
            line |= {f"{task.column}_{part}": std for part, std in score.spreads.items()}
            line[f"{task.column}_perc"] = percent(name, experiment_name(oracle), found)
            line[f"{task.column}_above_chance"] = "yes" if found.is_above_chance(name) else "no"
            if other in found and other != name:
                draws = found.draws(name) - found.draws(other)
                difference = Estimate(float(draws[0]), *found.resampling.interval(draws))
            else:
                difference = Estimate(*[float("nan")] * 3)
            column = f"{task.column}{_DIFFERENCE}"
            line[column] = difference.value
            line[f"{column}_low"], line[f"{column}_high"] = difference.low, difference.high
        lines.append(line)
    table = pd.DataFrame(lines)
    table["place"] = table["method"].map(list(METHOD_NAMES.values()).index)
    order = ["pretrain", "place", "clsa", "alignment", "training", "dim", "ratio"]
    table = table.sort_values(order, ascending=[True] * 5 + [False] * 2, kind="stable")
    return table.drop(columns="place").reset_index(drop=True)


def write_controls(
    table: pd.DataFrame,
    tasks: Sequence[ScoredTask],
    csv: str | Path,
    html: str | Path,
    *,
    title: str,
    confidence: float,
) -> None:
    """Write :func:`controls` as CSV, and as a page: scores, then differences."""
    formats: dict[str, str] = {}
    for task in tasks:
        for part in ("", _DIFFERENCE):
            for edge in ("", "_low", "_high"):
                formats[f"{task.column}{part}{edge}"] = f".{task.decimals}f"
        formats |= {f"{task.column}{part}": f".{task.decimals}f" for part in SPREADS}
        formats[f"{task.column}_perc"] = f".{PERC_DECIMALS}f"
    write_csv(table, csv, formats)
    differs = table[[f"{task.column}{_DIFFERENCE}" for task in tasks]].notna().any(axis=1)
    write_page(
        html,
        f"Does meaning matter? Controls: {title}",
        [
            "Random groups have exactly the sizes of K-Means' groups, and groups by frequency are "
            "consecutive parts of the vocabulary sorted by frequency. Both share embeddings but "
            "ignore meaning. The mean of unlike embeddings is also shorter and closer to other means "
            "than that of similar ones: a run with `grouping.embedding.method: member`, in which "
            "each group has the embedding of one member, shows how much of the difference to "
            "K-Means is due to this.",
            f"Brackets have {confidence:.0%} intervals, from a bootstrap over the test items, and "
            "with the variation between trainings if there are several. A "
            "score with ° does not differ significantly from chance. Differences are in the units "
            "of the metric, green if the entire interval is above zero and red if it is below.",
        ],
        [
            _section(table, tasks, "Scores", ""),
            _section(
                table[differs], tasks, "Minus K-Means at the same ratio", _DIFFERENCE, sign="+"
            ),
        ],
    )


def _shown_identity(table: pd.DataFrame) -> list[str]:
    """The columns that tell the rows of a page apart."""
    shown = ["method", "clsa", "ratio", "pretrain"]
    if table.loc[table["clsa"] == "yes", "alignment"].nunique() > 1:
        shown.append("alignment")
    return shown + [name for name in ("dim", "training") if table[name].nunique() > 1]


def _section(
    table: pd.DataFrame, tasks: Sequence[ScoredTask], heading: str, part: str, sign: str = ""
) -> Section:
    """A table with one text cell per task: the number and its interval."""
    shown = []
    identity, lines = _shown_identity(table), table.to_dict("records")
    for line in lines:
        cells = {name: line[name] for name in identity}
        for task in tasks:
            value, low, high = (line[f"{task.column}{part}{e}"] for e in ("", "_low", "_high"))
            numbers = [f"{number:{sign}.{task.shown_decimals}f}" for number in (value, low, high)]
            mark = "°" if not part and line[f"{task.column}_above_chance"] == "no" else ""
            cells[task.column] = f"{numbers[0]}{mark} ({numbers[1]} to {numbers[2]})"
        shown.append(cells)
    bounds = {tuple(line[name] for name in identity): line for line in lines}

    def classes(row: dict[str, Any], column: str) -> str:
        if not part or column not in {task.column for task in tasks}:
            return ""
        line = bounds[tuple(row[name] for name in identity)]
        if line[f"{column}{part}_low"] > ROUNDING:
            return "green"
        return "red" if line[f"{column}{part}_high"] < -ROUNDING else ""

    heads = {task.column: f"{task.name} ({task.metric_name})" for task in tasks}
    columns = [*identity, *heads]
    return Section(
        pd.DataFrame(shown, columns=columns), heading, "", {"ratio": ".0%"}, heads, classes
    )
