"""Scores against the grouping ratio, the size of the word embeddings, or their dimension: a
panel a task (paper, Figures 3 to 7, 9 and 12)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from semantic_tokens.figures import style
from semantic_tokens.tables import Experiment, RecordOf, Task, recipe_of, scores_of

X_LABELS = {
    "ratio": "grouping ratio $r_G$",
    "parameters": "word-embedding parameters",
    "dimension": "word-embedding dimension $d$",
}
PANEL_WIDTH, PANEL_HEIGHT = 2.75, 2.8  # inches
LEGEND_COLUMNS = 5
CLOSEST_TICKS = {"ratio": 1.6, "dimension": 1.6, "parameters": 3.0}  # as a ratio


def draw_curves(
    shown: Mapping[str, Any],
    tasks: Sequence[Task],
    seeds: Sequence[int],
    record_of: RecordOf,
    full_dimension: Mapping[str, int],
) -> Figure:
    """A panel a task: curves solid with continual pretraining and dashed without, error bars
    of a standard deviation where seeds are several, the oracle as a line, and its bands.

    Args:
        shown: :meth:`semantic_tokens.figures.selection.Curves.as_dict`.
        full_dimension: backbone -> D.
    """
    figure = Figure(figsize=(PANEL_WIDTH * len(tasks), PANEL_HEIGHT), layout="constrained")
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    x_of = _POSITIONS[shown["x"]]
    oracle = shown["oracle"]
    for axes, task in zip(panels, tasks, strict=True):
        positions: list[float] = []
        for series in shown["series"]:
            colour, marker = style.LINES[series["colour"] % len(style.LINES)]
            points = sorted(
                (x_of(row, full_dimension), scores_of(row, [task], seeds, record_of)[task.name])
                for row in series["experiments"]
            )
            xs = [x for x, _ in points]
            positions += reversed(xs)
            spread = [0.0 if score.std is None else score.std for _, score in points]
            axes.errorbar(
                xs,
                [score.mean for _, score in points],
                yerr=spread if any(spread) else None,
                color=colour,
                marker=marker,
                markeredgecolor="white",
                markeredgewidth=0.5,
                linestyle="-" if series["pretrained"] else (0, (4, 2)),
                capsize=2.5,
            )
        _scale(axes, positions, shown["x"])
        axes.set_title(style.task_title(task))
        if oracle is not None:
            best = scores_of(oracle, [task], seeds, record_of)[task.name].mean
            axes.axhline(best, color=style.ORACLE_COLOUR, linestyle=(0, (1, 1)), linewidth=1.2)
            low, high = axes.get_ylim()
            axes.set_ylim(low, max(high, best + 0.04 * (high - low)))
            style.band_background(axes, best)
    figure.supxlabel(X_LABELS[shown["x"]], fontsize=9)
    lines = _line_handles(shown, full_dimension)
    figure.legend(
        handles=lines,
        loc="outside upper center",
        ncols=math.ceil(len(lines) / math.ceil(len(lines) / LEGEND_COLUMNS)),
        fontsize=8.5,
        handlelength=3.5,  # shows dashes beside the mark
    )
    if oracle is not None:
        bands = [
            Patch(facecolor=colour, edgecolor="#999999", linewidth=0.5, label=name)
            for (_, colour), name in zip(style.BANDS, style.BAND_NAMES, strict=True)
        ]
        title = "of the oracle:"
        figure.legend(
            handles=[Patch(alpha=0, label=title), *bands],
            loc="outside lower right",
            ncols=5,
            fontsize=8,
            handlelength=1.4,
        )
    return figure


def _ratio(row: Experiment, full_dimension: Mapping[str, int]) -> float:
    return 100 * recipe_of(row).ratio


def _dimension(row: Experiment, full_dimension: Mapping[str, int]) -> float:
    recipe = recipe_of(row)
    return recipe.dimension_number or full_dimension[recipe.backbone]


def _parameters(row: Experiment, full_dimension: Mapping[str, int]) -> float:
    """The size of the word embeddings, in percent of the backbone's own."""
    share = _dimension(row, full_dimension) / full_dimension[row["backbone"]]
    return _ratio(row, full_dimension) * share


_POSITIONS = {"ratio": _ratio, "dimension": _dimension, "parameters": _parameters}


def _scale(axes: Axes, positions: Iterable[float], x: str) -> None:
    """A log axis with a tick at each position, those too close to one before them left out."""
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
    """Two digits that matter, and all of those before the point: 100, 17, 4.2, 0.26."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _line_handles(shown: Mapping[str, Any], full_dimension: Mapping[str, int]) -> list[Any]:
    handles: list[Any] = []
    for series in shown["series"]:
        backbone = series["experiments"][0]["backbone"]
        colour, marker = style.LINES[series["colour"] % len(style.LINES)]
        name = series["label"].replace("{D}", str(full_dimension[backbone]))
        if len({s["pretrained"] for s in shown["series"]}) > 1:
            name += ", pretrained" if series["pretrained"] else ", not pretrained"
        line: Any = "-" if series["pretrained"] else (0, (4, 2))
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle=line, label=name))
    if shown["oracle"] is not None:
        name = "all subwords" if recipe_of(shown["oracle"]).is_pretrained else "oracle"
        handles.append(
            Line2D(
                [], [], color=style.ORACLE_COLOUR, linestyle=(0, (1, 1)), label=f"oracle ({name})"
            )
        )
    return handles
