"""Digests of code, for a small package and for this checkout."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

from semantic_tokens.study.code import WITHOUT_RESULT, Code, without_comments

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / "workflow"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A script that imports ``a``, which imports ``b``, which imports ``c``."""
    for name, text in {
        "scripts/s.py": "def f():\n    from semantic_tokens.stage.a import x\n",
        "semantic_tokens/__init__.py": "",
        "semantic_tokens/errors.py": "from semantic_tokens.stage import unused\n",
        "semantic_tokens/stage/__init__.py": "from semantic_tokens.stage.d import y\n",
        "semantic_tokens/stage/a.py": (
            "from semantic_tokens import errors\n"
            "from semantic_tokens.stage import b\n"
            "PAGE = 'templates'\nx = 1\n"
        ),
        "semantic_tokens/stage/b.py": "import semantic_tokens.stage.c\nimport torch\n",
        "semantic_tokens/stage/c.py": "COPIED = 'copied.py'\n",
        "semantic_tokens/stage/copied.py": "from semantic_tokens.stage import e\n",
        "semantic_tokens/stage/d.py": "y = 1\n",
        "semantic_tokens/stage/e.py": "",
        "semantic_tokens/stage/unused.py": "",
        "semantic_tokens/stage/templates/page.html.j2": "<p>",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_direct_and_indirect_imports_are_included(folder: Path) -> None:
    assert Code(folder).modules("s") == [f"stage.{name}" for name in ("a", "b", "c", "copied", "e")]


def test_package_is_included_if_a_name_is_imported_from_it(folder: Path) -> None:
    (folder / "scripts/s.py").write_text("from semantic_tokens.stage import y\n", encoding="utf-8")
    assert Code(folder).modules("s") == ["stage", "stage.d"]


def test_files_named_by_a_module_are_included(folder: Path) -> None:
    template = folder / "semantic_tokens/stage/templates/page.html.j2"
    assert template in Code(folder).files("s")


@pytest.mark.parametrize(
    ("name", "text", "changes"),
    [
        ("a.py", "x = 2\n", True),
        ("a.py", "# Why.\n\n", False),
        ("c.py", "def f():\n    return 1\n", True),
        ("templates/page.html.j2", "</p>", True),
        ("d.py", "y = 2\n", False),  # only the package's own file imports it
        ("unused.py", "x = 1\n", False),
        ("../errors.py", "x = 1\n", False),
    ],
)
def test_digest_changes_only_with_relevant_edits(
    folder: Path, name: str, text: str, changes: bool
) -> None:
    before = Code(folder).digest("s")
    with (folder / "semantic_tokens/stage" / name).open("a", encoding="utf-8") as file:
        file.write(text)
    assert (Code(folder).digest("s") != before) == changes


def test_docstrings_do_not_change_the_digest(folder: Path) -> None:
    path = folder / "semantic_tokens/stage/c.py"
    path.write_text("def f():\n    return 1\n", encoding="utf-8")
    before = Code(folder).digest("s")
    path.write_text('"""New."""\n\n\ndef f():\n    """Too."""\n    return 1\n', encoding="utf-8")
    assert Code(folder).digest("s") == before


def test_only_chosen_modules_and_their_imports_are_included(folder: Path) -> None:
    stage = folder / "semantic_tokens/stage"
    (stage / "a.py").write_text("from semantic_tokens.stage import b, c, d\n", encoding="utf-8")
    choices = ["stage.b", "stage.c", "stage.d"]
    assert Code(folder).modules("s", choices, ["stage.d"]) == ["stage.a", "stage.d"]
    with_b = ["stage.a", "stage.b", "stage.c", "stage.copied", "stage.e"]
    assert Code(folder).modules("s", choices, ["stage.b"]) == with_b
    assert Code(folder).modules("s", choices) == ["stage.a"]


def test_unknown_script_or_module_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="no script"):
        Code(folder).digest("other")
    with pytest.raises(ValueError, match=r"no module stage\.z"):
        Code(folder).digest("s", ["stage.z"])


def without_comments_by_tokenizer(source: str) -> str:
    """Remove comments and docstrings with Python's tokenizer."""
    lines = source.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            lines[node.body[0].lineno - 1 : node.body[0].end_lineno] = [""] * (
                (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
            )
    return "".join(f"{line.rstrip()}\n" for line in lines if line.rstrip())


def test_removed_comments_match_pythons_tokenizer() -> None:
    files = [*WORKFLOW.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    assert len(files) > 200
    for path in files:
        source = path.read_text(encoding="utf-8")
        found = "\n".join(filter(None, map(str.rstrip, without_comments(source).split("\n"))))
        assert found.rstrip("\n") == without_comments_by_tokenizer(source).rstrip("\n"), path


def test_every_module_without_result_exists() -> None:
    package = WORKFLOW / "semantic_tokens"
    for module in WITHOUT_RESULT:
        path = package / module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), module


def test_every_rule_names_the_code_of_its_own_script() -> None:
    """Either directly or with a function. Some rules use no code of the package."""
    rules = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk"))
    functions = dict(re.findall(r'^def (\w+_code)\(.*?CODE\.digest\("(\w+)"', rules, re.M | re.S))
    without_code = set()
    for part in re.split(r"^ *rule ", rules, flags=re.MULTILINE)[1:]:
        script = re.search(r"workflow/scripts/(\w+)\.py", part)
        if not script:
            continue
        body = part[: script.end()]
        code = re.search(r'code=(?:code_digest\(\s*"(\w+)"|(\w+_code))', body)
        if code is None:
            without_code.add(script[1])
        else:
            assert (code[1] or functions[code[2]]) == script[1]
    assert without_code == {"fetch_wheel", "fetch_download", "plan", "replicate_backbone"}
