"""The pipelines of operations, drawn from the table of experiments (paper, Figure 2)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from semantic_tokens.study.experiments import ExperimentRow, recipe_of
from semantic_tokens.study.figures import alignment_name
from semantic_tokens.study.recipe import METHOD_NAMES

OPERATIONS = {
    "alignment": "CLSA",
    "dimension": "Dimension reduction",
    "grouping": "Semantic grouping",
    "pretraining": "Cont. pretraining",
    "training": "Fine-tuning",
}
COLOURS = ("#dbe7f5", "#e3f1e0", "#fbe6cf", "#eadff2", "#ececec")
LEGEND_HEIGHT = 0.25  # inches


@dataclass(frozen=True)
class Operation:
    """One operation in one figure's pipeline.

    Attributes:
        required: whether all experiments of the figure have it.
        values: its variants, each once, in the table's order.
    """

    required: bool
    values: tuple[str, ...]


Pipeline = dict[str, Operation]  # by the keys of OPERATIONS; unused operations are left out


def pipelines(rows: Iterable[ExperimentRow]) -> dict[str, tuple[int, Pipeline]]:
    """Figure -> its number of experiments and its pipeline, figures in the table's order."""
    of_figure: dict[str, list[ExperimentRow]] = {}
    for row in rows:
        of_figure.setdefault(row["figure"], []).append(row)
    found = {}
    for figure, members in of_figure.items():
        pipeline: Pipeline = {}
        for operation in OPERATIONS:
            values = [value for row in members if (value := _value(row, operation))]
            if values:
                is_required = len(values) == len(members)
                pipeline[operation] = Operation(is_required, tuple(dict.fromkeys(values)))
        found[figure] = (len(members), pipeline)
    return found


def _value(row: ExperimentRow, operation: str) -> str:
    """The variant of an operation in an experiment, in words; empty if it is not used."""
    recipe = recipe_of(row)
    if operation == "alignment":
        return alignment_name(recipe) if recipe.is_aligned else ""
    if operation == "dimension":
        return "" if recipe.dimension_number is None else f"d={recipe.dimension_number}"
    if operation == "grouping":
        method = recipe.grouping_without_ratio
        if method == "ungrouped":
            return ""
        if method not in METHOD_NAMES:
            return recipe.grouping.replace("-", " ", 1)
        return f"{METHOD_NAMES[method]} {100 * recipe.ratio:.3g}%"
    if operation == "pretraining":
        return "MLM" if recipe.is_pretrained else ""
    return _training_name(row["training"])


def _training_name(training: str) -> str:
    """``all languages``, or the English name of one."""
    import pycountry

    language = pycountry.languages.get(alpha_3=training)
    return training.replace("-", " ") if language is None else language.name.partition(" (")[0]


def wrapped(values: Sequence[str], width: int) -> list[str]:
    """The values as lines of about ``width`` characters; a common start of values is written once.

    >>> wrapped(["K-Means 40%", "K-Means 5%", "First-k 5%"], 24)
    ['K-Means 40%, 5%', 'First-k 5%']
    """
    by_start: dict[str, list[str]] = {}
    for value in values:
        start, space, end = value.rpartition(" ")
        is_ratio = bool(space) and end.endswith("%")
        by_start.setdefault(start if is_ratio else value, []).append(end if is_ratio else "")
    lines = []
    for start, ends in by_start.items():
        line = ""
        for word in f"{start} {', '.join(ends)}".split():
            if line and len(line) + 1 + len(word) > width:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}".strip()
        lines.append(line)
    return lines


def draw_pipelines(rows: Iterable[ExperimentRow]) -> Figure:
    """One row of boxes per figure: solid if all experiments have an operation, dashed if some
    do."""
    found = pipelines(rows)
    left, width, gap = 2.1, 2.6, 0.35
    texts = {
        figure: {name: wrapped(operation.values, 31) for name, operation in pipeline.items()}
        for figure, (_, pipeline) in found.items()
    }
    line_height, padding = 0.155, 0.2
    heights = {
        figure: max(len(lines) for lines in by_operation.values()) * line_height + padding
        for figure, by_operation in texts.items()
    }
    total_height = sum(heights.values()) + 0.16 * len(heights) + 0.5 + LEGEND_HEIGHT
    total_width = left + len(OPERATIONS) * (width + gap)
    figure = Figure(figsize=(total_width, total_height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, total_width)
    axes.set_ylim(0, total_height)
    axes.axis("off")
    top = total_height - 0.2
    for column, title in enumerate(OPERATIONS.values()):
        middle = left + column * (width + gap) + width / 2
        axes.text(middle, top, title, ha="center", va="center", fontsize=9.5, weight="bold")
    top -= 0.22
    for name, (count, pipeline) in found.items():
        height = heights[name]
        middle = top - height / 2
        shown = name.replace("figure", "Figure ").replace("table", "Table ")
        axes.text(0.05, middle + 0.08, shown[:1].upper() + shown[1:], va="center", fontsize=9)
        noun = "experiment" if count == 1 else "experiments"
        axes.text(0.05, middle - 0.1, f"{count} {noun}", va="center", fontsize=7.5, color="#555555")
        before = left - gap - 0.15
        for column, operation in enumerate(OPERATIONS):
            x = left + column * (width + gap)
            if operation not in pipeline:
                continue
            _arrow(axes, before, x, middle)
            _box(axes, (x, top - height), (width, height), COLOURS[column], pipeline[operation])
            axes.text(
                x + width / 2,
                middle,
                "\n".join(texts[name][operation]),
                ha="center",
                va="center",
                fontsize=7.5,
                linespacing=1.15,
            )
            before = x + width
        top -= height + 0.16
    middle = LEGEND_HEIGHT / 2
    for x, required, meaning in (
        (left, True, "in all experiments"),
        (left + width + gap, False, "in some of them"),
    ):
        _box(axes, (x, middle - 0.07), (0.35, 0.14), "none", Operation(required, ()))
        axes.text(x + 0.45, middle, meaning, va="center", fontsize=8)
    return figure


def _box(
    axes: Axes,
    corner: tuple[float, float],
    size: tuple[float, float],
    colour: str,
    operation: Operation,
) -> None:
    axes.add_patch(
        FancyBboxPatch(
            corner,
            *size,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor=colour,
            edgecolor="#333333",
            linewidth=1.0,
            linestyle="-" if operation.required else (0, (4, 2)),
        )
    )


def _arrow(axes: Axes, start: float, end: float, y: float) -> None:
    axes.add_patch(
        FancyArrowPatch(
            (start, y), (end, y), arrowstyle="-|>", mutation_scale=8, color="#555555", linewidth=0.8
        )
    )
