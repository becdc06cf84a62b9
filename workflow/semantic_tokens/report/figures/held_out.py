"""The loss on held-out text by grouping ratio (not in the paper)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from semantic_tokens.report.figures import style
from semantic_tokens.report.tables.held_out import ALL
from semantic_tokens.study.figures import alignment_name
from semantic_tokens.study.recipe import Recipe

NOTHING = "no text was held out"


def draw_held_out(table: pd.DataFrame, backbone: str) -> Figure:
    """Two panels by ratio: the loss with its interval, and the difference to a guess from the
    groups' frequencies. There is one curve per method, alignment and dimension.

    Alignments with a single ratio belong to another figure, and are left out if any alignment has
    more.

    Args:
        table: from :func:`semantic_tokens.report.tables.held_out.held_out_losses`.
        backbone: the backbone of the curves.
    """
    shown = table[(table["language"] == ALL) & (table["backbone"] == backbone)]
    shown = shown[shown["ratio"].notna()]
    full = shown["dim"].max()
    figure = Figure(figsize=(8.2, 3.4), layout="constrained")
    if shown.empty:
        figure.text(0.5, 0.5, NOTHING, ha="center")
        return figure
    left, right = figure.subplots(1, 2)
    ungrouped = shown[shown["ratio"] == 1]
    grouped = _with_curves(shown[shown["ratio"] < 1])
    several = _has_several_alignments(grouped)
    for number, (key, curve) in enumerate(
        grouped.groupby(["method", "alignment", "dim"], sort=False)
    ):
        method, alignment, dim = key
        top = _end_of_curve(ungrouped[ungrouped["dim"] == dim], alignment)
        points = pd.concat([curve, top]).sort_values("ratio")
        again, place = divmod(number, len(style.LINES))
        colour, marker = style.LINES[place]
        for axes, column, low, high in (
            (left, "loss", "low", "high"),
            (right, "gain", "gain_low", "gain_high"),
        ):
            axes.errorbar(
                100 * points["ratio"],
                points[column],
                yerr=style.error_bars(points[column], points[low], points[high]),
                color=colour,
                marker=marker,
                linestyle=(0, (4, 2)) if again else "-",
                label=_variant(method, alignment, dim, full, several),
                capsize=2,
                elinewidth=0.8,
            )
    left.set_ylabel("loss (nats per masked token)")
    right.set_ylabel("gain over a guess by frequency")
    for axes in (left, right):
        _scale(axes, sorted(100 * shown["ratio"].unique()))
    figure.supxlabel("grouping ratio $r_G$", fontsize=9)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8.5)
    return figure


def draw_held_out_by_language(table: pd.DataFrame, backbone: str) -> Figure:
    """A heatmap of the gain over a guess from the groups' frequencies: one row per model, and one
    column per language.

    Args:
        table, backbone: as in :func:`draw_held_out`.
    """
    shown = table[(table["language"] != ALL) & (table["backbone"] == backbone)]
    full = shown["dim"].max()
    several = _has_several_alignments(shown)
    names = [
        _variant(line.method, line.alignment, line.dim, full, several)
        + ("" if pd.isna(line.ratio) or line.ratio == 1 else f", {100 * line.ratio:.3g}%")
        for line in shown.itertuples()
    ]
    wide = shown.assign(model=names).pivot_table("gain", "model", "language", sort=False)
    figure = Figure(
        figsize=(2.6 + 0.5 * max(4, wide.shape[1]), 1.0 + 0.27 * max(2, len(wide))),
        layout="constrained",
    )
    if shown.empty:
        figure.text(0.5, 0.5, NOTHING, ha="center")
        return figure
    axes = figure.subplots()
    largest = float(wide.abs().max().max())  # zero has the colour in the middle
    style.heatmap(axes, wide.to_numpy(), list(wide), style.signed, "RdBu", (-largest, largest))
    axes.set_yticks(range(len(wide)), list(wide.index))
    axes.set_title("gain over a guess by frequency (nats per masked token)", fontsize=9)
    return figure


def _with_curves(grouped: pd.DataFrame) -> pd.DataFrame:
    """The rows without alignments of a single ratio, if any alignment has more."""
    ratios = grouped[grouped["clsa"] == "yes"].groupby("alignment")["ratio"].nunique()
    single = ratios.index[ratios == 1]
    return grouped[~grouped["alignment"].isin(single)] if len(single) < len(ratios) else grouped


def _end_of_curve(ungrouped: pd.DataFrame, alignment: str) -> pd.DataFrame:
    """The row of the ungrouped model with this alignment, else of the unaligned one."""
    same = ungrouped[ungrouped["alignment"] == alignment]
    return same if len(same) else ungrouped[ungrouped["alignment"] == "unaligned"]


def _has_several_alignments(table: pd.DataFrame) -> bool:
    """Whether aligned models differ in their lexicons, which their names then need."""
    return table.loc[table["clsa"] == "yes", "alignment"].nunique() > 1


def _variant(method: str, alignment: str, dim: int, full: int, names_lexicons: bool) -> str:
    """The name of a model, without its ratio."""
    recipe = Recipe("backbone", alignment)
    name = method + (" after CLSA" if recipe.is_aligned else "")
    if recipe.is_aligned and names_lexicons:
        name += f" ({alignment_name(recipe)})"
    return name if dim == full else f"{name}, d = {dim}"


def _scale(axes: Axes, ratios: list[float]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ratios))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}%"))
    axes.tick_params(labelsize=8)
