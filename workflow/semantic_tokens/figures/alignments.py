"""Scores by the lexicons of the alignment, bars by task (paper, Figure 11; Appendix B)."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

from matplotlib.figure import Figure

from semantic_tokens.figures import style
from semantic_tokens.tables import RecordOf, Task, scores_of

HATCHES = ("", "///", "...", "xxx", "\\\\\\", "ooo")


def draw_alignments(
    shown: Mapping[str, Any], tasks: Sequence[Task], seeds: Sequence[int], record_of: RecordOf
) -> Figure:
    """A panel a task, a horizontal bar an alignment, each with its score at its end.

    Args:
        shown: :meth:`semantic_tokens.figures.selection.Curves.as_dict`, an experiment a series.
    """
    bars = shown["series"]
    height = 0.9 + 0.34 * len(bars)
    figure = Figure(figsize=(2.4 * len(tasks) + 1.4, height), layout="constrained")
    panels = figure.subplots(1, len(tasks), squeeze=False, sharey=True)[0]
    for axes, task in zip(panels, tasks, strict=True):
        scores = [
            scores_of(bar["experiments"][0], [task], seeds, record_of)[task.name] for bar in bars
        ]
        for place, (bar, score) in enumerate(zip(bars, scores, strict=True)):
            axes.barh(
                place,
                score.mean,
                xerr=score.std,
                height=0.72,
                color=style.LINES[bar["colour"] % len(style.LINES)][0],
                alpha=0.75,
                hatch=HATCHES[bar["colour"] % len(HATCHES)],
                edgecolor="white",
                capsize=2,
            )
            axes.annotate(
                f"{score.mean:.{task.shown_decimals}f}",
                (score.mean + (score.std or 0), place),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        highest = max(score.mean + (score.std or 0) for score in scores)
        axes.set_xlim(0, 1.28 * highest or 1)
        axes.set_title(style.task_title(task))
        axes.tick_params(labelsize=8)
    panels[0].set_yticks(range(len(bars)), [fill(bar["label"], 24) for bar in bars])
    panels[0].invert_yaxis()
    return figure
