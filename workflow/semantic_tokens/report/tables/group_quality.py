"""Groups compared with held-out translations, scripts and languages (not in the paper)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from semantic_tokens.evaluation.bootstrap import Resampling
from semantic_tokens.evaluation.group_quality import measured_groups
from semantic_tokens.grouping.groups import Groups
from semantic_tokens.report.pages import Section, write_csv, write_page
from semantic_tokens.study.recipe import recipe_of_file

#: Columns with an interval, in columns with the suffixes ``_low`` and ``_high``.
WITH_INTERVAL = ("together", "together_minus_kmeans", "script_purity", "language_purity")

_BY_CHANCE = ["together_by_chance", "script_purity_by_chance", "language_purity_by_chance"]
_OTHER_SHARES = ["together_at_random", "mixed_script", "mixed_language"]


def group_quality(
    files: Iterable[str | Path],
    pairs: np.ndarray,
    scripts: Mapping[int, Sequence[str]],
    languages: Mapping[int, Sequence[str]],
    resampling: Resampling,
) -> pd.DataFrame:
    """The quality of several groupings of one vocabulary.

    Args:
        files: ``…/{backbone}/{alignment}/{dimension}/{grouping}.safetensors``.
        pairs: [P, 2] int64, held-out translations.
        scripts, languages: token id -> its labels.

    Returns:
        ``backbone, alignment, dimension, grouping, method, ratio``, and the columns of
        :func:`~semantic_tokens.evaluation.group_quality.measured_groups`; unaligned groupings first, large
        ratios first.
    """
    grouped = {recipe_of_file(path): Groups.load(path).token_to_group.numpy() for path in files}
    lines = []
    for recipe, groups in tqdm(grouped.items(), desc="measuring groups", unit="grouping"):
        kmeans = replace(recipe, alignment="unaligned", grouping=f"kmeans-cosine-{recipe.ratio:g}")
        lines.append(
            {
                "backbone": recipe.backbone,
                "alignment": recipe.alignment,
                "dimension": recipe.dimension,
                "grouping": recipe.grouping,
                "method": recipe.grouping_without_ratio,
                "ratio": recipe.ratio,
                **measured_groups(
                    groups,
                    pairs,
                    scripts,
                    languages,
                    resampling,
                    kmeans=None if kmeans == recipe else grouped.get(kmeans),
                ),
            }
        )
    order = ["alignment", "dimension", "method", "ratio"]
    return pd.DataFrame(lines).sort_values(order, ascending=[False, False, True, False])


def write_group_quality(
    table: pd.DataFrame,
    csv: str | Path,
    html: str | Path,
    *,
    title: str,
    held_out_fraction: float,
    confidence: float,
) -> None:
    """Write :func:`group_quality` as CSV, and as a page."""
    limits = [f"{column}{edge}" for column in WITH_INTERVAL for edge in ("_low", "_high")]
    shares = [*WITH_INTERVAL, *limits, *_BY_CHANCE, *_OTHER_SHARES]
    write_csv(table, csv, dict.fromkeys(shares, ".5f"))
    pairs = int(table["pairs"].iloc[0])
    shown = table.drop(columns=limits)
    for column in WITH_INTERVAL:
        sign = "+" if "minus" in column else ""
        shown[column] = [
            f"{value:{sign}.1%} ({low:{sign}.1%} to {high:{sign}.1%})" if pd.notna(value) else None
            for value, low, high in zip(
                table[column], table[f"{column}_low"], table[f"{column}_high"], strict=True
            )
        ]
    formats = dict.fromkeys([*_BY_CHANCE, *_OTHER_SHARES], ".1%") | {"together_at_random": ".2%"}
    write_page(
        html,
        f"Groups and held-out translations: {title}",
        [
            f"{pairs:,} translation pair{'s' * (pairs != 1)} of single subwords, from concepts that "
            f"are held out of alignment ({held_out_fraction:.0%}), and in no other concept of these "
            "lexicons. together: the fraction of pairs in one group; minus K-Means: the difference "
            "to unaligned K-Means at the same ratio; by chance: with the pairs' words paired at "
            "random; at random: for any two subwords of the vocabulary. Groups of the methods "
            "random and frequency have the sizes of K-Means' groups.",
            "purity: in groups of two or more, the fraction of members with their group's most "
            "frequent script or language; by chance: with shuffled labels. Only letters have a "
            "script, and only the lexicons' words have languages. Round-trip pairs are found from "
            "embeddings, so a held-out pair may be among them.",
            f"Brackets have {confidence:.0%} intervals, from a bootstrap over pairs, or over groups "
            "for purity. Pairs with a common subword are drawn together.",
        ],
        [Section(shown, formats=formats)],
    )
