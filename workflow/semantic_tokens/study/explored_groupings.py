"""The groupings in the explorer."""

import math
from collections.abc import Sequence

from semantic_tokens.study.experiments import Experiment
from semantic_tokens.study.figures import main_backbone
from semantic_tokens.study.recipe import Recipe

_METHODS = ("kmeans", "lexicon")


def explored(rows: Sequence[Experiment]) -> list[Recipe]:
    """The K-Means and lexicon groupings of the main backbone, at the largest dimension with a
    K-Means grouping (or a lexicon grouping, if there is no K-Means).

    Alignments are in the table's order, each with its finest grouping first. Pretraining does not
    change groups, so the recipes have none.

    Returns:
        an empty list if the table of experiments has no such grouping.
    """
    found = [
        Recipe(r.backbone, r.alignment, r.dimension, r.grouping)
        for r in (row.recipe for row in rows)
        if r.backbone == main_backbone(rows) and r.grouping_method in _METHODS
    ]
    by_kmeans = [recipe for recipe in found if recipe.grouping_method == "kmeans"]
    largest = max(map(_dimension, by_kmeans or found), default=0)
    found = [recipe for recipe in dict.fromkeys(found) if _dimension(recipe) == largest]
    alignments = list(dict.fromkeys(row.recipe.alignment for row in rows))
    return sorted(
        found, key=lambda r: (alignments.index(r.alignment), r.grouping_without_ratio, -_ratio(r))
    )


def _dimension(recipe: Recipe) -> float:
    return recipe.dimension_number or math.inf


def _ratio(recipe: Recipe) -> float:
    return 0 if recipe.grouping_method == "lexicon" else recipe.ratio
