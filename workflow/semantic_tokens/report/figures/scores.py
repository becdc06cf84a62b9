"""Common parts of the figures of scores: titles of tasks, and lines for chance and BM25."""

from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from semantic_tokens.evaluation.scores import TaskScores
from semantic_tokens.evaluation.task_scores import BASELINE_NAMES, ScoredTask

#: The lines of baselines.
BASELINE_LINES: dict[str, dict[str, Any]] = {
    "chance": {"color": "#555555", "linestyle": (0, (1, 1.5)), "linewidth": 1.0},
    "bm25": {"color": "#555555", "linestyle": (0, (5, 1.5, 1, 1.5)), "linewidth": 1.0},
}
#: The legend entry for points that do not differ from chance.
HOLLOW = Line2D(
    [], [], color="#555555", marker="o", markerfacecolor="white", markersize=6, linestyle="none",
    label="no better than chance",
)  # fmt: skip


def task_title(task: ScoredTask) -> str:
    title = f"{task.name} ({task.metric_name})"
    return f"{title}\nin a part of the collection" if task.collection else title


def draw_baselines(
    axes: Axes, scores: TaskScores, experiments: Iterable[str], *, is_vertical: bool = False
) -> None:
    """Draw chance, and BM25 if the task has it, as lines: their scores in the languages of the
    experiments."""
    shown = list(experiments)
    draw = axes.axvline if is_vertical else axes.axhline
    for name, line in BASELINE_LINES.items():
        if name in scores:
            draw(float(scores.draws(name, *shown)[0]), zorder=1, **line)


def baseline_handles(scores: Sequence[TaskScores]) -> list[Line2D]:
    """The legend entries of the lines from :func:`draw_baselines`."""
    return [
        Line2D([], [], label=BASELINE_NAMES[name], **line)
        for name, line in BASELINE_LINES.items()
        if any(name in task for task in scores)
    ]
