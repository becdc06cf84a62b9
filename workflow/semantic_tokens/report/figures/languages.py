"""Whether grouping hurts the same languages in two tasks (paper, Figure 10; Appendix C)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from semantic_tokens.evaluation.scores import Scores, experiment_name
from semantic_tokens.evaluation.task_scores import ScoredTask
from semantic_tokens.report.figures import style
from semantic_tokens.study.experiments import ExperimentRow, recipe_of
from semantic_tokens.study.figures import FEWEST_LANGUAGES, PAIRS, language_pairs


class Correlation(NamedTuple):
    """Pearson's ρ over languages and its p-value against ρ ≤ 0; NaN where it is undefined."""

    rho: float
    p_value: float
    languages: int


def task_pairs(tasks: Iterable[ScoredTask]) -> list[tuple[str, ScoredTask, ScoredTask]]:
    """The :func:`language_pairs` of these tasks, the first task of each kind."""
    of_kind: dict[str, ScoredTask] = {}
    for task in tasks:
        of_kind.setdefault(task.kind, task)
    return [(group, of_kind[a], of_kind[b]) for group, a, b in language_pairs(of_kind)]


def relative_drops(
    row: ExperimentRow, oracle: ExperimentRow, task: ScoredTask, scores: Scores
) -> dict[str, float]:
    """Language -> (oracle - score) / oracle, from means over seeds, without languages in which the
    oracle scores 0."""
    found = scores[task.name]
    best, ours = (
        {code: found.in_language(experiment_name(e), code).value for code in found.languages}
        for e in (oracle, row)
    )
    return {code: (best[code] - ours[code]) / best[code] for code in sorted(best) if best[code]}


def correlate(first: Mapping[str, float], second: Mapping[str, float]) -> Correlation:
    """Pearson's correlation over common languages, one-tailed."""
    from scipy.stats import pearsonr

    shared = sorted(first.keys() & second.keys())
    xs, ys = [first[code] for code in shared], [second[code] for code in shared]
    if len(shared) < FEWEST_LANGUAGES or len(set(xs)) == 1 or len(set(ys)) == 1:
        return Correlation(math.nan, math.nan, len(shared))
    found = pearsonr(xs, ys, alternative="greater")
    return Correlation(float(found.statistic), float(found.pvalue), len(shared))


def adjusted(p_values: np.ndarray) -> np.ndarray:
    """p-values corrected for their number (Benjamini and Hochberg 1995); NaN remains NaN."""
    from scipy.stats import false_discovery_control

    corrected = np.full_like(p_values, math.nan)
    is_there = ~np.isnan(p_values)
    if is_there.any():
        corrected[is_there] = false_discovery_control(p_values[is_there], method="bh")
    return corrected


def draw_correlations(
    rows: Sequence[ExperimentRow],
    oracle: ExperimentRow,
    tasks: Sequence[ScoredTask],
    scores: Scores,
) -> Figure:
    """Three heatmaps: ρ, p, and p corrected for all tests of the figure. There is one row per pair
    of tasks and one column per ratio. A note names tasks that are left out, because the drops of an
    oracle at chance have no meaning.

    Args:
        rows: one experiment per grouping ratio.
    """
    rows = sorted(rows, key=lambda row: recipe_of(row).ratio)
    compared = [task for task in tasks if any(task.kind in pair for _, *pair in PAIRS)]
    at_chance = [t.name for t in compared if not scores.is_above_chance(oracle, t.name)]
    pairs = task_pairs(task for task in compared if task.name not in at_chance)
    note = f"left out, as their oracle is at chance: {', '.join(at_chance)}" if at_chance else ""
    if not pairs:
        figure = Figure(figsize=(6, 1.5))
        figure.text(0.5, 0.5, f"no pairs of tasks\n{note}", ha="center", va="center")
        return figure
    found = [
        [correlate(*(relative_drops(row, oracle, t, scores) for t in pair)) for row in rows]
        for _, *pair in pairs
    ]
    names = [
        f"{group}:  {a.name} / {b.name}  ({max(c.languages for c in line)} languages)"
        for (group, a, b), line in zip(pairs, found, strict=True)
    ]
    ratios = [f"{100 * recipe_of(row).ratio:.3g}%" for row in rows]
    size = (2.4 + 2.25 * len(rows), 0.9 + 0.42 * len(pairs))
    figure = Figure(figsize=size, layout="constrained")
    left, middle, right = figure.subplots(1, 3, sharey=True)
    rho = np.array([[c.rho for c in line] for line in found])
    p_values = np.array([[c.p_value for c in line] for line in found])
    ends = [n for n in range(1, len(pairs)) if pairs[n][0] != pairs[n - 1][0]]
    # In all heatmaps, darker is stronger.
    _heatmap(left, rho, "Blues", (-1.0, 1.0), "Pearson's ρ", ratios, ends)
    _heatmap(middle, p_values, "Oranges_r", (0.0, 1.0), "one-tailed p", ratios, ends)
    title = f"p, corrected for {np.count_nonzero(~np.isnan(p_values))} tests"
    _heatmap(right, adjusted(p_values), "Oranges_r", (0.0, 1.0), title, ratios, ends)
    left.set_yticks(range(len(names)), names)
    figure.supxlabel(f"grouping ratio $r_G$\n{note}".strip(), fontsize=9)
    return figure


def _heatmap(
    axes: Axes,
    values: np.ndarray,
    colours: str,
    limits: tuple[float, float],
    title: str,
    ratios: Sequence[str],
    ends: Sequence[int],
) -> None:
    """
    Args:
        ends: the row numbers after which groups of pairs end.
    """

    def text(value: float) -> str:
        return "<.01" if 0 <= value < 0.01 and limits[0] == 0 else style.signed(value)

    style.heatmap(axes, values, ratios, text, colours, limits)
    for end in ends:
        axes.axhline(end - 0.5, color="white", linewidth=4)
    axes.set_title(title)
