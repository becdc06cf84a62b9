"""What a study measures besides scores: groups on held-out translations, and pretraining's cost."""

from collections.abc import Sequence
from dataclasses import replace

from semantic_tokens.study.experiments import Experiment
from semantic_tokens.study.figures import main_backbone
from semantic_tokens.study.recipe import Recipe

_METHODS = ("kmeans", "random", "frequency")


def groupings_to_measure(rows: Sequence[Experiment]) -> list[Recipe]:
    """The main backbone's K-Means groupings and controls, each once, in the table's order. They
    include random groups for every K-Means curve over ratios, even if the table does not have them.

    First-k makes no groups, and groups from a lexicon cannot be measured with it. Pretraining does
    not change groups, so the recipes have none.
    """
    found = [
        replace(row.recipe, pretraining="asis")
        for row in rows
        if row.recipe.backbone == main_backbone(rows) and row.recipe.grouping_method in _METHODS
    ]
    curves: dict[tuple[str, str], list[Recipe]] = {}
    for recipe in dict.fromkeys(found):
        if recipe.grouping_without_ratio == "kmeans-cosine" and recipe.dimension == "dfull":
            curves.setdefault((recipe.alignment, recipe.dimension), []).append(recipe)
    beside = [
        replace(recipe, grouping=f"random-{recipe.grouping.rpartition('-')[2]}")
        for curve in curves.values()
        if len(curve) > 1
        for recipe in curve
    ]
    return list(dict.fromkeys([*found, *beside]))


def pretrainings_to_measure(rows: Sequence[Experiment]) -> list[Recipe]:
    """The main backbone's pretrained recipes whose speed and memory Table 3 shows, one for each
    dimension and ratio. The alignment does not affect the cost of a step, so an unaligned recipe has
    priority.
    """
    main = main_backbone(rows)
    pretrained = [
        row.recipe
        for row in rows
        if row.recipe.is_pretrained
        and row.recipe.backbone == main
        and row.recipe.grouping.startswith(("ungrouped", "kmeans-cosine"))
    ]
    # A later recipe replaces an earlier one.
    in_order = sorted(pretrained, key=lambda recipe: (not recipe.is_aligned, recipe.path))
    return list({(recipe.dimension, recipe.ratio): recipe for recipe in in_order}.values())
