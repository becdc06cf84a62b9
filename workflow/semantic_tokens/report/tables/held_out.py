"""The masked language modelling loss of every pretrained model on held-out text (section 2.4).

With fewer groups there are fewer possible answers, which lowers the loss. So the table also has the
loss of a guess from the groups' frequencies, and the gain: how much lower the model's loss is.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from semantic_tokens.evaluation.bootstrap import Resampling
from semantic_tokens.evaluation.scores import TaskScores
from semantic_tokens.json_files import read_json
from semantic_tokens.report.pages import Section, write_csv, write_page
from semantic_tokens.study.recipe import METHOD_NAMES, Recipe, recipe_of_file, segmentation_of
from semantic_tokens.tasks.scored_items import ScoredItem

#: The language of rows with means over all languages.
ALL = "all"

#: The columns that identify a model.
IDENTITY = ("backbone", "method", "clsa", "alignment", "dim", "ratio")
LOSSES = ("loss", "low", "high", "loss_by_frequency", "gain", "gain_low", "gain_high")
COLUMNS = (*IDENTITY, "language", *LOSSES, "tokens")
FORMATS = dict.fromkeys(LOSSES, ".4f")


def held_out_losses(
    files: Iterable[str | Path], resampling: Resampling, full_dimension: Mapping[str, int]
) -> pd.DataFrame:
    """The loss of every model in every language, and its mean over languages.

    Args:
        files: from pretraining: ``by_language`` with ``loss`` (nats per masked token), ``tokens``,
            ``loss_by_frequency``, and ``sequences``: for each, the sum of its losses, the sum of
            the guess's, and their number. Models with the same segmentation have the same masked
            tokens.
        full_dimension: backbone -> D.

    Returns:
        :data:`COLUMNS`: those of :data:`IDENTITY`, with ``alignment`` as in the table of
        experiments; ``language``; ``loss`` with its interval ``low`` and ``high``, ``loss_by_frequency``,
        ``gain`` (the latter minus the loss) with its interval, and ``tokens``. Intervals are from
        a bootstrap over sequences. A row with the language ``all`` is before those of each
        language. The table is empty if the corpora are too small to hold out text.
    """
    by_text: dict[tuple[str, str], dict[Recipe, Mapping[str, Any]]] = {}
    for path in files:
        recipe = recipe_of_file(path, "mlm")
        found = read_json(path)["by_language"]
        if found:
            by_text.setdefault(
                (recipe.backbone, segmentation_of(recipe.grouping, resegments=True)), {}
            )[recipe] = found
    lines = []
    for (backbone, segmentation), variants in by_text.items():
        models = {
            f"{column} of {recipe.path}": [_items(found, column)]
            for recipe, found in variants.items()
            for column in ("loss", "gain")
        }
        scores = TaskScores(f"held-out text of {backbone}, {segmentation}", models, resampling)
        for recipe, found in variants.items():
            lines += _lines(recipe, found, scores, full_dimension[backbone])
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _items(found: Mapping[str, Any], column: str) -> list[ScoredItem]:
    """Sequences as items; their score is the loss or the gain per token."""
    return [
        ScoredItem(f"{number:09}", language, lost if column == "loss" else guessed - lost, count)
        for language, of_language in found.items()
        for number, (lost, guessed, count) in enumerate(of_language["sequences"])
    ]


def _lines(
    recipe: Recipe, found: Mapping[str, Any], scores: TaskScores, full_dimension: int
) -> list[dict[str, Any]]:
    who = {
        "backbone": recipe.backbone,
        "method": METHOD_NAMES.get(recipe.grouping_without_ratio, recipe.grouping),
        "clsa": "yes" if recipe.is_aligned else "no",
        "alignment": recipe.alignment,
        "dim": recipe.dimension_number or full_dimension,
        "ratio": None if recipe.grouping_method == "lexicon" else recipe.ratio,
    }
    guesses = {language: of["loss_by_frequency"] for language, of in found.items()}
    counts = {language: of["tokens"] for language, of in found.items()}
    guesses[ALL] = sum(guesses.values()) / len(guesses)
    counts[ALL] = sum(counts.values())
    lines = []
    for language in [ALL, *found]:
        loss, gain = (
            scores.estimate(name) if language == ALL else scores.in_language(name, language)
            for name in (f"loss of {recipe.path}", f"gain of {recipe.path}")
        )
        line = who | {"language": language, "loss": loss.value, "low": loss.low, "high": loss.high}
        line |= {"loss_by_frequency": guesses[language], "tokens": counts[language]}
        line |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
        lines.append(line)
    return lines


def write_held_out(
    table: pd.DataFrame, csv: str | Path, html: str | Path, *, title: str, confidence: float
) -> None:
    """Write :func:`held_out_losses` as CSV, and as a page: means, then languages side by side."""
    write_csv(table, csv, FORMATS)
    shown = table.assign(ratio=[f"{r:.4g}" if pd.notna(r) else "" for r in table["ratio"]])
    means = shown[shown["language"] == ALL].drop(columns="language")
    parts = shown[shown["language"] != ALL]
    wide = parts.pivot_table("loss", list(IDENTITY), "language", sort=False).reset_index()
    sections = [
        Section(_long_last(means), "Means over languages", "", dict.fromkeys(FORMATS, ".3f")),
        Section(_long_last(wide), "Loss by language", "", dict.fromkeys(_languages(parts), ".3f")),
    ]
    nothing = "No corpus of this study is large enough to hold out a sequence."
    write_page(
        html,
        f"Masked language modelling on held-out text: {title}",
        [
            "Loss in nats per masked token, on held-out sequences. With fewer groups there are "
            "fewer possible answers, which lowers the loss; gain is the difference to the loss of "
            "a guess from the groups' frequencies. Low and high are the limits of the "
            f"{confidence:.0%} intervals, from a bootstrap over the sequences.",
            *([nothing] if table.empty else []),
        ],
        [] if table.empty else sections,
    )


def _long_last(table: pd.DataFrame) -> pd.DataFrame:
    """The table with long names last, so that losses are visible in narrow windows."""
    return table[[*(column for column in table if column != "alignment"), "alignment"]]


def _languages(table: pd.DataFrame) -> Sequence[str]:
    return list(dict.fromkeys(table["language"]))
