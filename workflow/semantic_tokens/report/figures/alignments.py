"""Scores by the lexicons of the alignment, as bars by task (paper, Figure 11; Appendix B)."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

from matplotlib.figure import Figure

from semantic_tokens.evaluation.scores import Scores, experiment_name
from semantic_tokens.evaluation.task_scores import ScoredTask
from semantic_tokens.report.figures import style
from semantic_tokens.report.figures.scores import baseline_handles, draw_baselines, task_title

HATCHES = ("", "///", "...", "xxx", "\\\\\\", "ooo")


def draw_alignments(
    shown: Mapping[str, Any], tasks: Sequence[ScoredTask], scores: Scores
) -> Figure:
    """One panel per task and one horizontal bar per alignment, with its interval and its score.
    Chance and BM25 are lines. ° marks a score that is no better than chance.

    Args:
        shown: :meth:`semantic_tokens.study.figures.Curves.as_dict`, with one experiment per series.
    """
    bars = shown["series"]
    height = 1.2 + 0.34 * len(bars)
    figure = Figure(figsize=(2.4 * len(tasks) + 1.4, height), layout="constrained")
    panels = figure.subplots(1, len(tasks), squeeze=False, sharey=True)[0]
    for axes, task in zip(panels, tasks, strict=True):
        points = [scores.of(bar["experiments"][0], task.name) for bar in bars]
        for place, (bar, point) in enumerate(zip(bars, points, strict=True)):
            is_above = scores.is_above_chance(bar["experiments"][0], task.name)
            axes.barh(
                place,
                point.value,
                xerr=style.error_bars([point.value], [point.low], [point.high]),
                height=0.72,
                color=style.LINES[bar["colour"] % len(style.LINES)][0],
                alpha=0.75,
                hatch=HATCHES[bar["colour"] % len(HATCHES)],
                edgecolor="white",
                capsize=2,
            )
            axes.annotate(
                f"{point.value:.{task.shown_decimals}f}{'' if is_above else '°'}",
                (max(point.high, point.value), place),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        names = [experiment_name(bar["experiments"][0]) for bar in bars]
        draw_baselines(axes, scores[task.name], names, is_vertical=True)
        highest = max(max(point.high, point.value) for point in points)
        axes.set_xlim(0, 1.28 * highest or 1)
        axes.set_title(task_title(task))
        axes.tick_params(labelsize=8)
    panels[0].set_yticks(range(len(bars)), [fill(bar["label"], 24) for bar in bars])
    panels[0].invert_yaxis()
    figure.legend(
        handles=baseline_handles([scores[task.name] for task in tasks]),
        loc="outside lower right",
        ncols=2,
        fontsize=8,
    )
    return figure
