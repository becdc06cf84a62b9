"""The documentation as a site, from the pages as they lie in the repository: `make docs`."""

import json
import shutil
from pathlib import Path
from typing import Any

from myst_parser.parsers.sphinx_ import MystParser

import semantic_tokens

project = "Semantic tokens"
author = "The semantic-tokens developers"
version = release = semantic_tokens.__version__
extensions = ["myst_parser"]

# The sources are the repository's, so that links between its pages are links of the site, and
# links to its other files are downloads.
root_doc = "README"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "config/README.md",
    "docs/*.md",
    "docs/*.ipynb",
]
exclude_patterns = [".*", "build", "resources", "results", "tests", "workflow"]
source_suffix = {".md": "markdown", ".ipynb": "notebook"}
myst_heading_anchors = 4
highlight_language = "none"

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sphinx = False

#: The pages besides the first, by what a reader comes for.
CONTENTS = {
    "Use it": [
        "docs/installation",
        "docs/tutorial",
        "config/README",
        "docs/reuse",
        "docs/cluster",
        "docs/gpu",
        "docs/tracking",
    ],
    "What it does": [
        "docs/decisions",
        "docs/architecture",
        "docs/sources",
        "docs/real_study",
        "docs/rehearsal",
        "docs/performance",
    ],
    "Change it": ["CONTRIBUTING", "docs/staleness", "CHANGELOG"],
}


def as_markdown(notebook: str) -> str:
    """A notebook's text, code and printed output as one page in Markdown."""
    parts = []
    for cell in json.loads(notebook)["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] != "code":
            parts.append(text)
            continue
        parts.append(f"````python\n{text}\n````")
        printed = "".join("".join(output.get("text", ())) for output in cell["outputs"])
        if printed:
            parts.append(f"````text\n{printed.rstrip()}\n````")
    return "\n\n".join(parts) + "\n"


class NotebookParser(MystParser):
    """Parses a notebook as the page that :func:`as_markdown` makes of it."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document: Any) -> None:
        super().parse(as_markdown(inputstring), document)


def add_contents(app: Any, page: str, source: list[str]) -> None:
    """Put the table of contents, which readers of the repository do not need, on the first page."""
    if page == root_doc:
        for caption, pages in CONTENTS.items():
            listed = "\n".join(f"/{name}" for name in pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n"


def name_first_page(app: Any, error: Exception | None) -> None:
    """Let the site open with the first page."""
    if error is None and app.builder.name == "html":
        shutil.copyfile(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")


def setup(app: Any) -> None:
    app.add_source_parser(NotebookParser)
    app.connect("source-read", add_contents)
    app.connect("build-finished", name_first_page)
