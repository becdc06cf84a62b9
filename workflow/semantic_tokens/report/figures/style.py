"""The style of all figures: fonts, colours that differ in greyscale, and saving."""

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from semantic_tokens.files import atomic_file

PNG_DOTS_PER_INCH = 150

#: The colours and markers of curves; markers distinguish them without colour.
LINES = (
    ("#1f5fa8", "o"),  # blue
    ("#c0392b", "X"),  # red
    ("#d9730d", "s"),  # orange
    ("#3d8b5f", "^"),  # green
    ("#a8860b", "D"),  # ochre
    ("#6b4226", "v"),  # brown
    ("#7b4a9c", "P"),  # purple
)


def line(number: int) -> tuple[str, str]:
    """The colour and the marker of a curve. Colours are repeated with other markers.

    >>> line(0), line(len(LINES))
    (('#1f5fa8', 'o'), ('#1f5fa8', 'X'))
    """
    again, place = divmod(number, len(LINES))
    return LINES[place][0], LINES[(place + again) % len(LINES)][1]


#: Backgrounds by relative performance in percent: lower bound, colour. They become darker in order,
#: so that they differ in greyscale, and are lighter than all curves.
BANDS = ((90.0, "#edf6e9"), (70.0, "#f7df98"), (50.0, "#eec0ab"), (-100.0, "#d09a8f"))
BAND_NAMES = (">90%", "70–90%", "50–70%", "<50%")

ORACLE_COLOUR = "#1d6b3a"
logging.getLogger("fontTools").setLevel(logging.WARNING)  # it logs every font that it subsets

matplotlib.rcParams.update(
    {
        "font.family": "DejaVu Sans",  # part of matplotlib, so it is the same everywhere
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
        "svg.hashsalt": "semantic tokens",  # without it, equal figures get different ids
    }
)


def band_background(axes: Axes, oracle: float, chance: float = -math.inf) -> None:
    """Fill the background by percentage of the oracle's score, without changing the limits.

    Args:
        chance: there are no bands below this score.
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


def signed(value: float) -> str:
    """Two decimals with a proper minus sign, and no sign for zero.

    >>> signed(-0.5), signed(-0.001)
    ('−0.50', '0.00')
    """
    return f"{value:z.2f}".replace("-", "−")


def heatmap(
    axes: Axes,
    values: np.ndarray,
    columns: Sequence[str],
    text: Callable[[float], str],
    colours: str,
    limits: tuple[float, float],
) -> None:
    """Draw a table whose cells have a number and a colour; NaN is a dash.

    Args:
        values: [rows, columns].
        text: the text of a number.
        colours: the name of a colour map.
        limits: the numbers at the ends of the colour map.
    """
    image = axes.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
    for (line, column), value in np.ndenumerate(values):
        if math.isnan(value):
            words, colour = "–", "black"
        else:
            red, green, blue, _ = image.cmap(image.norm(value))
            is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            words, colour = text(value), "white" if is_dark else "black"
        axes.text(column, line, words, ha="center", va="center", color=colour, fontsize=8.5)
    axes.set_xticks(range(len(columns)), columns)
    axes.tick_params(length=0, labelsize=8.5)
    axes.spines[:].set_visible(False)


def error_bars(values: ArrayLike, lows: ArrayLike, highs: ArrayLike) -> np.ndarray:
    """The lengths of error bars below and above the values, as matplotlib needs them.

    A percentile interval may not contain its value. The length on that side is then 0.

    Args:
        values, lows, highs: [n] each.

    Returns:
        [2, n] float64.
    """
    value, low, high = (np.asarray(part, dtype=np.float64) for part in (values, lows, highs))
    return np.stack([value - low, high - value]).clip(min=0)


def save(figure: Figure, paths: Sequence[str | Path], *, pdf_font_type: int = 42) -> None:
    """Write a figure to each path atomically, in the format of its suffix.

    Files have no date, so equal figures give equal bytes.

    Args:
        pdf_font_type: 42 embeds TrueType fonts, as publishers require; 3 embeds outlines, for other
            kinds of fonts that some viewers do not accept as TrueType.
    """
    metadata: dict[str, dict[str, Any]] = {
        ".pdf": {"CreationDate": None},
        ".png": {"Software": None},
        ".svg": {"Date": None},
    }
    for path in map(Path, paths):
        with atomic_file(path) as partial, matplotlib.rc_context({"pdf.fonttype": pdf_font_type}):
            figure.savefig(
                partial,
                format=path.suffix[1:],
                dpi=PNG_DOTS_PER_INCH,
                metadata=metadata[path.suffix],
                bbox_inches="tight",
                pad_inches=0.08,
            )
