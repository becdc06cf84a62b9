"""A comparison of runs as CSV, as a page, and as text for the terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from semantic_tokens.errors import InputError
from semantic_tokens.files import output_file
from semantic_tokens.report.pages import Section, write_csv, write_page
from semantic_tokens.report.run_comparison.compare import COLUMNS, RunComparison

NUMBERS = dict.fromkeys(COLUMNS[4:], ".4f")


def checked_output(path: str | Path) -> Path:
    """The file for :func:`write_comparison`, with links resolved.

    Raises:
        InputError: it cannot be written, or is of another kind.
    """
    _check_kind(path)
    target = output_file(path)
    _check_kind(target)
    return target


def _check_kind(path: str | Path) -> None:
    if Path(path).suffix not in (".csv", ".html"):
        raise InputError(f"{path} ends neither in .csv nor in .html; rename it")


def write_comparison(comparison: RunComparison, path: str | Path) -> None:
    """Write a comparison: its table as CSV, or everything as an HTML page, depending on the suffix.

    Raises:
        InputError: the suffix is another one.
    """
    _check_kind(path)
    if Path(path).suffix == ".csv":
        write_csv(_renamed(comparison, comparison.table), path, _renamed_formats(comparison))
        return
    level = 1 - comparison.resampling.confidence

    def classes(row: dict[str, Any], column: str) -> str:
        return "weak" if not row["p adjusted"] <= level else ""

    table = _renamed(comparison, comparison.table).rename(columns={"p_adjusted": "p adjusted"})
    formats = _renamed_formats(comparison) | {"p adjusted": ".4f"}
    sections = [Section(table, "Scores", formats=formats, classes=classes)]
    made = _renamed(comparison, comparison.differing)
    if len(made):
        sections.append(Section(made, "Differences in how they were made"))
    title = f"Runs {comparison.first} and {comparison.second}"
    write_page(path, title, [explanation(comparison), *comparison.notes], sections)


def explanation(comparison: RunComparison) -> str:
    """How to read the table, in a few sentences."""
    resampling = comparison.resampling
    return (
        f"Differences are {comparison.second} minus {comparison.first}. The "
        f"{resampling.confidence:.0%} intervals are from a paired bootstrap over test items "
        f"({resampling.resamples:,} samples), and include the variation between trainings if there "
        "are several. p is "
        f"two-sided, and adjusted for {comparison.table['p'].notna().sum()} tests (Benjamini and "
        "Hochberg)."
    )


def printed(comparison: RunComparison) -> str:
    """A comparison as text for the terminal."""
    first, second = comparison.first, comparison.second
    lines = []
    for row in comparison.table.to_dict("records"):
        line = {"task": row["task"], "metric": row["metric"], "experiment": row["experiment"]}
        line[first] = _with_interval(row, "first_score", "first_low", "first_high")
        line[second] = _with_interval(row, "second_score", "second_low", "second_high")
        line["difference"] = _with_interval(row, "difference", "low", "high", "+.4f")
        line |= {name: _number(row[name], ".4f") for name in ("p", "p_adjusted")}
        lines.append(line)
    text = [pd.DataFrame(lines).to_string(index=False), "", explanation(comparison)]
    text += comparison.notes
    if len(comparison.differing):
        made = _renamed(comparison, comparison.differing)
        for name in (first, second):  # shorten long lists, such as all languages of a corpus
            made[name] = [text if len(text) <= 60 else f"{text[:57]}..." for text in made[name]]
        text += ["", "Differences in how they were made:", made.to_string(index=False)]
    else:
        text += ["", "There are no known differences in how they were made."]
    return "\n".join(text)


def _with_interval(
    row: Mapping[Any, Any], value: str, low: str, high: str, form: str = ".4f"
) -> str:
    if pd.isna(row[value]):
        return "–"
    return f"{row[value]:{form}} [{row[low]:{form}}, {row[high]:{form}}]"


def _number(value: float, form: str) -> str:
    return "–" if pd.isna(value) else format(value, form)


def _renamed(comparison: RunComparison, table: pd.DataFrame) -> pd.DataFrame:
    """A table with the runs' names in place of ``first…`` and ``second…`` in column names."""
    return table.rename(columns={column: _column(comparison, column) for column in table})


def _renamed_formats(comparison: RunComparison) -> dict[str, str]:
    return {_column(comparison, column): form for column, form in NUMBERS.items()}


def _column(comparison: RunComparison, column: str) -> str:
    side, underscore, rest = column.partition("_")
    names = {"first": comparison.first, "second": comparison.second}
    return f"{names[side]}{underscore}{rest}" if side in names else column
