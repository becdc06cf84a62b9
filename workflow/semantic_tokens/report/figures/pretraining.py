"""The training loss of every pretrained model by step (paper, section 2.4)."""

import math
from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from semantic_tokens.errors import InputError
from semantic_tokens.study.figures import alignment_name
from semantic_tokens.study.recipe import Recipe

#: The number of panels per row.
_COLUMNS = 3
#: The window of the running mean, as a fraction of the steps.
_SMOOTHED = 0.02


def read_steps(path: str | Path) -> pd.DataFrame:
    """The steps of one training: ``step``, ``loss``, ``learning_rate``, ``gradient_norm`` and
    ``examples_per_second``.

    Raises:
        InputError: the file is damaged.
    """
    try:
        steps = pd.read_csv(path, sep="\t")
        return steps.astype({"step": "int64", "loss": "float64"})
    except (ValueError, KeyError) as error:  # errors of pandas are ValueErrors
        raise InputError(
            f"{path} is damaged ({error}); delete it and it will be made again"
        ) from error


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """[n] -> [n], the mean of each value and up to ``window`` - 1 earlier values."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - window)
    return (sums[ends] - sums[starts]) / (ends - starts)


def draw_pretraining(curves: Mapping[Recipe, pd.DataFrame]) -> Figure:
    """One panel per backbone, alignment and dimension; in it, one curve per grouping.

    Curves are running means over a fiftieth of the steps; the lighter ones are less grouped.

    Args:
        curves: the steps (:func:`read_steps`) of each pretrained model.
    """
    panels: dict[tuple[str, str], dict[str, pd.DataFrame]] = {}
    for recipe, steps in curves.items():
        dimension = "all dimensions"
        if recipe.dimension_number is not None:
            dimension = f"{recipe.dimension_number} dimensions"
        title = (recipe.backbone, f"{alignment_name(recipe)}, {dimension}")
        panels.setdefault(title, {})[grouping_label(recipe)] = steps
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(3.1 * columns + 0.5, 2.6 * rows + 0.3), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, (title, series) in zip(grid, panels.items(), strict=False):
        shades = matplotlib.colormaps["viridis_r"](np.linspace(0.15, 1.0, len(series)))
        for (label, steps), shade in zip(series.items(), shades, strict=True):
            window = max(1, round(_SMOOTHED * len(steps)))
            loss = running_mean(steps["loss"].to_numpy(), window)
            axes.plot(steps["step"], loss, label=label, color=shade, linewidth=1.2)
        axes.set_title("\n".join(title))
        axes.set_xlabel("step")
        axes.set_ylabel("training loss (nats)")
        axes.legend(fontsize=7)
    for axes in grid[len(panels) :]:
        axes.remove()
    return figure


def grouping_label(recipe: Recipe) -> str:
    """``ungrouped``, ``kmeans-cosine 5%`` or the name of the grouping."""
    if not recipe.has_ratio:
        return recipe.grouping
    return f"{recipe.grouping_without_ratio} {100 * recipe.ratio:.4g}%"
