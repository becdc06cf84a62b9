"""The paper's Table 4 (Appendix F): grouping by lexicon compared with K-Means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from safetensors import safe_open

from semantic_tokens.errors import InputError
from semantic_tokens.evaluation.scores import TaskScores, experiment_name
from semantic_tokens.evaluation.task_scores import METRIC_NAMES
from semantic_tokens.report.pages import Section, write_csv, write_page
from semantic_tokens.report.tables.table5 import SPREADS
from semantic_tokens.study.experiments import ExperimentRow, recipe_of
from semantic_tokens.study.recipe import METHOD_NAMES, Recipe, lexicons_of


@dataclass(frozen=True)
class LexiconTask:
    """The task of Table 4.

    Attributes:
        task: the task in the config.
        language: the language of the score; None for the mean over all.
    """

    task: str
    language: str | None


def table4(
    rows: Sequence[ExperimentRow],
    shown: LexiconTask,
    metric: str,
    scores: TaskScores,
    ratio_of_groups: Mapping[str, float],
) -> pd.DataFrame:
    """Table 4: groups of translations compared with K-Means.

    Args:
        metric: the metric of the task, for example ``ndcg_at_10``.
        scores: the scores of the task.
        ratio_of_groups: recipe path -> |V'| / |V|, which depends on the coverage of a lexicon.

    Returns:
        ``method, ratio, {metric}``, ``…_std`` with several seeds, ``…_std_replicates`` with several
        replicates, the interval ``…_low`` and ``…_high``, ``above_chance`` (``yes`` or ``no``), the
        number of scored ``items``, and ``recipe``.
    """
    lines = []
    for row in rows:
        recipe, name = recipe_of(row), experiment_name(row)
        if shown.language is None:
            score = scores.estimate(name)
            items = sum(scores.counts[language] for language in scores.languages_of(name))
        elif shown.language not in scores.languages:
            raise InputError(
                f"config key lexicon_comparison.language is {shown.language}, and {shown.task} is "
                f"tested in {', '.join(scores.languages)}; name one of them, or null for their mean"
            )
        else:
            score = scores.in_language(name, shown.language)
            items = scores.counts[shown.language]
        line = {
            "method": method_name(recipe),
            "ratio": ratio_of_groups[recipe.path],
            metric: score.value,
        }
        line |= {f"{metric}_{name}": std for name, std in score.spreads.items()}
        line |= {f"{metric}_low": score.low, f"{metric}_high": score.high}
        line["above_chance"] = "yes" if scores.is_above_chance(name, shown.language) else "no"
        lines.append(line | {"items": items, "recipe": name})
    return pd.DataFrame(lines)


def write_table4(
    table: pd.DataFrame,
    csv: str | Path,
    html: str | Path,
    *,
    shown: LexiconTask,
    metric: str,
    trainings: Sequence[str],
    title: str,
    confidence: float,
) -> None:
    """Write :func:`table4` as CSV, and as a page.

    Args:
        trainings: the languages that the models were trained on, of every row.
    """
    formats = {f"{metric}{part}": ".4f" for part in ("", *SPREADS, "_low", "_high")}
    write_csv(table, csv, formats | {"ratio": ".4f"})
    where = "over all languages" if shown.language is None else f"in {shown.language}"
    write_page(
        html,
        f"Grouping by lexicon compared with K-Means: {title}",
        [
            f"{METRIC_NAMES[metric]} of {shown.task} {where}, trained on "
            f"{', '.join(sorted(set(trainings)))}. The coverage of a lexicon determines its ratio. "
            f"Low and high are the limits of the {confidence:.0%} interval, from a bootstrap over the "
            "test items. above_chance is yes if the entire interval of the difference to chance is above zero."
        ],
        [Section(table, formats=formats | {"ratio": ".1%"})],
    )


def method_name(recipe: Recipe) -> str:
    """A grouping in words, and what else made the model; the paper's rows have only a grouping.

    >>> method_name(Recipe("mbert", "unaligned", "dfull", "lexicon-muse+panlex", "mlm"))
    'lexicon: muse + panlex, pretrained'
    """
    if recipe.grouping_method == "lexicon":
        name = f"lexicon: {' + '.join(lexicons_of(recipe.grouping))}"
    elif recipe.grouping_method == "ungrouped":
        name = "oracle"
    else:
        name = METHOD_NAMES[recipe.grouping_without_ratio]
    parts = [name]
    if recipe.is_aligned:
        parts.append(f"aligned by {' + '.join(recipe.alignment_lexicons)}")
    if recipe.dimension_number is not None:
        parts.append(f"{recipe.dimension_number} dimensions")
    if recipe.is_pretrained:
        parts.append("pretrained")
    return ", ".join(parts)


def ratio_of_file(path: str | Path) -> float:
    """|V'| / |V| of a groups file, without reading its tensors."""
    with safe_open(path, framework="np") as file:
        weight, mapping = (file.get_slice(name) for name in ("weight", "token_to_group"))
        return float(weight.get_shape()[0] / mapping.get_shape()[0])
