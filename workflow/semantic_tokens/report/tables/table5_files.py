"""Table 5 as CSV, LaTeX and HTML."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from semantic_tokens.evaluation.task_scores import BASELINE_NAMES, ScoredTask
from semantic_tokens.files import atomic_file
from semantic_tokens.report.pages import TEMPLATES, Section, environment, write_page
from semantic_tokens.report.pages import write_csv as write_plain_csv
from semantic_tokens.report.tables.table5 import PERC_DECIMALS, REST_OF_RECIPE, SPREADS
from semantic_tokens.study.experiments import ALL_LANGUAGES
from semantic_tokens.study.recipe import METHOD_NAMES, METHODS_OF_TABLE_5, Recipe

#: The colours of relative performance in percent, from the paper (Table 5's caption).
BANDS = {
    "green": "above 90%",
    "yellow": "70% to 90%",
    "red": "50% to 70%",
    "darkred": "below 50%",
}
#: How the LaTeX table prints the columns `clsa` and `pretrain`.
TEX_MARKS = {"yes": r"$\checkmark$", "no": r"$\times$", "": "---"}


def write_csv(table: pd.DataFrame, tasks: Sequence[ScoredTask], path: str | Path) -> None:
    """Write :func:`table5` or :func:`baselines` with fixed decimals, so that equal scores give
    equal bytes."""
    formats: dict[str, str] = {}
    for task in tasks:
        formats |= {
            f"{task.column}{part}": f".{task.decimals}f" for part in ("", *SPREADS, "_low", "_high")
        }
        formats[f"{task.column}_perc"] = f".{PERC_DECIMALS}f"
    write_plain_csv(table, path, formats)


def write_by_language(table: pd.DataFrame, tasks: Sequence[ScoredTask], path: str | Path) -> None:
    """Write :func:`by_language` with fixed decimals."""
    decimals = {task.name: task.decimals for task in tasks}
    printed = table.copy()
    for column in {"value", "low", "high", *(part[1:] for part in SPREADS)} & set(table):
        printed[column] = [
            "" if math.isnan(number) else f"{number:.{decimals[task]}f}"
            for task, number in zip(table["task"], table[column], strict=True)
        ]
    write_plain_csv(printed, path)


def write_by_language_page(
    table: pd.DataFrame, tasks: Sequence[ScoredTask], path: str | Path, *, title: str
) -> None:
    """Write :func:`by_language` as a page, with one table per task and one column per language."""
    numbers = ("value", "std", "std_replicates", "low", "high", "above_chance", "count")
    who = [c for c in table if c not in ("task", "metric", "language", *numbers)]
    sections = []
    for task in tasks:
        part = table[table["task"] == task.name].astype({"ratio": object})
        part = part.assign(ratio=[f"{r:.4g}" if pd.notna(r) else "" for r in part["ratio"]])
        labels = [c for c in who if c != "dim"]  # a pivot drops rows with missing values
        part = part.assign(**{c: part[c].astype(object).fillna("") for c in labels})
        part["printed"] = [
            f"{value:.{task.shown_decimals}f}" + ("" if is_above == "yes" else "°")
            for value, is_above in zip(part["value"], part["above_chance"], strict=True)
        ]
        wide = part.pivot_table("printed", who, "language", "first", sort=False).reset_index()
        wide = part[who].drop_duplicates().merge(wide, on=who)  # in the table's order
        languages = sorted(set(part["language"]))
        # Long names are last, so that scores are visible in narrow windows.
        first = [column for column in who if column not in REST_OF_RECIPE]
        wide = wide[[*first, *languages, *REST_OF_RECIPE]]
        counts = part.drop_duplicates("language").set_index("language")["count"]
        note = "Test items: " + ", ".join(f"{code} {counts[code]:,}" for code in languages) + "."
        sections.append(Section(wide, f"{task.name}: {task.metric_name}", note))
    introduction = [
        "Means over seeds; results/table5_by_language.csv has their intervals. A score with ° does "
        "not differ significantly from chance."
    ]
    write_page(path, f"Scores by language: {title}", introduction, sections)


def band(perc: float) -> str:
    """The colour of a relative performance, a key of :data:`BANDS`; empty if there is none.

    It depends on the rounded number: 90.04 is printed as 90.0 and is not above 90.
    """
    if math.isnan(perc):
        return ""
    printed = round(perc, PERC_DECIMALS)
    if printed > 90:
        return "green"
    if printed >= 70:
        return "yellow"
    return "red" if printed >= 50 else "darkred"


def write_latex(
    table: pd.DataFrame,
    without_model: pd.DataFrame,
    tasks: Sequence[ScoredTask],
    path: str | Path,
    **context: Any,
) -> None:
    """Write :func:`table5` as a LaTeX table to ``\\input``; the file names the packages it needs.

    Args:
        without_model: from :func:`baselines`.
        context: ``title``, ``runs`` (:class:`Trainings`), ``confidence`` of the intervals, ``backbone``
            of the reference for the baselines, and on the page ``rules``, the rule of chance by
            task.
    """
    tex = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        # TeX uses braces, percents and hashes, so jinja2 uses other marks.
        block_start_string=r"\BLOCK{",
        block_end_string="}",
        variable_start_string=r"\VAR{",
        variable_end_string="}",
        comment_start_string=r"\COMMENT{",
        comment_end_string="}",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    tex.filters["tex"] = escape_tex
    tex.globals["marks"] = TEX_MARKS
    _render(tex, "table5.tex.j2", table, without_model, tasks, path, context)


def write_html(
    table: pd.DataFrame,
    without_model: pd.DataFrame,
    tasks: Sequence[ScoredTask],
    path: str | Path,
    **context: Any,
) -> None:
    """Write :func:`table5` as a self-contained HTML page; see :func:`write_latex`."""
    _render(environment(), "table5.html.j2", table, without_model, tasks, path, context)


def _render(
    templates: jinja2.Environment,
    template: str,
    table: pd.DataFrame,
    without_model: pd.DataFrame,
    tasks: Sequence[ScoredTask],
    path: str | Path,
    context: Mapping[str, Any],
) -> None:
    text = templates.get_template(template).render(
        groups=_groups(table, tasks),
        baselines=[
            {"name": BASELINE_NAMES[line["baseline"]], "cells": [_cell(line, t) for t in tasks]}
            for line in without_model.to_dict("records")
        ],
        tasks=tasks,
        bands=BANDS,
        collections=_collections(table, tasks),
        **context,
    )
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _collections(table: pd.DataFrame, tasks: Sequence[ScoredTask]) -> dict[str, str]:
    """Task name -> the searched part, for tasks that searched a part of their collection."""
    columns = {task.name: f"{task.column}_collection" for task in tasks}
    return {
        name: "; ".join(table[column].dropna().unique())
        for name, column in columns.items()
        if column in table
    }


def _groups(table: pd.DataFrame, tasks: Sequence[ScoredTask]) -> list[dict[str, Any]]:
    """The table for printing: blocks with one heading, with their rows and cells by task."""
    groups: list[dict[str, Any]] = []
    for line in table.to_dict("records"):
        heading = _heading(line)
        if not groups or groups[-1]["heading"] != heading:
            groups.append({"heading": heading, "lines": []})
        groups[-1]["lines"].append(
            {
                "dim": line["dim"],
                "ratio": "" if pd.isna(line["ratio"]) else f"{100 * line['ratio']:.4g}",
                "clsa": line["clsa"],
                "pretrain": line["pretrain"],
                "cells": [_cell(line, task) for task in tasks],
            }
        )
    return groups


def _cell(line: Mapping[Any, Any], task: ScoredTask) -> dict[str, Any]:
    """A task's printed numbers in one row; empty if there are none.

    A score that does not differ from chance has no band.
    """

    def printed(part: str, decimals: int) -> str:
        number = line.get(f"{task.column}{part}")
        return "" if number is None or math.isnan(number) else f"{number:.{decimals}f}"

    perc = line[f"{task.column}_perc"]
    is_above = line.get(f"{task.column}_above_chance")
    return {
        "value": printed("", task.shown_decimals),
        "stds": [std for part in SPREADS if (std := printed(part, task.shown_decimals))],
        "low": printed("_low", task.shown_decimals),
        "high": printed("_high", task.shown_decimals),
        "perc": printed("_perc", PERC_DECIMALS),
        "band": band(perc) if is_above == "yes" else "",
        "at_chance": is_above == "no",
    }


def _heading(line: Mapping[Any, Any]) -> str:
    """The figure and the backbone. A grouping or training that the paper's table has not is named
    too, since the paper's columns do not show it."""
    method = Recipe(line["backbone"], grouping=line["grouping"]).grouping_without_ratio
    parts = [f"{_figure_name(line['figure'])}: {line['backbone']}"]
    if method not in METHODS_OF_TABLE_5:
        parts.append(METHOD_NAMES.get(method, method))
    if line["training"] != ALL_LANGUAGES:
        parts.append(f"trained on {line['training']}")
    return ", ".join(parts)


def _figure_name(figure: str) -> str:
    """``figure3`` -> ``Figure 3``; any other name with a capital."""
    number = re.fullmatch(r"figure(\d+)(.*)", figure)
    return f"Figure {number[1]}{number[2]}" if number else figure[:1].upper() + figure[1:]


_TEX_ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


def escape_tex(text: str) -> str:
    """The text with TeX's special characters escaped."""
    return text.translate(_TEX_ESCAPES)
