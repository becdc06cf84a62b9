"""The groupings of a study that are measured on held-out translations."""

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
