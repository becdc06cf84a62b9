"""The experiments of each figure, as curves (paper, Figures 3 to 7, 9, 11 and 12).

The column ``figure`` of the table of experiments assigns experiments to figures. Some figures also
show curves of another figure. Curves end at the ungrouped model. A figure without experiments in
the table has no curves, and is not drawn.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from semantic_tokens.errors import InputError
from semantic_tokens.study.experiments import Experiment
from semantic_tokens.study.recipe import METHOD_NAMES, PATTERNS, Recipe

#: A placeholder in labels for the dimension of the backbone's word embeddings.
FULL_DIMENSION = "{D}"

#: Figure 10: the five pairs of kinds of tasks in Appendix C, each with its group: I, different
#: types and data; II, different types and the same data; III, the same type and different data. The
#: paper prints (I b) as (III b). We use retrieval for (I b), since group I needs tasks of different
#: types.
PAIRS = (
    ("I", "retrieval", "pair_classification"),
    ("I", "retrieval", "question_answering"),
    ("II", "retrieval", "reranking"),
    ("III", "reranking", "pair_classification"),
    ("III", "reranking", "question_answering"),
)
#: The fewest languages for a correlation over languages.
FEWEST_LANGUAGES = 3


@dataclass(frozen=True)
class Series:
    """One curve.

    Attributes:
        label: its name in the legend.
        colour: a number; variants of a curve have the same colour.
        experiments: its points.
    """

    label: str
    colour: int
    experiments: tuple[Experiment, ...]

    @property
    def is_pretrained(self) -> bool:
        return any(row.recipe.is_pretrained for row in self.experiments)


@dataclass(frozen=True)
class Curves:
    """The content of one figure.

    Attributes:
        series: in the order of the legend; empty if the table lacks the figure's experiments.
        x: ``ratio`` (grouping ratio), ``parameters`` (relative number of word-embedding parameters)
            or ``dimension`` (for Figure 12 with a single ratio).
        oracle: the experiment to which the bands and the top line are relative; None if backbones
            differ.
    """

    series: tuple[Series, ...]
    x: str
    oracle: Experiment | None = None

    @property
    def experiments(self) -> list[Experiment]:
        """All experiments, each once, the oracle first."""
        rows = [] if self.oracle is None else [self.oracle]
        return list(dict.fromkeys(rows + [row for s in self.series for row in s.experiments]))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a rule's parameters."""
        return {
            "x": self.x,
            "oracle": None if self.oracle is None else self.oracle.as_dict(),
            "series": [
                {
                    "label": series.label,
                    "colour": series.colour,
                    "pretrained": series.is_pretrained,
                    "experiments": [row.as_dict() for row in series.experiments],
                }
                for series in self.series
            ],
        }


def curves(figure: str, rows: Sequence[Experiment]) -> Curves:
    """The curves of ``figure3`` … ``figure7``, ``figure9``, ``figure11``, ``figure12`` or
    ``controls``."""
    return _FIGURES[figure](rows)


def main_backbone(rows: Iterable[Experiment]) -> str | None:
    """The main backbone, which is the oracle's; only Figure 7 is about others."""
    return next((row.recipe.backbone for row in rows if row.figure == "oracle"), None)


def reference_of_main(rows: Sequence[Experiment]) -> Experiment | None:
    """The reference for relative scores of the main backbone."""
    backbone = main_backbone(rows)
    return next((row for row in rows if row.reference and row.recipe.backbone == backbone), None)


def language_pairs(kinds: Iterable[str]) -> list[tuple[str, str, str]]:
    """The pairs of :data:`PAIRS` among these kinds of tasks, with their groups.

    >>> language_pairs(["retrieval", "question_answering", "token_classification"])
    [('I', 'retrieval', 'question_answering')]
    """
    known = set(kinds)
    return [(group, a, b) for group, a, b in PAIRS if {a, b} <= known]


def _figure3(rows: Sequence[Experiment]) -> Curves:
    names = {"kmeans-cosine": ("SG", 0), "firstk": ("First-k", 1)}

    def series_of(row: Experiment) -> tuple[str, int] | None:
        return names.get(row.recipe.grouping_without_ratio)

    return Curves(
        _by_ratio(rows, _of(rows, "figure3"), series_of), "ratio", reference_of_main(rows)
    )


def _figure4(rows: Sequence[Experiment]) -> Curves:
    unaligned = [row for row in _of(rows, "figure3") if row.recipe.grouping_method == "kmeans"]
    aligned = _of(rows, "figure4")

    def series_of(row: Experiment) -> tuple[str, int]:
        return ("SG with CLSA", 2) if row.recipe.is_aligned else ("SG", 0)

    shown = [*aligned, *unaligned] if aligned else []
    return Curves(_by_ratio(rows, shown, series_of), "ratio", reference_of_main(rows))


def _figure5(rows: Sequence[Experiment]) -> Curves:
    reduced = _of(rows, "figure5")
    full = [row for row in _of(rows, "figure4") if row.recipe.is_pretrained]
    dimensions = sorted({row.recipe.dimension_number or 0 for row in reduced}, reverse=True)

    def series_of(row: Experiment) -> tuple[str, int]:
        number = row.recipe.dimension_number
        if number is None:
            return (f"d = {FULL_DIMENSION}", 2)
        return (f"d = {number}", 3 + dimensions.index(number))

    shown = [*full, *reduced] if reduced else []
    return Curves(_by_ratio(rows, shown, series_of), "ratio", reference_of_main(rows))


def _figure6(rows: Sequence[Experiment]) -> Curves:
    reduced = _of(rows, "figure6")
    oracle = reference_of_main(rows)
    if not reduced:
        return Curves((), "parameters")
    if oracle is not None:
        reduced = [oracle, *reduced]
    found = [Series("DR", 5, tuple(reduced))]
    grouped = _of(rows, "figure5")
    if grouped:
        smallest = min(row.recipe.dimension_number or 0 for row in grouped)
        shown = [row for row in grouped if row.recipe.dimension_number == smallest]
        found += _by_ratio(rows, shown, lambda row: (f"SG, d = {smallest}", 4))
    return Curves(tuple(found), "parameters", oracle)


def _figure7(rows: Sequence[Experiment]) -> Curves:
    others = [r for r in _of(rows, "figure7") if r.recipe.grouping_method != "ungrouped"]
    main = [row for row in _of(rows, "figure4") if not row.recipe.is_pretrained]
    shown = [*main, *others] if others else []
    backbones = list(dict.fromkeys(row.recipe.backbone for row in shown))

    def series_of(row: Experiment) -> tuple[str, int]:
        return row.recipe.backbone, (0, 1, 3, 4, 5, 2)[backbones.index(row.recipe.backbone) % 6]

    return Curves(_by_ratio(rows, shown, series_of), "ratio")


def _figure9(rows: Sequence[Experiment]) -> Curves:
    shown = _of(rows, "figure9")
    grouped = [row for row in shown if row.recipe.grouping_method == "kmeans"]
    alignments = {row.recipe.alignment for row in grouped}
    ungrouped = [row for row in shown if row.recipe.grouping_method == "ungrouped"]
    # An oracle with the alignment of the curve, so that they differ only in grouping.
    ungrouped.sort(key=lambda row: row.recipe.alignment not in alignments)
    oracle = ungrouped[0] if ungrouped else None
    return Curves(_by_ratio(shown, grouped, lambda row: ("SG, zero-shot", 2)), "ratio", oracle)


def _figure11(rows: Sequence[Experiment]) -> Curves:
    """One series per alignment, with one experiment each, after the unaligned model."""
    found = []
    shown = sorted(_of(rows, "figure11"), key=lambda row: row.recipe.is_aligned)
    for number, row in enumerate(shown):
        found.append(Series(alignment_name(row.recipe), number, (row,)))
    return Curves(tuple(found), "ratio", reference_of_main(rows) if found else None)


def _figure12(rows: Sequence[Experiment]) -> Curves:
    shown = _of(rows, "figure12")
    names = {"kmeans-cosine": "cosine", "kmeans-euclidean": "Euclidean"}
    oracle = reference_of_main(rows)
    if len({row.recipe.ratio for row in shown}) > 1:
        return Curves(_by_distance(shown, names), "ratio", oracle)
    found = [
        Series(name, number, points)
        for number, (method, name) in enumerate(names.items())
        if (points := tuple(row for row in shown if row.recipe.grouping_without_ratio == method))
    ]
    return Curves(tuple(found), "dimension", oracle if found else None)


def _by_distance(shown: Sequence[Experiment], names: dict[str, str]) -> tuple[Series, ...]:
    """One curve per distance and dimension, by ratio, without the ungrouped model, which has no
    distance."""
    dimensions = list(dict.fromkeys(row.recipe.dimension_number for row in shown))
    found = []
    for place, number in enumerate(dimensions):
        for offset, (method, name) in enumerate(names.items()):
            points = tuple(
                row
                for row in shown
                if row.recipe.dimension_number == number
                and row.recipe.grouping_without_ratio == method
            )
            size = FULL_DIMENSION if number is None else number
            if points:
                found.append(Series(f"{name}, d = {size}", 2 * place + offset, points))
    return tuple(found)


def controlled(rows: Sequence[Experiment]) -> list[Experiment]:
    """The controls, and the K-Means, K-Means after CLSA, and First-k experiments with full
    dimension and the same pretraining; empty without controls."""
    controls = _of(rows, "controls")
    pretrainings = {row.recipe.pretraining for row in controls}
    others = [
        row
        for row in [*_of(rows, "figure3"), *_of(rows, "figure4")]
        if row.recipe.backbone == main_backbone(rows)
        and row.recipe.pretraining in pretrainings
        and row.recipe.dimension == "dfull"
        and row.recipe.grouping_method != "ungrouped"
    ]
    each_once: dict[tuple[Recipe, str], Experiment] = {}
    for row in [*others, *controls]:
        each_once.setdefault((row.recipe, row.training), row)
    return list(each_once.values())


def _controls(rows: Sequence[Experiment]) -> Curves:
    colours = {
        "kmeans-cosine": 0, "firstk": 1, "random": 3, "frequency": 4, "kmeans-weighted": 6,
    }  # fmt: skip

    def series_of(row: Experiment) -> tuple[str, int]:
        method = row.recipe.grouping_without_ratio
        name = METHOD_NAMES[method]
        if row.recipe.is_aligned:
            return f"{name} after CLSA", 2 if method == "kmeans-cosine" else 5
        return name, colours.get(method, 5)

    shown = controlled(rows)
    oracle = reference_of_main(rows) if shown else None
    return Curves(_by_ratio(rows, shown, series_of), "ratio", oracle)


_FIGURES: dict[str, Callable[[Sequence[Experiment]], Curves]] = {
    "figure3": _figure3,
    "figure4": _figure4,
    "figure5": _figure5,
    "figure6": _figure6,
    "figure7": _figure7,
    "figure9": _figure9,
    "figure11": _figure11,
    "figure12": _figure12,
    "controls": _controls,
}


#: The values of ``figure`` that have a meaning. Other values are the user's own.
_WITH_MEANING = (*_FIGURES, "oracle", "table4")


def check_figures(rows: Sequence[Experiment], config: Mapping[str, Any]) -> None:
    """Check the figures of the experiments, and the config's keys for figures.

    Raises:
        InputError: a figure is misspelt, or a control is of another backbone than the oracle.
    """
    _check_controls(rows, config["experiments"])
    own = {row.figure for row in rows}
    for name in sorted(own):
        if name not in _WITH_MEANING and name.lower() in _WITH_MEANING:
            raise InputError(
                f"{config['experiments']}: `figure` is {name!r}; did you mean {name.lower()}?"
            )
    known = [*_WITH_MEANING, *sorted(own.difference(_WITH_MEANING))]
    for name in config["tasks_by_figure"]:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
            raise InputError(
                f"config key tasks_by_figure.{name} is no figure of an experiment; {hint}"
            )


def _check_controls(rows: Sequence[Experiment], path: str) -> None:
    """Check that the controls have the main backbone, with whose oracle and K-Means they are
    compared."""
    main = main_backbone(rows)
    for row in _of(rows, "controls"):
        if main is not None and row.recipe.backbone != main:
            raise InputError(
                f"{path}: a row with `figure` controls has backbone {row.recipe.backbone}, and "
                f"controls are compared with the oracle of {main}; set its backbone to {main}, or "
                "give it another `figure`"
            )


def by_grouping(recipe: Recipe) -> tuple[Any, ...]:
    """A sort key for recipes: backbone, alignment, dimension, method and ratio, large ratios
    first."""
    name, _, ratio = recipe.grouping.rpartition("-")
    number = float(ratio) if ratio[:1].isdigit() else 0.0
    first = (recipe.backbone, recipe.is_aligned, recipe.alignment)
    return (
        *first,
        -(recipe.dimension_number or math.inf),
        recipe.grouping != "ungrouped",
        name,
        -number,
    )


def alignment_name(recipe: Recipe) -> str:
    """The lexicons of an alignment in words: ``emoji + numbers``, or ``no alignment``."""
    return " + ".join(recipe.alignment_lexicons) or "no alignment"


def _of(rows: Iterable[Experiment], figure: str) -> list[Experiment]:
    return [row for row in rows if row.figure == figure]


def _by_ratio(
    rows: Sequence[Experiment],
    shown: Sequence[Experiment],
    series_of: Callable[[Experiment], tuple[str, int] | None],
) -> tuple[Series, ...]:
    """One series per recipe without its ratio. It starts at the ungrouped model if the table has
    one: with the alignment of the series, else unaligned."""
    ungrouped = {
        (row.recipe, row.training): row for row in rows if row.recipe.grouping_method == "ungrouped"
    }
    found: dict[tuple[Any, ...], list[Experiment]] = {}
    for row in shown:
        if series_of(row) is not None:
            parts = [getattr(row.recipe, part) for part in PATTERNS if part != "grouping"]
            key = (*parts, row.recipe.grouping_without_ratio, row.training)
            found.setdefault(key, []).append(row)
    series = []
    for members in found.values():
        members.sort(key=lambda row: -row.recipe.ratio)
        first = members[0]
        starts = [replace(first.recipe, grouping="ungrouped")]
        starts.append(replace(starts[0], alignment="unaligned"))
        start = next((s for r in starts if (s := ungrouped.get((r, first.training)))), None)
        points = members if start is None else [start, *members]
        label, colour = series_of(first) or ("", 0)
        series.append(Series(label, colour, tuple(points)))
    return tuple(series)
