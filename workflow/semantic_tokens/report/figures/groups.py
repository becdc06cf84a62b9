"""Groups of subwords, with a suitable font for every word (paper, Figures 8 and 13)."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch

from semantic_tokens.grouping.inspection import SYMBOLS, Inspected, Member
from semantic_tokens.report.figures import style
from semantic_tokens.report.figures.fonts import Fonts

CARD_WIDTH, COLUMNS, GAP = 3.3, 4, 0.15  # inches
WORD_SIZE, GLOSS_SIZE, TITLE_SIZE = 10.5, 6.5, 10.5  # points
LINE_HEIGHT, TITLE_HEIGHT, LEGEND_HEIGHT = 0.37, 0.32, 0.3  # inches
WORD_GAP, MARGIN = 0.14, 0.12  # inches
NO_SCRIPT = "#333333"  # digits, symbols, and scripts with few words

Placed = tuple[float, float, Member, str]  # inches from the card's top left; font


def draw_groups(groups: Sequence[Inspected], fonts: Fonts, most: int) -> tuple[Figure, int]:
    """One card per group, with glosses below its members.

    Args:
        fonts: the available fonts.
        most: the maximum number of members on a card, which also has the number of others.

    Returns:
        the figure, and the number of subwords without a font.
    """
    figure = Figure(figsize=(1, 1))
    canvas = FigureCanvasAgg(figure)
    renderer = canvas.get_renderer()
    unwritten = 0
    cards: list[tuple[list[Placed], int, int]] = []
    for group in groups:
        members = []
        for member in group.members:
            font = fonts.covering(member.text)
            if font is None:
                unwritten += 1
            else:
                members.append((member, font))
        placed, lines = _flow(members[:most], figure, renderer)
        cards.append((placed, lines, len(group.members) - min(most, len(members))))

    columns = min(COLUMNS, len(groups))
    rows = math.ceil(len(groups) / columns)
    heights = [
        TITLE_HEIGHT + LINE_HEIGHT * max(c[1] for c in cards[row * columns :][:columns]) + MARGIN
        for row in range(rows)
    ]
    width = columns * CARD_WIDTH + (columns - 1) * GAP
    height = sum(heights) + (rows - 1) * GAP + LEGEND_HEIGHT + 0.03
    figure.set_size_inches(width, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")
    colour_of = script_colours(m.script for placed, _, _ in cards for _, _, m, _ in placed)
    for number, (group, (placed, _, more)) in enumerate(zip(groups, cards, strict=True)):
        row, column = divmod(number, columns)
        left = column * (CARD_WIDTH + GAP)
        top = LEGEND_HEIGHT + sum(heights[:row]) + row * GAP
        axes.add_patch(
            FancyBboxPatch(
                (left + 0.02, top),
                CARD_WIDTH - 0.04,
                heights[row],
                boxstyle="round,pad=0,rounding_size=0.08",
                facecolor="#fafafa",
                edgecolor="#777777",
                linewidth=0.9,
            )
        )
        title = group.title + (f"  (and {more} more)" if more else "")
        axes.text(left + MARGIN, top + 0.18, title, fontsize=TITLE_SIZE, weight="bold", va="center")
        for x, y, member, font in placed:
            axes.text(
                left + x,
                top + TITLE_HEIGHT + y,
                member.text,
                fontproperties=FontProperties(fname=font, size=WORD_SIZE),
                color=colour_of.get(member.script, NO_SCRIPT),
                va="center",
                parse_math=False,
            )
            axes.text(
                left + x,
                top + TITLE_HEIGHT + y + 0.145,
                member.gloss,
                fontsize=GLOSS_SIZE,
                color="#555555",
                va="center",
                parse_math=False,
            )
    x = MARGIN
    for script, colour in sorted(colour_of.items()):
        label = axes.text(x, 0.12, script, color=colour, fontsize=9, weight="bold", va="center")
        x += label.get_window_extent(renderer).width / figure.dpi + 0.25
    return figure, unwritten


def script_colours(scripts: Iterable[str]) -> dict[str, str]:
    """Colours for the most frequent scripts; the others have none."""
    counts = Counter(script for script in scripts if script not in ("digits", SYMBOLS))
    ranked = sorted(counts, key=lambda script: (-counts[script], script))
    return {script: colour for script, (colour, _) in zip(ranked, style.LINES, strict=False)}


def _flow(
    members: Sequence[tuple[Member, str]], figure: Figure, renderer: RendererAgg
) -> tuple[list[Placed], int]:
    """Place words in lines of a card's width. Return them and the number of lines."""
    placed: list[Placed] = []
    x, line = MARGIN, 0
    for member, font in members:
        needed = max(
            _width(member.text, FontProperties(fname=font, size=WORD_SIZE), figure, renderer),
            _width(member.gloss, FontProperties(size=GLOSS_SIZE), figure, renderer),
        )
        if x > MARGIN and x + needed > CARD_WIDTH - MARGIN:
            x, line = MARGIN, line + 1
        placed.append((x, line * LINE_HEIGHT + LINE_HEIGHT / 2 - 0.04, member, font))
        x += needed + WORD_GAP
    return placed, line + 1


def _width(text: str, font: FontProperties, figure: Figure, renderer: RendererAgg) -> float:
    """The width of a text in inches."""
    label = figure.text(0, 0, text, fontproperties=font, parse_math=False)
    width = label.get_window_extent(renderer).width / figure.dpi
    label.remove()
    return width
