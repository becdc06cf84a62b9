"""Table 5 beside the paper's (Appendix G).

Rows are matched by their place: the figure, the how manieth backbone of the table and dimension of
that backbone, the ratio, alignment and pretraining. So a study with other backbones and
dimensions is compared too, and says what it is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from semantic_tokens.errors import InputError
from semantic_tokens.files import whole
from semantic_tokens.pages import Section, write_page

IDENTITY = ["figure", "backbone", "dim", "ratio", "clsa", "pretrain"]
#: Fewest points of a curve whose order is compared.
FEWEST_POINTS = 3


def read_table(path: str | Path) -> pd.DataFrame:
    """A Table 5 as CSV: ours, or the paper's, whose first lines are comments."""
    table = pd.read_csv(path, comment="#", keep_default_na=False, na_values={"ratio": [""]})
    return table.astype({"dim": int, "ratio": float})


def places(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    """What a row is by its place in the table: equal in two tables for rows that correspond."""
    backbones = list(dict.fromkeys(table["backbone"]))
    dimensions = {
        b: sorted(set(part["dim"]), reverse=True) for b, part in table.groupby("backbone")
    }
    return [
        (
            row["figure"],
            backbones.index(row["backbone"]),
            dimensions[row["backbone"]].index(row["dim"]),
            row["ratio"],
            row["clsa"],
            row["pretrain"],
        )
        for row in table.to_dict("records")
    ]


def repeated_rows(published: pd.DataFrame) -> set[int]:
    """The rows whose scores repeat an earlier row's to the digit, so that they are no
    measurements of their own."""
    scores = published[[c for c in published if c not in IDENTITY and not c.endswith("_perc")]]
    return set(published.index[scores.duplicated()])


def compare(
    ours: pd.DataFrame, published: pd.DataFrame, columns: Mapping[str, tuple[str, str]]
) -> pd.DataFrame:
    """A line a row and task that both tables have.

    Args:
        columns: task -> our column of scores, and its kind, which is the paper's column.

    Returns:
        our :data:`IDENTITY`; ``task``; ``ours``, ``published`` and their ``_perc``;
        ``perc_difference`` in points; ``independent``, whether the published number is not a
        repetition; and ``curve_spearman``, the rank correlation of ours and the published along
        the row's curve, by ratio or, where that is the same, by dimension; empty for short ones;
        ``collection`` where a task of ours searched a part of one.

    Raises:
        InputError: no row has its place in the paper's table.
    """
    position = {place: index for index, place in enumerate(places(published))}
    repeated = repeated_rows(published)
    lines = []
    for row, place in zip(ours.to_dict("records"), places(ours), strict=True):
        if place not in position:
            continue
        other = published.iloc[position[place]]
        for task, (column, kind) in columns.items():
            perc, other_perc = pd.to_numeric(row[f"{column}_perc"]), float(other[f"{kind}_perc"])
            line = {name: row[name] for name in IDENTITY} | {"task": task}
            line |= {"ours": float(row[column]), "published": float(other[kind])}
            line |= {"ours_perc": perc, "published_perc": other_perc}
            line["perc_difference"] = round(perc - other_perc, 1)
            line["independent"] = "no" if position[place] in repeated else "yes"
            if (searched := f"{column}_collection") in ours:
                line["collection"] = row[searched]
            lines.append(line)
    if not lines:
        raise InputError(
            "no row of this table of experiments has its place in the paper's Table 5: mend the "
            "column `figure`, or ask for other targets than results/comparison.html"
        )
    table = pd.DataFrame(lines)
    if "collection" in table:
        table = table.fillna({"collection": ""})
    table["curve_spearman"] = ""
    for _, part in table.groupby(["figure", "backbone", "clsa", "pretrain", "task"]):
        curves = part.groupby("dim") if part["ratio"].nunique() > 1 else [("", part)]
        for _, curve in curves:
            if len(curve) >= FEWEST_POINTS and curve["ours"].nunique() > 1:
                rho = curve["ours"].corr(curve["published"], method="spearman")
                table.loc[curve.index, "curve_spearman"] = f"{rho:.2f}"
    return table


def write_comparison(
    table: pd.DataFrame, csv: str | Path, html: str | Path, *, title: str, same_data: bool
) -> None:
    """Write :func:`compare` as CSV, and as a page that says first whether the data are the
    paper's."""
    with whole(csv) as partial:
        table.to_csv(partial, index=False, lineterminator="\n", encoding="utf-8")
    note = (
        "Data and backbones are the paper's."
        if same_data
        else "Data, backbones and training differ from the paper's: the numbers are not to be "
        "compared, only the order along a curve (curve_spearman) and, with care, perc."
    )
    if "collection" in table:
        note += (
            " Where collection says what was searched, it is a part of the paper's, and easier "
            "than the whole: such a score is not the paper's measure."
        )
    note += " Where independent is no, the paper's row repeats another to the digit."
    write_page(html, f"Beside the paper: {title}", [note], [Section(table)])
