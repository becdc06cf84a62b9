"""Table 5 compared with the paper's (Appendix G).

As in the paper's table, only models without groups or with K-Means by cosine are compared, and only
if they are trained on all languages. Rows are matched by figure, ratio, alignment, pretraining, the
position of the backbone in the table, and the position of the dimension among those of the
backbone. So studies with other backbones and dimensions can be compared too, and the page says so.
The paper aligns on all of its lexicons, so of rows that differ only in their lexicons, the one with
the most is compared.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from semantic_tokens.report.pages import Section, write_csv, write_page
from semantic_tokens.study.experiments import ALL_LANGUAGES
from semantic_tokens.study.recipe import METHODS_OF_TABLE_5, Recipe, lexicons_of

IDENTITY = ["figure", "backbone", "dim", "ratio", "clsa", "pretrain"]
#: The numbers of one row and task in :func:`compare`.
NUMBERS = [
    "ours",
    "published",
    "difference",
    "ours_perc",
    "published_perc",
    "perc_difference",
    "independent",
]
ORDER_NOTE = (
    "The rank correlation (Spearman) of our scores and the published ones along each curve, by "
    "grouping ratio, or by dimension if the ratio is constant. The order holds at 1, holds in part "
    "above 0, and does not hold below."
)
#: The minimum number of points for comparing the order along a curve.
FEWEST_POINTS = 3


def read_table(path: str | Path) -> pd.DataFrame:
    """Read Table 5 as CSV: ours, or the paper's, which starts with comments."""
    table = pd.read_csv(path, comment="#", keep_default_na=False, na_values={"ratio": [""]})
    return table.astype({"dim": int, "ratio": float})


def as_in_the_paper(ours: pd.DataFrame) -> pd.DataFrame:
    """The rows whose grouping and training are those of the paper's table."""
    methods = ours["grouping"].map(lambda name: Recipe("any", grouping=name).grouping_without_ratio)
    return ours[methods.isin(METHODS_OF_TABLE_5) & (ours["training"] == ALL_LANGUAGES)]


def places(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    """The keys of rows, which are equal for corresponding rows of two tables."""
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
    """The rows with exactly the same scores as an earlier row, which are not independent."""
    scores = published[[c for c in published if c not in IDENTITY and not c.endswith("_perc")]]
    return set(published.index[scores.duplicated()])


def compare(
    ours: pd.DataFrame, published: pd.DataFrame, columns: Mapping[str, tuple[str, str]]
) -> pd.DataFrame:
    """One row per common row and task of both tables; none if they have no common row.

    Args:
        ours: Table 5 with its columns ``alignment``, ``grouping`` and ``training``.
        columns: task -> our column of scores, and its kind, which is the paper's column.

    Returns:
        our :data:`IDENTITY`; ``task``; ``ours``, ``published`` and their ``difference``; the same
        for ``_perc``, in points; ``independent``, whether the published number is not a
        repetition; ``collection`` if our task searched a part of a collection; ``curve_spearman``,
        the rank correlation of our and the published scores along the row's curve, by ratio, or by
        dimension if the ratios are equal; and ``curve_order``, its meaning for the paper's order
        (:func:`order_of`). The last two are empty for short curves.
    """
    ours = as_in_the_paper(ours)
    position = {place: index for index, place in enumerate(places(published))}
    repeated = repeated_rows(published)
    found: dict[tuple[Any, ...], dict[Any, Any]] = {}
    for row, place in zip(ours.to_dict("records"), places(ours), strict=True):
        if place not in found or _lexicons(row) > _lexicons(found[place]):
            found[place] = row
    lines = []
    for place, row in found.items():
        if place not in position:
            continue
        other = published.iloc[position[place]]
        for task, (column, kind) in columns.items():
            perc, other_perc = pd.to_numeric(row[f"{column}_perc"]), float(other[f"{kind}_perc"])
            line = {name: row[name] for name in IDENTITY} | {"task": task}
            line |= {"ours": float(row[column]), "published": float(other[kind])}
            line["difference"] = round(line["ours"] - line["published"], 4)
            line |= {"ours_perc": perc, "published_perc": other_perc}
            line["perc_difference"] = round(perc - other_perc, 1)
            line["independent"] = "no" if position[place] in repeated else "yes"
            if (searched := f"{column}_collection") in ours:
                line["collection"] = row[searched]
            lines.append(line)
    table = pd.DataFrame(lines) if lines else pd.DataFrame(columns=[*IDENTITY, "task", *NUMBERS])
    if "collection" in table:
        table = table.fillna({"collection": ""})
    table["curve_spearman"] = ""
    table["curve_order"] = ""
    for _, curve in _curves(table, "task"):
        if len(curve) >= FEWEST_POINTS and curve["ours"].nunique() > 1:
            rho = curve["ours"].corr(curve["published"], method="spearman")
            table.loc[curve.index, "curve_spearman"] = f"{rho:.2f}"
            table.loc[curve.index, "curve_order"] = order_of(rho)
    return table


def _lexicons(row: Mapping[Any, Any]) -> int:
    """The number of lexicons of a row's alignment."""
    return len({*lexicons_of(row["alignment"])} - {"roundtrip"})


def order_of(rho: float) -> str:
    """Whether the paper's order along a curve holds, by the rank correlation.

    >>> order_of(1.0), order_of(0.8), order_of(-0.2)
    ('holds', 'holds in part', 'does not hold')
    """
    if rho > 1 - 1e-9:
        return "holds"
    return "holds in part" if rho > 0 else "does not hold"


def _curves(table: pd.DataFrame, *also: str) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Each curve's identity (with its dimension if ratios differ along it), and its rows."""
    names = ["figure", "backbone", "clsa", "pretrain", *also]
    for key, part in table.groupby(names, sort=False):
        identity = dict(zip(names, key, strict=True))
        if part["ratio"].nunique() == 1:
            yield identity | {"dim": "all"}, part
        else:
            for dimension, curve in part.groupby("dim", sort=False):
                yield identity | {"dim": str(dimension)}, curve


def orders(table: pd.DataFrame) -> pd.DataFrame:
    """One row per curve of :func:`compare` and one column per task, with the rank correlation and
    its meaning. Curves that are too short in all tasks are left out."""
    lines = []
    for identity, curve in _curves(table):
        said = {
            task: f"{rho}, {order}" if rho else ""
            for task, rho, order in zip(
                curve["task"], curve["curve_spearman"], curve["curve_order"], strict=True
            )
        }
        if any(said.values()):
            lines.append(identity | said)
    return pd.DataFrame(lines)


def write_comparison(
    table: pd.DataFrame, csv: str | Path, html: str | Path, *, title: str, same_data: bool
) -> None:
    """Write :func:`compare` as CSV, and as a page that first says whether the data are the
    paper's."""
    write_csv(table, csv)
    note = (
        "Data and backbones are the paper's."
        if same_data
        else "Data, backbones and training differ from the paper's: do not compare the numbers, "
        "only the order along a curve and, with care, perc."
    )
    if "collection" in table:
        note += (
            " The column collection describes a part of the paper's collection that was searched. "
            "This is easier, so such a score is not the paper's measure."
        )
    if table.empty:
        note = (
            "No experiment corresponds to a row of the paper's Table 5. The column figure of the "
            "table of experiments is the first that must be the same."
        )
        write_page(html, f"Comparison with the paper: {title}", [note], [])
        return
    along = orders(table)
    sections = [] if along.empty else [Section(along, "Does the paper's order hold?", ORDER_NOTE)]
    formats = {"ours": ".4g", "published": ".4g", "difference": "+.4g", "ratio": ".0%"}
    formats |= {"perc_difference": "+.1f", "ours_perc": ".1f", "published_perc": ".1f"}
    sections.append(
        Section(
            table.drop(columns=["curve_spearman", "curve_order"]),
            "Every cell",
            "In grey rows, independent is no: the paper's row has exactly the same scores as "
            "another row, so it is not a separate measurement.",
            formats=formats,
            classes=lambda row, column: "weak" if row["independent"] == "no" else "",
        )
    )
    write_page(html, f"Comparison with the paper: {title}", [note], sections)
