"""Data flow in one direction: no stage of the package imports a later one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "workflow/semantic_tokens"
#: The stages in order. A module may import its own stage and earlier ones.
ORDER = (
    {"components", "errors", "file_locks", "files", "json_files", "text_files"},
    {"jobs"},
    {"sources"},
    {"study"},
    {"data"},
    {"tokenization"},
    {"embeddings"},
    {"grouping"},
    {"modeling"},
    {"training"},
    {"tasks"},
    {"evaluation"},
    {"report"},
    {"plan"},
    {"reuse", "cli"},
)
STAGE = {name: number for number, names in enumerate(ORDER) for name in names}


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the stage of each import from the package in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            stage = rest.partition(".")[0]
            if package == "semantic_tokens" and stage in STAGE:
                yield node.lineno, stage


def test_every_part_of_the_package_has_a_stage() -> None:
    parts = {path.stem for path in PACKAGE.iterdir() if path.name != "__pycache__"} - {"__init__"}
    assert parts == set(STAGE)


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_nothing_imports_a_later_stage(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    later_imports = [
        f"{path}:{line} imports {stage}"
        for line, stage in imports_of(path)
        if STAGE[stage] > STAGE.get(own, -1) or (own == "__init__")
    ]
    assert not later_imports


def test_imports_inside_functions_are_found(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        "def f():\n    from semantic_tokens.report.tables import table5\nimport semantic_tokens.cli\n"
    )
    assert sorted(imports_of(file)) == [(2, "report"), (3, "cli")]
