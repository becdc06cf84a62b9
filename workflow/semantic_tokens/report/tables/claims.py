"""The table of the paper's claims (:mod:`semantic_tokens.evaluation.claims`), and its page."""

from pathlib import Path
from typing import Any

import pandas as pd

from semantic_tokens.evaluation.bootstrap import Resampling
from semantic_tokens.evaluation.claims.shares import ALL
from semantic_tokens.evaluation.claims.verdicts import CONTRADICTED, HOLDS, NOT_MEASURED, summary
from semantic_tokens.report.pages import Section, write_csv, write_page


def write_claims(
    table: pd.DataFrame, csv: str | Path, html: str | Path, *, title: str, resampling: Resampling
) -> None:
    """Write :func:`~semantic_tokens.evaluation.claims.verdicts.judge` as CSV, and as a page:
    one row per claim, then one row per task."""
    numbers = dict.fromkeys(("value", "low", "high", "published"), ".2f")
    write_csv(table, csv, numbers)
    heads = {"section": "§", "holds_if": "holds if", "published": "in the paper"}

    def classes(row: dict[str, Any], column: str) -> str:
        if column == "verdict":
            return {HOLDS: "green", CONTRADICTED: "red"}.get(row["verdict"], "")
        return "weak" if row["verdict"] == NOT_MEASURED else ""

    order = ["topic", "section", "claim", "verdict", "value", "low", "high", "holds_if"]
    overall = summary(table)[[*order, "published", "statistic", "detail"]]
    by_task = table[table["task"] != ALL][
        [
            "topic",
            "claim",
            "task",
            "verdict",
            "value",
            "low",
            "high",
            "holds_if",
            "published",
            "detail",
        ]
    ]
    write_page(
        html,
        f"The paper's claims: {title}",
        [
            f"Each claim has a statistic with its {resampling.confidence:.0%} interval, from a "
            "bootstrap over the test items of this study, and with the variation between trainings "
            "if there are several. A "
            "claim holds if the entire interval is on its side of the bound, is contradicted if it "
            "is entirely on the other side, and is undecided otherwise. The last numbers are the "
            "statistic on the paper's Table 5.",
            "perc is a score in percent of the ungrouped oracle's. A task whose oracle does not "
            "differ from chance is not in the mean over tasks. The intervals are not corrected for "
            "the number of claims.",
        ],
        [
            Section(overall, "Claims", "Means over tasks.", numbers, heads, classes),
            Section(by_task, "By task", "", numbers, heads, classes),
        ],
    )
