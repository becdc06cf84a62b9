"""The loss on held-out text by grouping ratio (not in the paper)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from semantic_tokens.report.figures import style
from semantic_tokens.report.tables.held_out import ALL


def draw_held_out(table: pd.DataFrame, backbone: str) -> Figure:
    """Two panels by ratio: the loss with its interval, and the difference to a guess from the
    groups' frequencies. There is one curve per method, alignment and dimension.

    Args:
        table: from :func:`semantic_tokens.report.tables.held_out.held_out_losses`.
        backbone: the backbone of the curves.
    """
    shown = table[(table["language"] == ALL) & (table["backbone"] == backbone)]
    shown = shown[shown["ratio"].notna()]
    full = shown["dim"].max()
    figure = Figure(figsize=(8.2, 3.4), layout="constrained")
    if shown.empty:
        figure.text(0.5, 0.5, "no text was held out", ha="center")
        return figure
    left, right = figure.subplots(1, 2)
    ungrouped = shown[shown["ratio"] == 1]
    grouped = shown[shown["ratio"] < 1]
    for number, (key, curve) in enumerate(grouped.groupby(["method", "clsa", "dim"], sort=False)):
        method, clsa, dim = key
        label = method + (" after CLSA" if clsa == "yes" else "")
        label += "" if dim == full else f", d = {dim}"
        top = ungrouped[(ungrouped["dim"] == dim) & (ungrouped["clsa"] == clsa)]
        top = top if len(top) else ungrouped[ungrouped["dim"] == dim]
        points = pd.concat([curve, top[:1]]).sort_values("ratio")
        colour, marker = style.LINES[number % len(style.LINES)]
        xs, loss = 100 * points["ratio"], points["loss"]
        left.errorbar(
            xs,
            loss,
            yerr=style.error_bars(loss, points["low"], points["high"]),
            color=colour,
            marker=marker,
            label=label,
            capsize=2,
            elinewidth=0.8,
        )
        right.plot(xs, points["gain"], color=colour, marker=marker)
    left.set_ylabel("loss (nats per masked token)")
    right.set_ylabel("nats saved over a guess by frequency")
    for axes in (left, right):
        _scale(axes, sorted(100 * shown["ratio"].unique()))
    figure.supxlabel("grouping ratio $r_G$", fontsize=9)
    figure.legend(loc="outside upper center", ncols=3, fontsize=8.5)
    return figure


def _scale(axes: Axes, ratios: list[float]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ratios))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}%"))
    axes.tick_params(labelsize=8)
