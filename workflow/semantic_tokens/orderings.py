"""Whether the paper's four orderings appear in a set of scores (paper, section 4.1, Figures 3, 4).

1. ``falls with the ratio``: the fewer the semantic tokens, the lower the score.
2. ``pretraining helps``: continual pretraining raises the scores of grouped models.
3. ``alignment helps``: so does cross-lingual subword alignment, at a ratio of 5%.
4. ``first-k falls fastest``: keeping the first k subwords loses more than grouping all of them.

Each is a number of comparisons, of curves or of pairs, every one with a statistic that is
positive where it points the paper's way. An ordering holds for a task if at least half of its
comparisons hold and the mean of their statistics is positive. By this rule the first three hold
for every task in the paper's own Table 5. All compare means over seeds, and none is a test of
significance.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from semantic_tokens.files import whole
from semantic_tokens.pages import Section, write_page
from semantic_tokens.recipe import PATTERNS, Recipe
from semantic_tokens.tables import Experiment, RecordOf, Task, recipe_of

COLUMNS = ("ordering", "task", "comparison", "holds", "measure", "statistic", "detail")

#: The comparison of the line that carries an ordering's verdict.
ALL = "all"

ALIGNMENT_RATIO = 0.05


class Point(NamedTuple):
    """What was trained, on what: experiments of several figures may share a point."""

    recipe: Recipe
    training: str

    def differing(self, **parts: str) -> "Point":
        """The same but for these parts of the recipe."""
        return Point(replace(self.recipe, **parts), self.training)

    def name(self, **parts: str) -> str:
        """Its path among the scores, with these parts as given."""
        shown = {part: getattr(self.recipe, part) for part in PATTERNS} | parts
        return "/".join([*shown.values(), self.training])

    @property
    def method(self) -> str:
        """The grouping without its ratio: ``kmeans-cosine``, ``firstk``, ``ungrouped`` …"""
        return self.recipe.grouping_without_ratio


Values = Mapping[Point, float]  # the scores of one task
Curve = dict[float, float]  # ratio -> score, the ungrouped model at 1.0


@dataclass(frozen=True)
class Comparison:
    """One curve, or pair of experiments or of curves, and whether it is ordered as in the paper."""

    name: str
    holds: bool
    statistic: float
    detail: str


def orderings(
    rows: Sequence[Experiment], tasks: Sequence[Task], seeds: Sequence[int], record_of: RecordOf
) -> pd.DataFrame:
    """Judge the four orderings for every task.

    Args:
        rows: all experiments, and not Table 5's alone, which lack First-k.

    Returns:
        Text in :data:`COLUMNS`: for every task and ordering a line a comparison, and last the
        verdict, whose ``comparison`` is ``all``. ``holds`` is ``yes``, ``no`` or, where the
        experiments it needs are not among the rows, ``not measured``. ``statistic`` is in
        the units of the task's metric where it is not a correlation.
    """
    points = [Point(recipe_of(row), row["training"]) for row in rows]
    scores = [
        {
            t.name: statistics.fmean(record_of(row, t.name, seed)["value"] for seed in seeds)
            for t in tasks
        }
        for row in rows
    ]
    lines = []
    for task in tasks:
        values = {p: score[task.name] for p, score in zip(points, scores, strict=True)}
        lines += _judge(
            "falls with the ratio",
            task,
            falls_with_ratio(values),
            "Kendall's tau-b of ratio and score",
            "needs K-Means at three ratios, the ungrouped model among them",
        )
        lines += _judge(
            "pretraining helps",
            task,
            pretraining_helps(values),
            "score with pretraining minus without",
            "needs K-Means experiments with and without pretraining",
        )
        lines += _judge(
            "alignment helps",
            task,
            alignment_helps(values),
            "score with alignment minus without",
            f"needs K-Means experiments at {_percent(ALIGNMENT_RATIO)} with and without alignment",
        )
        lines += _judge(
            "first-k falls fastest",
            task,
            first_k_falls_fastest(values),
            "what First-k loses minus what K-Means loses",
            "needs First-k and K-Means at the same ratio, and the ungrouped model",
        )
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _judge(
    ordering: str, task: Task, comparisons: Sequence[Comparison], measure: str, needs: str
) -> list[tuple[str, ...]]:
    """The lines of one ordering and task: its comparisons, then the verdict over them."""

    def line(comparison: str, holds: str, statistic: str, detail: str) -> tuple[str, ...]:
        return (ordering, task.name, comparison, holds, measure, statistic, detail)

    if not comparisons:
        return [line(ALL, "not measured", "", needs)]
    held = sum(c.holds for c in comparisons)
    mean = statistics.fmean(c.statistic for c in comparisons)
    holds = mean > 0 and 2 * held >= len(comparisons)
    lowest = min(comparisons, key=lambda c: c.statistic)
    detail = f"{held} of {len(comparisons)} hold; lowest {lowest.statistic:.4f}: {lowest.name}"
    return [
        *(line(c.name, _yes(c.holds), f"{c.statistic:.4f}", c.detail) for c in comparisons),
        line(ALL, _yes(holds), f"{mean:.4f}", detail),
    ]


def write_orderings(lines: pd.DataFrame, path: str | Path) -> None:
    """Write :func:`orderings` as CSV."""
    with whole(path) as partial:
        lines.to_csv(partial, index=False, lineterminator="\n", encoding="utf-8")


def write_orderings_page(lines: pd.DataFrame, path: str | Path, *, title: str) -> None:
    """Write :func:`orderings` as a page: the verdicts, then what they are over."""
    verdicts = lines[lines["comparison"] == ALL].drop(columns="comparison")
    wide = verdicts.pivot_table("holds", "ordering", "task", "first", sort=False).reset_index()
    sections = [
        Section(wide, "Do they hold?"),
        Section(verdicts, "By how much"),
        Section(lines[lines["comparison"] != ALL], "Every comparison"),
    ]
    note = (
        "An ordering holds for a task if at least half of its comparisons hold and the mean of "
        "their statistics is positive, the paper's way. It is no test of significance."
    )
    write_page(path, f"The paper's orderings: {title}", [note], sections)


def falls_with_ratio(values: Values) -> list[Comparison]:
    """Each K-Means curve of three ratios or more, the ungrouped model at 100% among them.

    It holds if no step to a smaller ratio raises the score, and the last score is below the
    first. The statistic is Kendall's tau-b of ratio and score, 0 where all scores are equal.
    """
    from scipy.stats import kendalltau

    comparisons = []
    for method in ("kmeans-cosine", "kmeans-euclidean"):
        for start, curve in _curves(values, method).items():
            if len(curve) < 3 or 1.0 not in curve:
                continue
            ratios = sorted(curve, reverse=True)
            scores = [curve[ratio] for ratio in ratios]
            is_flat = min(scores) == max(scores)
            tau = 0.0 if is_flat else float(kendalltau(ratios, scores).statistic)
            rises = [
                f"{_percent(lower)} is {curve[lower] - curve[upper]:.4f} above {_percent(upper)}"
                for upper, lower in pairwise(ratios)
                if curve[lower] > curve[upper]
            ]
            ends = f"from {scores[0]:.4f} at 100% to {scores[-1]:.4f} at {_percent(ratios[-1])}"
            comparisons.append(
                Comparison(
                    name=start.name(grouping=method),
                    holds=not rises and scores[-1] < scores[0],
                    statistic=tau,
                    detail="; ".join([ends, *rises]),
                )
            )
    return comparisons


def pretraining_helps(values: Values) -> list[Comparison]:
    """Each pair of K-Means experiments that differ in continual pretraining alone."""
    return [
        _pair(values, point, without)
        for point in values
        if point.recipe.grouping_method == "kmeans"
        and point.recipe.is_pretrained
        and (without := point.differing(pretraining="asis")) in values
    ]


def alignment_helps(values: Values) -> list[Comparison]:
    """Each pair of K-Means experiments at a ratio of 5% that differ in alignment alone."""
    return [
        _pair(values, point, without)
        for point in values
        if point.recipe.grouping_method == "kmeans"
        and point.recipe.ratio == ALIGNMENT_RATIO
        and point.recipe.is_aligned
        and (without := point.differing(alignment="unaligned")) in values
    ]


def _pair(values: Values, point: Point, without: Point) -> Comparison:
    difference = values[point] - values[without]
    return Comparison(
        name=point.name(),
        holds=difference > 0,
        statistic=difference,
        detail=f"{values[point]:.4f} with, {values[without]:.4f} without",
    )


def first_k_falls_fastest(values: Values) -> list[Comparison]:
    """Each First-k curve against cosine K-Means on the same backbone, operations and training.

    It holds if First-k is above K-Means at none of the ratios that both have, and loses more
    from the ungrouped model to the smallest of them.
    """
    grouped_curves = _curves(values, "kmeans-cosine")
    comparisons = []
    for start, first_k in _curves(values, "firstk").items():
        grouped = grouped_curves.get(start, {})
        ratios = sorted((first_k.keys() & grouped.keys()) - {1.0}, reverse=True)
        if not ratios or 1.0 not in first_k:
            continue
        smallest = ratios[-1]
        first_k_loss, grouped_loss = (c[1.0] - c[smallest] for c in (first_k, grouped))
        above = [
            f"First-k is {first_k[ratio] - grouped[ratio]:.4f} above at {_percent(ratio)}"
            for ratio in ratios
            if first_k[ratio] > grouped[ratio]
        ]
        losses = f"to {_percent(smallest)} First-k loses {first_k_loss:.4f}, "
        losses += f"K-Means {grouped_loss:.4f}"
        comparisons.append(
            Comparison(
                name=start.name(grouping="firstk"),
                holds=not above and first_k_loss > grouped_loss,
                statistic=first_k_loss - grouped_loss,
                detail="; ".join([losses, *above]),
            )
        )
    return comparisons


def _curves(values: Values, method: str) -> dict[Point, Curve]:
    """The curves of one method of grouping, each under the point that it starts from at 100%.

    Where the ungrouped model was not trained with the curve's alignment, as in the paper's
    Figures 4 and 5, the unaligned one stands at 1.0; where neither was, nothing does.
    """
    curves: dict[Point, Curve] = {}
    for point, value in values.items():
        if point.method == method:
            start = point.differing(grouping="ungrouped")
            curves.setdefault(start, {})[point.recipe.ratio] = value
    for start, curve in curves.items():
        for ungrouped in (start, start.differing(alignment="unaligned")):
            if ungrouped in values:
                curve.setdefault(1.0, values[ungrouped])
    return curves


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.4g}%"


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"
