"""The experiments of each figure, as curves (paper, Figures 3 to 7, 9, 11 and 12).

The column ``figure`` of the table of experiments assigns experiments to figures. Some figures also
show curves of another figure. Curves end at the ungrouped model. A figure without experiments in
the table has no curves, and is not drawn.
"""

import difflib
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from semantic_tokens.errors import InputError
from semantic_tokens.study.experiments import ALL_LANGUAGES, Experiment
from semantic_tokens.study.recipe import METHOD_NAMES, Recipe

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
        colour: a number; curves with the same label have the same colour.
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
        oracle: the experiment to which the bands and the top line are relative; None if an
            experiment has another backbone or training.
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


def inspected(rows: Sequence[Experiment]) -> Recipe | None:
    """The groups in Figures 8 and 13: the K-Means groups of Figure 4 with the smallest ratio."""
    found = [row.recipe for row in _of(rows, "figure4") if row.recipe.grouping_method == "kmeans"]
    return min(found, key=lambda recipe: recipe.ratio, default=None)


def language_rows(rows: Sequence[Experiment]) -> list[Experiment]:
    """The experiments of Figure 10: the oracle's unaligned K-Means groupings by cosine, pretrained,
    one for each ratio. Empty without an oracle."""
    oracle = reference_of_main(rows)
    if oracle is None:
        return []
    shown = Recipe(oracle.recipe.backbone, pretraining="mlm")
    return [
        row
        for row in _of(rows, "figure3")
        if row.recipe.grouping_without_ratio == "kmeans-cosine"
        and row.recipe == replace(shown, grouping=row.recipe.grouping)
        and row.training == oracle.training
    ]


def _figure3(rows: Sequence[Experiment]) -> Curves:
    colours = {"kmeans-cosine": 0, "firstk": 1}

    def name_of(row: Experiment) -> tuple[str, int]:
        return _method(row), colours.get(row.recipe.grouping_without_ratio, 0)

    groups = _by_ratio(rows, _of(rows, "figure3"))
    return _with_oracle(_named(groups, name_of, told=["method"]), "ratio", reference_of_main(rows))


def _figure4(rows: Sequence[Experiment]) -> Curves:
    aligned = _grouped(rows, "figure4")
    backbones = {row.recipe.backbone for row in aligned}
    unaligned = [
        row
        for row in _of(rows, "figure3")
        if row.recipe.grouping_method == "kmeans" and row.recipe.backbone in backbones
    ]

    def name_of(row: Experiment) -> tuple[str, int]:
        return (f"{_method(row)} with CLSA", 2) if row.recipe.is_aligned else (_method(row), 0)

    series = _named(_by_ratio(rows, [*aligned, *unaligned]), name_of, told=["method", "alignment"])
    return _with_oracle(series, "ratio", reference_of_main(rows))


def _figure5(rows: Sequence[Experiment]) -> Curves:
    reduced = _grouped(rows, "figure5")
    backbones = {row.recipe.backbone for row in reduced}
    full = [
        row
        for row in _of(rows, "figure4")
        if row.recipe.is_pretrained and row.recipe.backbone in backbones
    ]
    shown = [*full, *reduced]
    dimensions = sorted({row.recipe.dimension_number or 0 for row in shown}, reverse=True)

    def name_of(row: Experiment) -> tuple[str, int]:
        number = row.recipe.dimension_number
        if number is None:
            return (f"d = {FULL_DIMENSION}", 2)
        return (f"d = {number}", 3 + dimensions.index(number))

    series = _named(_by_ratio(rows, shown), name_of, told=["dimension"])
    return _with_oracle(series, "ratio", reference_of_main(rows))


def _figure6(rows: Sequence[Experiment]) -> Curves:
    ungrouped = _ungrouped(rows)
    by_size = _along("dimension", [row for row in _of(rows, "figure6") if _is_reduced(row)])
    for members in by_size:
        first = members[0]
        full = ungrouped.get((replace(first.recipe, dimension="dfull"), first.training))
        members[:0] = [] if full is None else [full]
    grouped = [row for row in _grouped(rows, "figure5") if _is_reduced(row)]
    smallest = min((row.recipe.dimension_number or 0 for row in grouped), default=0)
    shown = [row for row in grouped if row.recipe.dimension_number == smallest] if by_size else []

    def name_of(row: Experiment) -> tuple[str, int]:
        return (f"SG, d = {smallest}", 4) if row.recipe.has_ratio else ("DR", 5)

    series = _named(
        [*by_size, *_by_ratio(rows, shown)],
        name_of,
        told=["alignment", "method"],
        unnamed=[*_DRAWN, "dimension"],
    )
    return _with_oracle(series, "parameters", reference_of_main(rows))


def _figure7(rows: Sequence[Experiment]) -> Curves:
    others = _grouped(rows, "figure7")
    main = [row for row in _grouped(rows, "figure4") if not row.recipe.is_pretrained]
    shown = [*main, *others] if others else []
    backbones = list(dict.fromkeys(row.recipe.backbone for row in shown))

    def name_of(row: Experiment) -> tuple[str, int]:
        return row.recipe.backbone, (0, 1, 3, 4, 5, 2)[backbones.index(row.recipe.backbone) % 6]

    return Curves(_named(_by_ratio(rows, shown), name_of, told=["backbone"]), "ratio")


def _figure9(rows: Sequence[Experiment]) -> Curves:
    shown = _of(rows, "figure9")
    grouped = _grouped(rows, "figure9")
    alignments = {row.recipe.alignment for row in grouped}
    ungrouped = [row for row in shown if row.recipe.grouping_method == "ungrouped"]
    # An oracle with the alignment of the curve, so that they differ only in grouping.
    ungrouped.sort(key=lambda row: row.recipe.alignment not in alignments)
    series = _named(
        _by_ratio(shown, grouped), lambda row: (f"{_method(row)}, zero-shot", 2), told=["method"]
    )
    return _with_oracle(series, "ratio", ungrouped[0] if ungrouped else None)


def _figure11(rows: Sequence[Experiment]) -> Curves:
    """One series per experiment, the unaligned model first."""
    shown = sorted(_of(rows, "figure11"), key=lambda row: row.recipe.is_aligned)
    series = _named(
        [[row] for row in shown],
        lambda row: (alignment_name(row.recipe), shown.index(row)),
        told=["alignment"],
        unnamed=[],
    )
    return Curves(series, "ratio", reference_of_main(rows) if series else None)


def _figure12(rows: Sequence[Experiment]) -> Curves:
    shown = _of(rows, "figure12")
    names = {"kmeans-cosine": "cosine", "kmeans-euclidean": "Euclidean"}
    dimensions = list(dict.fromkeys(row.recipe.dimension_number for row in shown))
    is_by_ratio = len({row.recipe.ratio for row in shown}) > 1

    def name_of(row: Experiment) -> tuple[str, int]:
        method, number = row.recipe.grouping_without_ratio, row.recipe.dimension_number
        offset = list(names).index(method)
        if not is_by_ratio:
            return names[method], offset
        size = FULL_DIMENSION if number is None else number
        return f"{names[method]}, d = {size}", 2 * dimensions.index(number) + offset

    # The ungrouped model has no distance, so no curve starts at it.
    groups = _along(
        "ratio" if is_by_ratio else "dimension", sorted(shown, key=lambda row: name_of(row)[1])
    )
    if is_by_ratio:
        series = _named(groups, name_of, told=["method", "dimension"])
        return _with_oracle(series, "ratio", reference_of_main(rows))
    series = _named(groups, name_of, told=["method"], unnamed=[*_DRAWN, "dimension"])
    return _with_oracle(series, "dimension", reference_of_main(rows))


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

    def name_of(row: Experiment) -> tuple[str, int]:
        method = row.recipe.grouping_without_ratio
        name = METHOD_NAMES[method]
        if row.recipe.is_aligned:
            return f"{name} after CLSA", 2 if method == "kmeans-cosine" else 5
        return name, colours.get(method, 5)

    series = _named(_by_ratio(rows, controlled(rows)), name_of, told=["method", "alignment"])
    return _with_oracle(series, "ratio", reference_of_main(rows))


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


#: The grouping methods of figures that do not show all of METHOD_NAMES, which have a ratio.
_METHODS = {"figure6": ("ungrouped",), "figure12": ("kmeans-cosine", "kmeans-euclidean")}

#: The values of ``figure`` that have a meaning. Other values are the user's own.
_WITH_MEANING = (*_FIGURES, "oracle", "table4")


def check_figures(rows: Sequence[Experiment], config: Mapping[str, Any]) -> None:
    """Check the figures of the experiments, and the config's keys for figures.

    Raises:
        InputError: a figure is misspelt or cannot show one of its rows, or a control is of another
            backbone than the oracle.
    """
    _check_shown(rows, config["experiments"])
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


def _check_shown(rows: Sequence[Experiment], path: str) -> None:
    """Check that the figures can show the groupings and trainings of their rows."""
    for row in rows:
        where = f"{path}, line {row.line}: {row.figure} shows"
        methods = _METHODS.get(row.figure, tuple(METHOD_NAMES))
        if row.figure in _FIGURES and row.recipe.grouping_without_ratio not in methods:
            raise InputError(
                f"{where} the groupings {', '.join(methods)}, and not {row.recipe.grouping}; give "
                "the row a `figure` of its own, or table4, which compares groupings by lexicon"
            )
        if row.figure == "figure9" and row.training == ALL_LANGUAGES:
            raise InputError(
                f"{where} transfer from one language, and `training` is {ALL_LANGUAGES}; set it to "
                "a language, as eng, or give the row another `figure`"
            )


def _check_controls(rows: Sequence[Experiment], path: str) -> None:
    """Check that the controls have the main backbone, with whose oracle and K-Means they are
    compared."""
    main = main_backbone(rows)
    for row in _of(rows, "controls"):
        if main is not None and row.recipe.backbone != main:
            raise InputError(
                f"{path}, line {row.line}: a row with `figure` controls has backbone "
                f"{row.recipe.backbone}, and controls are compared with the oracle of {main}; set "
                f"its backbone to {main}, or give it another `figure`"
            )


def by_grouping(recipe: Recipe) -> tuple[Any, ...]:
    """A sort key for recipes: backbone, alignment, dimension, method and ratio, large ratios
    first."""
    first = (recipe.backbone, recipe.is_aligned, recipe.alignment)
    return (
        *first,
        -(recipe.dimension_number or math.inf),
        recipe.grouping != "ungrouped",
        recipe.grouping_without_ratio,
        -(recipe.ratio if recipe.has_ratio else 0.0),
    )


def alignment_name(recipe: Recipe) -> str:
    """The lexicons of an alignment in words: ``emoji + numbers``, or ``no alignment``."""
    return " + ".join(recipe.alignment_lexicons) or "no alignment"


def _of(rows: Iterable[Experiment], figure: str) -> list[Experiment]:
    return [row for row in rows if row.figure == figure]


def _grouped(rows: Iterable[Experiment], figure: str) -> list[Experiment]:
    return [row for row in _of(rows, figure) if row.recipe.has_ratio]


def _is_reduced(row: Experiment) -> bool:
    return row.recipe.dimension_number is not None


def _method(row: Experiment) -> str:
    """The grouping method; ``SG`` as in the paper for K-Means by cosine."""
    method = row.recipe.grouping_without_ratio
    return "SG" if method == "kmeans-cosine" else METHOD_NAMES[method]


#: The parts in which curves or bars may differ, and how a label names them.
_PARTS: dict[str, Callable[[Experiment], str]] = {
    "backbone": lambda row: row.recipe.backbone,
    "alignment": lambda row: alignment_name(row.recipe),
    "dimension": lambda row: f"{row.recipe.dimension_number or 'all'} dimensions",
    "method": lambda row: METHOD_NAMES[row.recipe.grouping_without_ratio],
    "ratio": lambda row: f"{100 * row.recipe.ratio:.3g}%",
    "pretraining": lambda row: "pretrained" if row.recipe.is_pretrained else "not pretrained",
    "training": lambda row: f"trained on {row.training.replace('-', ' ')}",
}

#: The parts that a curve shows as its x and its dashes.
_DRAWN = ("ratio", "pretraining")


def _named(
    groups: Sequence[Sequence[Experiment]],
    name_of: Callable[[Experiment], tuple[str, int]],
    *,
    told: Collection[str],
    unnamed: Collection[str] = _DRAWN,
) -> tuple[Series, ...]:
    """One series per group of experiments. Its label also names the parts in which the figure's
    series differ, and another label has another colour.

    Args:
        name_of: the name and the colour of an experiment's series, if no part needs to be named.
        told: parts that these names tell; they are named if they differ in series with one name.
        unnamed: parts that labels do not name: those that a curve itself shows.
    """
    shown = [group[-1] for group in groups]  # the first may be an ungrouped model
    names = [name_of(row) for row in shown]
    free = (n for n in itertools.count() if n not in {colour for _, colour in names})
    colours: dict[str, int] = {}
    series = []
    for group, row, (name, colour) in zip(groups, shown, names, strict=True):
        label = name
        alike = [other for other, (same, _) in zip(shown, names, strict=True) if same == name]
        for part, text_of in _PARTS.items():
            compared = alike if part in told else shown
            if part not in unnamed and len({text_of(other) for other in compared}) > 1:
                label += f", {text_of(row)}"
        if label not in colours:
            colours[label] = next(free) if colour in colours.values() else colour
        series.append(Series(label, colours[label], tuple(group)))
    return tuple(series)


def _with_oracle(series: tuple[Series, ...], x: str, oracle: Experiment | None) -> Curves:
    """The curves of a figure, with the oracle if they all have its backbone and training."""
    shown = {(row.recipe.backbone, row.training) for s in series for row in s.experiments}
    if oracle is None or shown != {(oracle.recipe.backbone, oracle.training)}:
        return Curves(series, x)
    return Curves(series, x, oracle)


def _along(x: str, shown: Iterable[Experiment]) -> list[list[Experiment]]:
    """The experiments, each once, in groups that differ in nothing but x, which is ``ratio`` or
    ``dimension``."""
    found: dict[tuple[Recipe, str, str], list[Experiment]] = {}
    for row in {(row.recipe, row.training): row for row in shown}.values():
        method = row.recipe.grouping_without_ratio
        same = {"ratio": {"grouping": "ungrouped"}, "dimension": {"dimension": "dfull"}}[x]
        found.setdefault((replace(row.recipe, **same), method, row.training), []).append(row)
    return list(found.values())


def _ungrouped(rows: Iterable[Experiment]) -> dict[tuple[Recipe, str], Experiment]:
    """Recipe and training -> the ungrouped model."""
    return {(row.recipe, row.training): row for row in rows if row.recipe.grouping == "ungrouped"}


def _by_ratio(rows: Sequence[Experiment], shown: Iterable[Experiment]) -> list[list[Experiment]]:
    """The grouped experiments as curves over the ratio. A curve starts at the ungrouped model if
    the table has one: with the alignment of the curve, else unaligned."""
    ungrouped = _ungrouped(rows)
    groups = _along("ratio", (row for row in shown if row.recipe.has_ratio))
    for members in groups:
        members.sort(key=lambda row: -row.recipe.ratio)
        first = members[0]
        starts = [replace(first.recipe, grouping="ungrouped")]
        starts.append(replace(starts[0], alignment="unaligned"))
        start = next((s for r in starts if (s := ungrouped.get((r, first.training)))), None)
        members[:0] = [] if start is None else [start]
    return groups
