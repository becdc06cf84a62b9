"""Scores by grouping ratio, size of the word embeddings, or dimension, with one panel per task
(paper, Figures 3 to 7, 9 and 12)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from semantic_tokens.evaluation.scores import Scores, experiment_name
from semantic_tokens.evaluation.task_scores import ScoredTask
from semantic_tokens.report.figures import style
from semantic_tokens.report.figures.scores import (
    HOLLOW,
    baseline_handles,
    draw_baselines,
    task_title,
)
from semantic_tokens.study.experiments import ExperimentRow, recipe_of
from semantic_tokens.study.figures import FULL_DIMENSION

X_LABELS = {
    "ratio": "grouping ratio $r_G$",
    "parameters": "word-embedding parameters",
    "dimension": "word-embedding dimension $d$",
}
PANEL_WIDTH, PANEL_HEIGHT, LEGEND_ROW = 2.75, 2.4, 0.2  # inches
MOST_LEGEND_COLUMNS = 5
BESIDE = (
    1.02  # the distance of points with the same x, as a ratio, so that their bars do not overlap
)
CLOSEST_TICKS = {"ratio": 1.6, "dimension": 1.6, "parameters": 3.0}  # as a ratio


def draw_curves(
    shown: Mapping[str, Any],
    tasks: Sequence[ScoredTask],
    scores: Scores,
    full_dimension: Mapping[str, int],
) -> Figure:
    """One panel per task. Curves are solid with continual pretraining and dashed without; points
    have intervals. The oracle, chance and BM25 are lines. Points that do not differ from chance are
    hollow, and there are no bands below chance.

    Args:
        shown: :meth:`semantic_tokens.study.figures.Curves.as_dict`.
        full_dimension: backbone -> D.
    """
    figure = Figure(figsize=(PANEL_WIDTH * len(tasks), PANEL_HEIGHT), layout="constrained")
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    x_of = _POSITIONS[shown["x"]]
    oracle = shown["oracle"]
    for axes, task in zip(panels, tasks, strict=True):
        positions: list[float] = []
        for number, series in enumerate(shown["series"]):
            rows = sorted(series["experiments"], key=lambda row: x_of(row, full_dimension))
            xs = [x_of(row, full_dimension) for row in rows]
            positions += reversed(xs)
            aside = BESIDE ** (number - (len(shown["series"]) - 1) / 2)
            _draw_series(
                axes, [x * aside for x in xs], series, [(r, task.name) for r in rows], scores
            )
        _scale(axes, positions, shown["x"])
        axes.set_title(task_title(task))
        # A label of the entire figure would be in the place of the legend below the panels.
        axes.set_xlabel(X_LABELS[shown["x"]])
        shown_here = [experiment_name(row) for s in shown["series"] for row in s["experiments"]]
        draw_baselines(axes, scores[task.name], shown_here)
        if oracle is not None:
            best = scores.of(oracle, task.name).value
            axes.axhline(best, color=style.ORACLE_COLOUR, linestyle=(0, (1, 1)), linewidth=1.2)
            low, high = axes.get_ylim()
            axes.set_ylim(low, max(high, best + 0.04 * (high - low)))
            if scores.is_above_chance(oracle, task.name):
                chance = scores[task.name].draws("chance", experiment_name(oracle))
                style.band_background(axes, best, float(chance[0]))
    lines = _line_handles(shown, full_dimension)
    lines += baseline_handles([scores[task.name] for task in tasks])
    cells = [(row, task) for s in shown["series"] for row in s["experiments"] for task in tasks]
    if not all(scores.is_above_chance(row, task.name) for row, task in cells):
        lines.append(HOLLOW)
    legend_rows = math.ceil(len(lines) / min(MOST_LEGEND_COLUMNS, len(tasks)))
    figure.legend(
        handles=lines,
        loc="outside upper center",
        ncols=math.ceil(len(lines) / legend_rows),
        fontsize=8.5,
        handlelength=3.5,  # long enough to show dashes
    )
    if oracle is not None:
        bands = [
            Patch(facecolor=colour, edgecolor="#999999", linewidth=0.5, label=name)
            for (_, colour), name in zip(style.BANDS, style.BAND_NAMES, strict=True)
        ]
        entries = [Patch(alpha=0, label="of the oracle:"), *bands]
        columns = len(entries) if len(tasks) > 1 else 2
        legend_rows += math.ceil(len(entries) / columns)
        figure.legend(
            handles=entries,
            loc="outside lower right",
            ncols=columns,
            fontsize=8,
            handlelength=1.4,
        )
    figure.set_figheight(PANEL_HEIGHT + LEGEND_ROW * legend_rows)
    return figure


def _draw_series(
    axes: Axes,
    xs: Sequence[float],
    series: Mapping[str, Any],
    cells: Sequence[tuple[ExperimentRow, str]],
    scores: Scores,
) -> None:
    """Draw one curve: its line, the interval of each point, and its markers."""
    colour, marker = style.line(series["colour"])
    points = [scores.of(row, task) for row, task in cells]
    values = [point.value for point in points]
    axes.errorbar(
        xs,
        values,
        yerr=style.error_bars(values, [p.low for p in points], [p.high for p in points]),
        color=colour,
        linestyle="-" if series["pretrained"] else (0, (4, 2)),
        elinewidth=0.8,
        capsize=2.0,
    )
    for x, value, cell in zip(xs, values, cells, strict=True):
        is_above = scores.is_above_chance(*cell)
        axes.plot(
            [x],
            [value],
            marker=marker,
            color=colour,
            markerfacecolor=colour if is_above else "white",
            markeredgecolor="white" if is_above else colour,
            markeredgewidth=0.5 if is_above else 1.0,
        )


def _ratio(row: ExperimentRow, full_dimension: Mapping[str, int]) -> float:
    return 100 * recipe_of(row).ratio


def _dimension(row: ExperimentRow, full_dimension: Mapping[str, int]) -> float:
    recipe = recipe_of(row)
    return recipe.dimension_number or full_dimension[recipe.backbone]


def _parameters(row: ExperimentRow, full_dimension: Mapping[str, int]) -> float:
    """The size of the word embeddings, in percent of the backbone's."""
    share = _dimension(row, full_dimension) / full_dimension[row["backbone"]]
    return _ratio(row, full_dimension) * share


_POSITIONS = {"ratio": _ratio, "dimension": _dimension, "parameters": _parameters}


def _scale(axes: Axes, positions: Iterable[float], x: str) -> None:
    """A log axis with ticks at the positions, without ticks that are too close to another."""
    axes.set_xscale("log")
    ticks: list[float] = []
    for position in positions:
        if all(abs(math.log(position / tick)) >= math.log(CLOSEST_TICKS[x]) for tick in ticks):
            ticks.append(position)
    axes.xaxis.set_major_locator(FixedLocator(sorted(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    unit = "" if x == "dimension" else "%"
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_label(value) + unit))
    axes.tick_params(labelsize=8)


def tick_label(value: float) -> str:
    """Two significant digits, and all digits before the point: 100, 17, 4.2, 0.26."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _line_handles(shown: Mapping[str, Any], full_dimension: Mapping[str, int]) -> list[Any]:
    handles: list[Any] = []
    for series in shown["series"]:
        backbone = series["experiments"][0]["backbone"]
        colour, marker = style.line(series["colour"])
        name = series["label"].replace(FULL_DIMENSION, str(full_dimension[backbone]))
        if len({s["pretrained"] for s in shown["series"]}) > 1:
            name += ", pretrained" if series["pretrained"] else ", not pretrained"
        line: Any = "-" if series["pretrained"] else (0, (4, 2))
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle=line, label=name))
    if shown["oracle"] is not None:
        name = "pretrained" if recipe_of(shown["oracle"]).is_pretrained else "not pretrained"
        handles.append(
            Line2D(
                [],
                [],
                color=style.ORACLE_COLOUR,
                linestyle=(0, (1, 1)),
                label=f"oracle: all subwords, {name}",
            )
        )
    return handles
