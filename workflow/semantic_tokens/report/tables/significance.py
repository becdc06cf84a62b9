"""The differences between experiments, on a page (not in the paper)."""

from pathlib import Path
from typing import Any

import pandas as pd

from semantic_tokens.evaluation.bootstrap import Resampling
from semantic_tokens.evaluation.scores import Trainings
from semantic_tokens.evaluation.significance import TO_REFERENCE, side_by_side
from semantic_tokens.report.pages import Section, write_csv, write_page

FORMATS = dict.fromkeys(
    ("first_score", "second_score", "difference", "low", "high", "p", "p_adjusted"), ".4f"
)


def write_significance(
    table: pd.DataFrame,
    csv: str | Path,
    html: str | Path,
    *,
    title: str,
    runs: Trainings,
    resampling: Resampling,
) -> None:
    """Write :func:`semantic_tokens.evaluation.significance.significance` as CSV, and as a page with
    one section for each kind of comparison."""
    write_csv(table, csv, FORMATS)
    level = 1 - resampling.confidence

    def classes(row: dict[str, Any], column: str) -> str:
        return "weak" if row["p_adjusted"] > level else ""

    kinds = [TO_REFERENCE, *(k for k in table["compared"].unique() if k != TO_REFERENCE)]
    headings = {TO_REFERENCE: "Compared with the reference"}
    write_page(
        html,
        f"Significance: {title}",
        [
            f"Paired bootstrap over the test items ({resampling.resamples:,} samples): the "
            "difference (first minus second), its "
            f"{resampling.confidence:.0%} interval, the two-sided p, and p adjusted for all "
            "comparisons of one task and kind (Benjamini and Hochberg). Grey rows have an "
            f"adjusted p above {level:.2g}. "
            + (
                "Everything was trained once, so the variation between trainings is not included."
                if len(runs.seeds) == runs.replicates == 1
                else "Scores are means over trainings, whose variation is included."
            )
        ],
        [
            Section(
                side_by_side(table, kind),
                headings.get(kind, f"Experiments that differ only in {kind}"),
                formats=FORMATS,
                classes=classes,
            )
            for kind in kinds
        ],
    )
