from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd

from semantic_tokens.report.pages import Section, write_csv, write_page

TABLE = pd.DataFrame(
    {
        "recipe": ["a<b", "c & d"],
        "f1_perc": [91.26, np.nan],
        "p": [0.0123, 0.5],
        "note": [None, "x"],
    }
)


class Cells(HTMLParser):
    """Collects the texts of a page's cells, and the classes of data cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.classes: list[str] = []
        self._open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag in ("td", "th")
        if tag == "td":
            self.classes.append((dict(attrs)["class"] or "").strip())
        if self._open:
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[-1] += data


def test_only_long_text_may_wrap(tmp_path: Path) -> None:
    table = pd.DataFrame({"recipe": ["a" * 33, "short"], "score": [0.1 + 0.2, 1.0]})
    write_page(tmp_path / "page.html", "", [], [Section(table, formats={"score": ".40f"})])
    cells = Cells((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert cells.classes == ["text long", "", "text", ""]


def test_a_page_shows_its_tables(tmp_path: Path) -> None:
    def classes(row: dict, column: str) -> str:
        return "green" if column == "f1_perc" and row["f1_perc"] > 90 else ""

    section = Section(
        TABLE,
        "Some <scores>",
        "of one seed",
        {"f1_perc": ".1f", "p": ".2g"},
        {"p": "p (%)"},
        classes,
    )
    write_page(tmp_path / "page.html", "A & B", ["First."], [section, Section(TABLE[:0])])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    cells = Cells(page)
    head = ["recipe", "f1 perc", "p (%)", "note"]
    assert cells.texts == [
        *head,
        "a<b",
        "91.3",
        "0.012",
        "–",
        "c & d",
        "–",
        "0.5",
        "x",
        "recipe",
        "f1 perc",
        "p",
        "note",
    ]
    assert cells.classes == ["text", "green", "", "text", "text", "", "", "text"]
    assert "<h1>A &amp; B</h1>" in page
    assert "<h2>Some &lt;scores&gt;</h2>" in page
    assert "http" not in page  # no requests to a network


def test_rounding_noise_does_not_change_the_csv_file(tmp_path: Path) -> None:
    for name, noise in (("first", 0.0), ("second", 1e-12)):
        table = TABLE.assign(p=TABLE["p"] + noise)
        write_csv(table, tmp_path / name, {"p": ".4f", "f1_perc": ".1f", "absent": ".1f"})
    written = (tmp_path / "first").read_text(encoding="utf-8")
    assert written == "recipe,f1_perc,p,note\na<b,91.3,0.0123,\nc & d,,0.5000,x\n"
    assert (tmp_path / "second").read_text(encoding="utf-8") == written
