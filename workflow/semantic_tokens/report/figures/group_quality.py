"""How well groups agree with held-out translations, scripts and languages, by grouping ratio (not
in the paper)."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter

from semantic_tokens.report.figures import style
from semantic_tokens.study.figures import alignment_name
from semantic_tokens.study.recipe import Recipe

#: Method -> its name and its position in :data:`style.LINES`.
METHODS = {
    "kmeans-cosine": ("K-Means", 0),
    "kmeans-weighted": ("K-Means, weighted", 3),
    "frequency": ("by frequency", 4),
    "random": ("random", 1),
}
#: The lines of aligned curves, one for each alignment.
DASHES = ("--", ":", "-.")
#: Column -> the panel's title.
PANELS = {
    "together": "translations in one group",
    "script_purity": "purity by script",
    "language_purity": "purity by language",
}


def curves_of(table: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """The curves of results/group_quality.csv at full dimension: (method, alignment) -> its rows by
    ratio. Methods are in the order of :data:`METHODS`, unaligned before aligned.

    Alignments with a single K-Means ratio belong to another figure, and are left out if any
    alignment has more.
    """
    full = table[(table["dimension"] == "dfull") & table["method"].isin(METHODS)]
    ratios = full[full["method"] == "kmeans-cosine"].groupby("alignment")["ratio"].nunique()
    shown = ratios.index[ratios > 1] if (ratios > 1).any() else ratios.index
    full = full[full["alignment"].isin(shown)]
    places = {method: place for place, method in enumerate(METHODS)}
    keys = sorted(
        set(zip(full["method"], full["alignment"], strict=True)),
        key=lambda key: (places[key[0]], key[1] != "unaligned", key[1]),
    )
    return {
        (method, alignment): full[
            (full["method"] == method) & (full["alignment"] == alignment)
        ].sort_values("ratio")
        for method, alignment in keys
    }


def draw_group_quality(table: pd.DataFrame) -> Figure:
    """One panel per measure, with one curve per method and alignment, and intervals.

    Args:
        table: results/group_quality.csv.
    """
    curves = curves_of(table)
    figure = Figure(figsize=(3.1 * len(PANELS), 3.9), layout="constrained")
    for axes, (column, title) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        _panel(axes, curves, column)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        axes.set_title(title)
        axes.set_xlabel("grouping ratio")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _panel(axes: Axes, curves: Mapping[tuple[str, str], pd.DataFrame], column: str) -> None:
    alignments = list(dict.fromkeys(alignment for _, alignment in curves))
    aligned = [alignment for alignment in alignments if alignment != "unaligned"]
    for (method, alignment), rows in curves.items():
        name, number = METHODS[method]
        dash = "-"
        if alignment != "unaligned":
            place = aligned.index(alignment)
            number += place * len(style.LINES)  # the same colour with another marker
            dash = DASHES[place % len(DASHES)]
            recipe = Recipe("backbone", alignment)
            name += " with CLSA" + (f" ({alignment_name(recipe)})" if len(aligned) > 1 else "")
        colour, marker = style.line(number)
        known = rows[rows[column].notna()]
        value = known[column]
        axes.errorbar(
            known["ratio"],
            value,
            yerr=style.error_bars(value, known[f"{column}_low"], known[f"{column}_high"]),
            elinewidth=0.8,
            capsize=2,
            color=colour,
            marker=marker,
            linestyle=dash,
            markerfacecolor=colour if alignment == "unaligned" else "white",
            label=name,
        )
    ratios = sorted({ratio for rows in curves.values() for ratio in rows["ratio"]})
    axes.set_xscale("log")
    axes.set_xticks(ratios, [f"{100 * ratio:.3g}%" for ratio in ratios])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
