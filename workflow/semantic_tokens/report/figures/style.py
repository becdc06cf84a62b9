"""One style for all figures: type, colours that stay apart in grey, and how a figure is saved."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from semantic_tokens.evaluation.bootstrap import TaskScores
from semantic_tokens.evaluation.task_scores import BASELINE_NAMES, ScoredTask
from semantic_tokens.files import whole

PNG_DOTS_PER_INCH = 150

#: Curves: colour and marker, so that they are told apart without the colour.
LINES = (
    ("#1f5fa8", "o"),  # blue
    ("#c0392b", "X"),  # red
    ("#d9730d", "s"),  # orange
    ("#3d8b5f", "^"),  # green
    ("#a8860b", "D"),  # ochre
    ("#6b4226", "v"),  # brown
    ("#7b4a9c", "P"),  # purple
)

#: Backgrounds by relative performance in percent: lower bound, colour. Each is darker than the
#: one before, so that they are told apart in grey, and lighter than all curves.
BANDS = ((90.0, "#edf6e9"), (70.0, "#f7df98"), (50.0, "#eec0ab"), (-100.0, "#d09a8f"))
BAND_NAMES = (">90%", "70–90%", "50–70%", "<50%")

ORACLE_COLOUR = "#1d6b3a"

#: Lines of what needs no model.
BASELINE_LINES: dict[str, dict[str, Any]] = {
    "chance": {"color": "#555555", "linestyle": (0, (1, 1.5)), "linewidth": 1.0},
    "bm25": {"color": "#555555", "linestyle": (0, (5, 1.5, 1, 1.5)), "linewidth": 1.0},
}
#: What a legend says of a point that cannot be told from chance.
HOLLOW = Line2D(
    [], [], color="#555555", marker="o", markerfacecolor="white", linestyle="none",
    label="no better than chance",
)  # fmt: skip

logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every font it cuts down

matplotlib.rcParams.update(
    {
        "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.8,
        "axes.edgecolor": "#333333",
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "lines.markersize": 5.0,
        "pdf.compression": 9,
    }
)


def task_title(task: ScoredTask) -> str:
    title = f"{task.name} ({task.metric_name})"
    return f"{title}\nin a part of the collection" if task.collection else title


def draw_baselines(axes: Axes, scores: TaskScores, *, is_vertical: bool = False) -> None:
    """Draw chance, and BM25 where the task has it, as lines across an axes."""
    draw = axes.axvline if is_vertical else axes.axhline
    for name, line in BASELINE_LINES.items():
        if name in scores:
            draw(float(scores.draws(name)[0]), zorder=1, **line)


def baseline_handles(scores: Sequence[TaskScores]) -> list[Line2D]:
    """What a legend says of the lines that :func:`draw_baselines` draws in some panels."""
    return [
        Line2D([], [], label=BASELINE_NAMES[name], **line)
        for name, line in BASELINE_LINES.items()
        if any(name in task for task in scores)
    ]


def band_background(axes: Axes, oracle: float, chance: float = -math.inf) -> None:
    """Fill an axes' background by the share of the oracle's score; limits stay as they are.

    Args:
        chance: below it there are no bands: a share of the oracle's score says nothing there.
    """
    low, high = axes.get_ylim()
    top = max(high, oracle)
    lowest = max(low, chance)
    for bound, colour in BANDS:
        if top <= lowest:
            break
        bottom = oracle * bound / 100
        if bottom < high:
            axes.axhspan(max(bottom, lowest), top, facecolor=colour, edgecolor="none", zorder=-10)
        top = min(top, bottom)
    axes.set_ylim(low, high)


def save(figure: Figure, paths: Sequence[str | Path], *, pdf_font_type: int = 42) -> None:
    """Write a figure to each path, in the format of its suffix, whole or not at all.

    No date goes into the files, so equal figures are equal bytes.

    Args:
        pdf_font_type: 42 embeds TrueType fonts, as publishers ask for; 3 the outlines of the
            characters, for fonts of other kinds, which some viewers do not take as TrueType.
    """
    metadata: dict[str, dict[str, Any]] = {
        ".pdf": {"CreationDate": None},
        ".png": {"Software": None},
    }
    for path in map(Path, paths):
        with whole(path) as partial, matplotlib.rc_context({"pdf.fonttype": pdf_font_type}):
            figure.savefig(
                partial,
                format=path.suffix[1:],
                dpi=PNG_DOTS_PER_INCH,
                metadata=metadata[path.suffix],
                bbox_inches="tight",
                pad_inches=0.08,
            )
