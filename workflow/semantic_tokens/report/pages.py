"""Tables on a self-contained HTML page."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from semantic_tokens.files import atomic_file

#: The maximum length of a cell without line breaks; longer cells wrap on narrow pages.
LONGEST_LINE = 32

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Section:
    """One table of a page.

    Attributes:
        table: numbers are aligned right and text left; NaN and None are dashes.
        heading: the heading, or empty.
        note: one or two sentences below the heading.
        formats: column -> the format of its values; the default is ``str``.
        heads: column -> its heading; the default is its name with spaces.
        classes: a row and a column -> a CSS class for the cell: green, yellow, red, darkred, weak
            or none.
    """

    table: pd.DataFrame
    heading: str = ""
    note: str = ""
    formats: dict[str, str] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    classes: Callable[[dict[str, Any], str], str] | None = None


@functools.cache
def environment() -> jinja2.Environment:
    """The jinja2 environment of all pages, which escapes text."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )


def write_page(
    path: str | Path, title: str, introduction: Sequence[str], sections: Sequence[Section]
) -> None:
    """Write a page of tables.

    Args:
        introduction: paragraphs.
    """
    text = (
        environment()
        .get_template("page.html.j2")
        .render(title=title, introduction=introduction, sections=[_printed(s) for s in sections])
    )
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_csv(table: pd.DataFrame, path: str | Path, formats: dict[str, str] | None = None) -> None:
    """Write a table as CSV, with fixed decimals so that equal tables give equal bytes."""
    printed = table.copy()
    for column, pattern in (formats or {}).items():
        if column in printed:
            printed[column] = [
                "" if _is_missing(value) else format(value, pattern) for value in printed[column]
            ]
    with atomic_file(path) as partial:
        printed.to_csv(partial, index=False, lineterminator="\n", encoding="utf-8")


def _printed(section: Section) -> dict[str, Any]:
    columns = list(section.table)
    numeric = {c for c in columns if pd.api.types.is_numeric_dtype(section.table[c])}
    lines = []
    for row in section.table.to_dict("records"):
        cells = []
        for column in columns:
            value = row[column]
            text = "–" if _is_missing(value) else format(value, section.formats.get(column, ""))
            kind = section.classes(row, str(column)) if section.classes else ""
            is_long = column not in numeric and len(text) > LONGEST_LINE
            cells.append({"text": text, "kind": kind, "number": column in numeric, "long": is_long})
        lines.append(cells)
    heads = [
        {"text": section.heads.get(c, str(c).replace("_", " ")), "number": c in numeric}
        for c in columns
    ]
    return {"heading": section.heading, "note": section.note, "heads": heads, "lines": lines}


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
